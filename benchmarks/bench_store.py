"""Reading a stored radiance grid completely into float32: grid store against official npz.

    python benchmarks/bench_store.py [--resolution 160 160 96] [--runs 9]

Every format holds the same grid and ends in the same place: a float32 tensor [4, x, y, z] of
colour and alpha (npz: after the official density rule is left out, to its favour). Runs alternate;
the files are in the page cache. "fresh" hands out a new tensor each time, "buffer" refills one.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from maskfield.data.radiance_grid import RadianceGrid
from maskfield.data.store import write_store
from maskfield.data.writers import write_nerf_rpn_npz

RESULTS = Path(__file__).parent / "results"


def make_grid(resolution: tuple[int, int, int]) -> RadianceGrid:
    """Smooth clouds with fine noise: compresses about as well as a fitted grid."""
    generator = np.random.default_rng(0)
    noise = generator.standard_normal((4, *resolution)).astype(np.float32)
    smooth = torch.from_numpy(gaussian_filter(noise, (0, 3, 3, 3)))
    return RadianceGrid(
        rgb=(0.5 + 6 * smooth[:3]).clamp(0, 1),
        density=80 * smooth[3:] - 2,
        box=torch.tensor([[-1.0] * 3, [1.0] * 3]),
        density_kind="raw",
        activation="exp",
        ngp_scale=0.33,
    )


def read_npz(path: Path) -> torch.Tensor:
    """The usual loader: open, decompress, channels first."""
    with np.load(path) as archive:
        array = archive["rgbsigma"]
    return torch.from_numpy(np.ascontiguousarray(array.transpose(3, 0, 1, 2)))


def alternating_medians(jobs: dict[str, Callable[[], object]], runs: int) -> dict[str, float]:
    """Median milliseconds of every job, after one warm-up, jobs taking turns."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for run in range(runs + 1):
        for name, job in jobs.items():
            start = time.perf_counter()
            job()
            if run:
                times[name].append(1e3 * (time.perf_counter() - start))
    return {name: statistics.median(values) for name, values in times.items()}


def measure(resolution: tuple[int, int, int], runs: int) -> dict[str, object]:
    """All formats on one grid."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        grid = make_grid(resolution)
        compressed = write_nerf_rpn_npz(grid, folder / "compressed.npz")
        plain = folder / "plain.npz"
        np.savez(plain, rgbsigma=np.load(compressed)["rgbsigma"])
        small = write_store([("a", grid)], folder / "u8", density="alpha_uint8")
        half = write_store([("a", grid)], folder / "f16", colour="float16")
        buffer = torch.empty(4, *resolution)
        jobs: dict[str, Callable[[], object]] = {
            "npz compressed": lambda: read_npz(compressed),
            "npz plain": lambda: read_npz(plain),
            "store uint8, fresh": lambda: small.read_rgba(0),
            "store uint8, buffer": lambda: small.read_rgba(0, buffer),
            "store fp16, fresh": lambda: half.read_rgba(0),
            "store fp16, buffer": lambda: half.read_rgba(0, buffer),
        }
        sizes = {
            "npz compressed": compressed.stat().st_size,
            "npz plain": plain.stat().st_size,
            "store uint8": sum(f.stat().st_size for f in (folder / "u8").iterdir()),
            "store fp16": sum(f.stat().st_size for f in (folder / "f16").iterdir()),
        }
        milliseconds = alternating_medians(jobs, runs)
    return {"milliseconds": milliseconds, "megabytes": {k: v / 1e6 for k, v in sizes.items()}}


def environment() -> dict[str, object]:
    """Date, hardware, commit."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent,
    )
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        "commit": commit.stdout.strip() or "unknown",
    }


def main() -> None:
    """Measure, print a table, write one JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resolution", type=int, nargs=3, default=(160, 160, 96))
    parser.add_argument("--runs", type=int, default=9)
    options = parser.parse_args()
    resolution = tuple(options.resolution)
    record = {**environment(), "resolution": resolution, **measure(resolution, options.runs)}
    times: dict[str, float] = record["milliseconds"]  # type: ignore[assignment]
    print(json.dumps({k: record[k] for k in ("date", "machine", "cores", "commit")}))
    for name, value in times.items():
        ratio = times["npz compressed"] / value
        print(f"{name:22s} {value:8.2f} ms   {ratio:6.1f} x npz compressed")
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "store.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
