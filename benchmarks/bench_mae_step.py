"""One training step of the masked autoencoder: speed against the GEMM rate, memory, equality.

    python benchmarks/bench_mae_step.py [--sides 64 96] [--repeats 5] [--peak-side 160] [--busy]

Per side and precision, in one process and alternating: the plain modules and the fused ones, with
the same weights, input and mask. Model FLOPs come from the layer shapes (three forward passes);
the GEMM rate is ``torch.mm`` of 2048 cubed in the same dtype and run. Peak memory is measured in a
process of its own. ``--busy`` is for a machine with other work on it: one thread, CPU seconds of
this process instead of wall seconds, for steps and GEMM alike; the result is marked and named so.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import torch
from _common import (
    environment_line,
    gemm_rate,
    medians,
    peak_memory_mb,
    save_result,
    time_alternating,
)
from torch import Tensor

from maskfield.methods.nerf_mae.config import SIZES
from maskfield.methods.nerf_mae.flops import forward_flops
from maskfield.methods.nerf_mae.losses import mae_loss
from maskfield.methods.nerf_mae.model import NerfMAE

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def build(side: int, size: str, implementation: str) -> NerfMAE:
    """The model in training mode; "fast" is the one configuration all figures are about."""
    torch.manual_seed(0)
    fast = implementation == "fast"
    config = replace(SIZES[size], resolution=side, implementation=implementation, recompute=fast)
    return config.build().train()


class Case:
    """A model with one grid (40 % occupied) and one mask, in one precision."""

    def __init__(self, side: int, size: str, implementation: str, precision: str) -> None:
        generator = torch.Generator().manual_seed(0)
        self.model = build(side, size, implementation)
        self.precision = precision
        self.grid = torch.rand(1, 4, side, side, side, generator=generator)
        self.grid[:, 3] *= torch.rand(side, side, side, generator=generator) > 0.6
        self.sizes = torch.tensor([[side] * 3])
        self.mask = self.model.draw_mask(1, generator)

    def forward(self) -> tuple[Tensor, Tensor]:
        """Prediction and loss."""
        with torch.autocast("cpu", torch.bfloat16) if self.precision == "bf16" else nullcontext():
            prediction = self.model(self.grid, self.sizes, self.mask)
        return prediction, mae_loss(prediction, self.grid, self.mask, self.sizes)[0]

    def step(self) -> Tensor:
        """Forward and backward; gradients start as None, so they are allocated every time."""
        self.model.zero_grad(set_to_none=True)
        prediction, loss = self.forward()
        loss.backward()
        return prediction.detach().float()

    def kept_mb(self) -> float:
        """MB autograd holds between forward and backward: each storage once, weights excluded."""
        weights = {p.untyped_storage().data_ptr() for p in self.model.parameters()}
        held: dict[int, int] = {}
        alive: list[Tensor] = []  # keeps the storages, so that no address is counted twice

        def pack(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in weights:
                held[storage.data_ptr()] = storage.nbytes()
                alive.append(tensor.detach())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            self.forward()
        return sum(held.values()) / 1e6


def time_steps(
    calls: dict[str, Callable[[], object]], repeats: int, busy: bool
) -> dict[str, float]:
    """Median seconds of each call, alternating after one warm run; CPU seconds when ``busy``."""
    if not busy:
        return medians(time_alternating(calls, repeats))
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for repeat in range(repeats + 1):
        for name, call in calls.items():
            start = time.process_time()
            call()
            seconds[name] += [time.process_time() - start] if repeat else []
    return medians(seconds)


def multiply_rate(dtype: torch.dtype, busy: bool, n: int = 2048) -> float:
    """Operations per second of ``torch.mm``, by the same clock as the steps."""
    if not busy:
        return gemm_rate(dtype, n)
    a = torch.randn(n, n).to(dtype)
    return 2.0 * n**3 / time_steps({"mm": lambda: torch.mm(a, a)}, 5, busy)["mm"]


def compare(side: int, size: str, precision: str, repeats: int, busy: bool) -> dict[str, Any]:
    """Time, rate, kept memory and equality of the fused model beside the plain one."""
    cases = {name: Case(side, size, name, precision) for name in ("plain", "fast")}
    seconds = time_steps({n: c.step for n, c in cases.items()}, repeats, busy)
    gemm = multiply_rate(DTYPES[precision], busy)
    flops = 3 * forward_flops(cases["fast"].model.config)
    kept = {name: case.kept_mb() for name, case in cases.items()}
    return {
        "side": side,
        "precision": precision,
        "seconds": seconds,
        "gemm_gflops": gemm / 1e9,
        "model_gflop": flops / 1e9,
        "of_gemm": {name: flops / t / gemm for name, t in seconds.items()},
        "kept_mb": kept,
        "kept_ratio": kept["fast"] / kept["plain"],
        **difference(cases["plain"], cases["fast"]),
    }


def difference(plain: Case, fast: Case) -> dict[str, float]:
    """Relative L2 distance of the predictions and of all gradients together."""
    a, b = plain.step(), fast.step()
    pairs = zip(plain.model.parameters(), fast.model.parameters(), strict=True)
    gradients = [(p.grad, q.grad) for p, q in pairs if p.grad is not None]
    error = sum(float((p - q).double().square().sum()) for p, q in gradients)
    norm = sum(float(p.double().square().sum()) for p, _ in gradients)
    return {
        "prediction_distance": float((a - b).norm() / a.norm()),
        "gradient_distance": (error / norm) ** 0.5,
    }


def peak(side: int, size: str, precision: str) -> dict[str, Any]:
    """Highest resident memory of a fresh process that does one step."""
    command = [sys.executable, __file__, "--child", precision, str(side), "--size", size]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    resident, took = (float(x) for x in done.stdout.split()[-2:])
    return {"side": side, "precision": precision, "peak_rss_mb": resident, "seconds": took}


def child(side: int, size: str, precision: str) -> None:
    """What :func:`peak` runs."""
    case = Case(side, size, "fast", precision)
    start = time.perf_counter()
    case.step()
    print(peak_memory_mb(), time.perf_counter() - start)


def run(options: argparse.Namespace) -> None:
    """All rows, printed as they come and saved as JSON."""
    if options.child:
        return child(int(options.child[1]), options.size, options.child[0])
    if options.busy:
        torch.set_num_threads(1)
    print(environment_line())
    steps, peaks = [], []
    for side in options.sides:
        for precision in options.precisions:
            steps.append(compare(side, options.size, precision, options.repeats, options.busy))
            print(describe(steps[-1]), flush=True)
    for precision in options.precisions if options.peak_side else []:
        peaks.append(peak(options.peak_side, options.size, precision))
        print(
            "{side}^3 {precision} peak {peak_rss_mb:.0f} MiB, {seconds:.1f} s".format(**peaks[-1])
        )
    name = "mae_step_cpu_seconds" if options.busy else "mae_step"
    result = {"size": options.size, "busy": options.busy, "steps": steps, "peaks": peaks}
    print("saved", save_result(name, result))
    return None


def describe(row: dict[str, Any]) -> str:
    """One line for a row."""
    return (
        f"{row['side']}^3 {row['precision']}: plain {row['seconds']['plain']:.3f} s, "
        f"fast {row['seconds']['fast']:.3f} s = {100 * row['of_gemm']['fast']:.0f} % of the GEMM "
        f"rate ({row['gemm_gflops']:.0f} GFLOP/s; plain {100 * row['of_gemm']['plain']:.0f} %); "
        f"kept {row['kept_mb']['fast']:.0f} of {row['kept_mb']['plain']:.0f} MB "
        f"({100 * row['kept_ratio']:.0f} %); distance prediction "
        f"{row['prediction_distance']:.1e}, gradients {row['gradient_distance']:.1e}"
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="swin_s", choices=list(SIZES))
    parser.add_argument("--sides", type=int, nargs="*", default=[64, 96])
    parser.add_argument("--precisions", nargs="*", default=["fp32", "bf16"], choices=list(DTYPES))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--peak-side", type=int, default=160)
    parser.add_argument("--busy", action="store_true")
    parser.add_argument("--child", nargs=2, metavar=("PRECISION", "SIDE"), help=argparse.SUPPRESS)
    run(parser.parse_args())


if __name__ == "__main__":
    main()
