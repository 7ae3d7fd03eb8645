"""A whole detection at 160 voxels, file to boxes: speed against the GEMM rate, and memory.

    python benchmarks/bench_detect.py [--side 160] [--repeats 5]

Swin-S, pyramid and FCOS head on oriented boxes, freshly initialised (the time does not depend on
the weights but for the suppression of boxes, which untrained scores make as hard as it gets). A
call reads the grid from its file, prepares it, runs the network and answers boxes in the world.
Model FLOPs come from the layer shapes (counted on torch's meta device); the GEMM rate is
``torch.mm`` of 2048 cubed in the same type and run. Peak memory is that of a fresh process.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from _common import (
    environment_line,
    gemm_rate,
    medians,
    peak_memory_mb,
    save_result,
    time_alternating,
)
from torch.utils.flop_counter import FlopCounterMode

from maskfield.data.radiance_grid import load_grid, save_grid
from maskfield.data.synthetic.rooms import make_room, rasterise_room
from maskfield.methods.nerf_rpn.config import NerfRPNConfig
from maskfield.methods.nerf_rpn.model.detector import Detector
from maskfield.methods.nerf_rpn.predict import detect

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def network(side: int) -> Detector:
    """The official size, in eval mode; every grid fills the cube as in NeRF-MAE's detectors."""
    torch.manual_seed(0)
    return replace(NerfRPNConfig(), resolution=side).build().eval()


def write_room(side: int, path: Path) -> Path:
    """A procedural room on voxels."""
    save_grid(rasterise_room(make_room(0), side).radiance, path)
    return path


def whole(model: Detector, path: Path, side: int, precision: str) -> Callable[[], object]:
    """File to boxes."""

    def call() -> object:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            return detect(model, load_grid(path), resolution=side, threshold=0.0)

    return call


def model_flops(side: int) -> int:
    """Multiply-adds of the network, times two."""
    with torch.device("meta"):
        model = replace(NerfRPNConfig(), resolution=side).build().eval()
        grid = torch.empty(1, 4, side, side, side)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.head(model.backbone(grid))
    return counter.get_total_flops()


def peak(side: int, precision: str) -> float:
    """MiB a fresh process needs for one detection."""
    command = [sys.executable, __file__, "--side", str(side), "--peak-of", precision]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(out.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=160)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--peak-of", choices=list(DTYPES), help=argparse.SUPPRESS)
    options = parser.parse_args()
    side = options.side
    with tempfile.TemporaryDirectory() as folder:
        path, model = write_room(side, Path(folder) / "room.safetensors"), network(side)
        calls = {p: whole(model, path, side, p) for p in DTYPES}
        if options.peak_of:
            calls[options.peak_of]()
            print(peak_memory_mb())
            return
        flops = model_flops(side)
        seconds = medians(time_alternating(calls, options.repeats))
        parts = medians(time_alternating(stages(model, path, side), options.repeats))
    rates = {p: gemm_rate(kind) for p, kind in DTYPES.items()}
    shares = {p: flops / seconds[p] / rates[p] for p in DTYPES}
    peaks = {p: peak(side, p) for p in DTYPES}
    print(environment_line())
    for p in DTYPES:
        print(
            f"{side}^3 {p}: {seconds[p]:.2f} s, {100 * shares[p]:.0f} % of the GEMM rate "
            f"({rates[p] / 1e9:.0f} GFLOP/s), {flops / 1e12:.2f} TFLOP, peak {peaks[p]:.0f} MiB"
        )
    print("  ".join(f"{name} {value:.2f} s" for name, value in parts.items()))
    save_result(
        "detect",
        {
            "side": side,
            "flops": flops,
            "seconds": seconds,
            "gemm_flops_per_s": rates,
            "share_of_gemm": shares,
            "peak_memory_mib": peaks,
            "stages_fp32_seconds": parts,
        },
    )


def stages(model: Detector, path: Path, side: int) -> dict[str, Callable[[], object]]:
    """Reading, network and boxes of the fp32 path, each alone."""
    grid = load_grid(path)
    with torch.no_grad():
        batch = model.batch([grid.rgba()])
        outputs = model.head(model.backbone(batch.grids))

    def run_network() -> object:
        with torch.no_grad():
            return model.head(model.backbone(batch.grids))

    return {
        "read": lambda: load_grid(path).rgba(),
        "network": run_network,
        "boxes": lambda: model.head.proposals(outputs, batch),
    }


if __name__ == "__main__":
    main()
