"""Reading a stored radiance grid completely into float32: grid store against official npz.

    python benchmarks/bench_store.py [--resolution 160 160 96] [--runs 9]

Every format holds the same grid and ends in the same place: a float32 tensor [4, x, y, z] of
colour and density (npz: the official density rule is left out, to its favour). Runs alternate;
the files are in the page cache. "fresh" hands out a new tensor each time, "buffer" refills one.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from _common import environment_line, medians, save_result, time_alternating
from scipy.ndimage import gaussian_filter

from maskfield.data.radiance_grid import RadianceGrid
from maskfield.data.store import write_store
from maskfield.data.writers import write_nerf_rpn_npz


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


def measure(
    resolution: tuple[int, int, int], runs: int
) -> tuple[dict[str, float], dict[str, float]]:
    """Median seconds and megabytes of all formats on one grid."""
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
        seconds = medians(time_alternating(jobs, runs))
    return seconds, {k: v / 1e6 for k, v in sizes.items()}


def main() -> None:
    """Measure, print a table, write one JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resolution", type=int, nargs=3, default=(160, 160, 96))
    parser.add_argument("--runs", type=int, default=9)
    options = parser.parse_args()
    x, y, z = options.resolution
    seconds, megabytes = measure((x, y, z), options.runs)
    print(environment_line())
    for name, value in seconds.items():
        ratio = seconds["npz compressed"] / value
        print(f"{name:22s} {1e3 * value:8.2f} ms   {ratio:6.1f} x npz compressed")
    save_result(
        "store", {"resolution": [x, y, z], "median_seconds": seconds, "megabytes": megabytes}
    )


if __name__ == "__main__":
    main()
