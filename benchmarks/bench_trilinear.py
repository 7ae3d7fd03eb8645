"""Trilinear look-up: seconds and memory of each backend, forward and forward + backward.

    python benchmarks/bench_trilinear.py [--points 1000000] [--side 128] [--channels 4]

Writes benchmarks/results/trilinear.json. Memory is the growth of resident memory over one forward
and backward, each backend in a process of its own.
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Callable

import torch
from _common import environment_line, medians, peak_memory_mb, save_result, time_alternating
from torch import Tensor

from maskfield.ops.trilinear import TrilinearBackend, trilinear

BACKENDS: tuple[TrilinearBackend, ...] = ("numba", "embedding_bag", "grid_sample")


def inputs(side: int, channels: int, count: int, device: str) -> tuple[Tensor, Tensor]:
    """A random volume and random points all over it."""
    generator = torch.Generator().manual_seed(0)
    volume = torch.rand(side, side, side, channels, generator=generator)
    points = torch.rand(count, 3, generator=generator) * side
    return volume.to(device), points.to(device)


def forward(volume: Tensor, points: Tensor, backend: TrilinearBackend) -> Tensor:
    with torch.no_grad():
        return trilinear(volume, points, backend=backend)


def both_ways(volume: Tensor, points: Tensor, backend: TrilinearBackend) -> Tensor | None:
    volume = volume.detach().requires_grad_()
    trilinear(volume, points, backend=backend).sum().backward()
    return volume.grad


def memory_of(backend: TrilinearBackend, side: int, channels: int, count: int) -> float:
    """MiB by which one forward and backward raise the peak of a fresh process."""
    small = inputs(4, channels, 8, "cpu")
    both_ways(*small, backend)  # compile and allocate what is independent of the size
    volume, points = inputs(side, channels, count, "cpu")
    before = peak_memory_mb()
    both_ways(volume, points, backend)
    return peak_memory_mb() - before


def calls_of(
    function: Callable[..., object], volume: Tensor, points: Tensor, backends: tuple[str, ...]
) -> dict[str, Callable[[], object]]:
    return {b: lambda b=b: function(volume, points, b) for b in backends}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--channels", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    backends = BACKENDS if args.device == "cpu" else BACKENDS[1:]
    volume, points = inputs(args.side, args.channels, args.points, args.device)
    ahead = medians(time_alternating(calls_of(forward, volume, points, backends), args.repeats))
    round_trip = medians(
        time_alternating(calls_of(both_ways, volume, points, backends), args.repeats)
    )
    memory = dict.fromkeys(backends)
    if args.device == "cpu":
        size = (args.side, args.channels, args.points)
        with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
            memory = {b: pool.apply(memory_of, (b, *size)) for b in backends}
    print(environment_line())
    print(f"{args.points} points, volume {args.side}³ x {args.channels}, float32, {args.device}")
    print(f"{'backend':14} {'forward ms':>11} {'+backward ms':>13} {'M/s forward':>12} {'MiB':>8}")
    rows = {}
    for b in backends:
        rows[b] = {
            "forward_s": ahead[b],
            "forward_backward_s": round_trip[b],
            "forward_points_per_s": args.points / ahead[b],
            "memory_mib": memory[b],
        }
        shown = "-" if memory[b] is None else f"{memory[b]:.0f}"
        rate = args.points / ahead[b] / 1e6
        print(f"{b:14} {ahead[b] * 1e3:11.1f} {round_trip[b] * 1e3:13.1f} {rate:12.1f} {shown:>8}")
    name = "trilinear" if args.device == "cpu" else f"trilinear_{args.device.split(':')[0]}"
    save_result(name, {"options": vars(args), "backends": rows})


if __name__ == "__main__":
    main()
