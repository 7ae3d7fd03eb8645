"""What masked pre-training learns: ``nerf-mae:tiny-cpu`` on held-out procedural rooms.

    python benchmarks/pretraining.py [--seeds 0 1 2] [--threads N] [--runs runs/pretraining]

One JSON per seed under benchmarks/results; a seed whose JSON is there is not run again, and an
interrupted one goes on from its last checkpoint. Prints the table with mean ± standard deviation.
Baselines (mean colour of the visible occupied voxels; nearest visible voxel) see the same masks.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from _common import RESULTS, environment_line, peak_memory_mb, save_result

import maskfield

ROWS = {
    "colour of hidden occupied voxels, PSNR dB": "hidden_colour_psnr",
    "  mean colour of visible occupied voxels": "hidden_colour_mean_baseline_psnr",
    "  nearest visible occupied voxel": "hidden_colour_nearest_baseline_psnr",
    "alpha of hidden voxels, MSE": "hidden_alpha_mse",
    "  nearest visible voxel": "hidden_alpha_nearest_baseline_mse",
}


def run_seed(seed: int, runs: Path, threads: int | None) -> dict[str, Any]:
    """Pre-train with one seed; metrics of the last checkpoint on the held-out rooms."""
    changes = [f"seed={seed}"] + ([] if threads is None else [f"engine.threads={threads}"])
    start, cpu = time.perf_counter(), time.process_time()
    result = maskfield.pretrain(
        "nerf-mae:tiny-cpu", out=runs / f"seed-{seed}", overrides=changes, resume="auto"
    )
    return {
        "seed": seed,
        "steps": result.step,
        "metrics": result.metrics,
        "threads": threads,
        "wall_seconds": time.perf_counter() - start,
        "cpu_seconds": time.process_time() - cpu,
        "peak_memory_mib": peak_memory_mb(),
    }


def table(found: list[dict[str, Any]]) -> str:
    """Mean ± standard deviation over the seeds."""
    lines = []
    for label, name in ROWS.items():
        values = [r["metrics"][name] for r in found]
        spread = f" ± {stdev(values):.3f}" if len(values) > 1 else ""
        lines.append(f"{label:45} {mean(values):8.3f}{spread}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--runs", type=Path, default=Path("runs/pretraining"))
    options = parser.parse_args()
    print(environment_line())
    found = []
    for seed in options.seeds:
        name = f"pretraining_seed{seed}"
        path = RESULTS / f"{name}.json"
        if not path.exists():
            save_result(name, run_seed(seed, options.runs, options.threads))
        found.append(json.loads(path.read_text()))
    print(table(found))


if __name__ == "__main__":
    main()
