"""The demo on the real and synthetic scenes of the shared folder: numbers, and a report each.

    python benchmarks/real_scenes.py [fox lego fern] [--init RUN] [--runs runs/real] [--again]

Each scene goes the whole way: fit (PSNR, SSIM, seconds), grid, parts of it hidden and brought back
by the network of ``--init`` (without it one is trained for a while, anew for each scene), and
``RUNS/SCENE/report.html`` with all pictures. The numbers, and no picture, go to
benchmarks/results: the photographs are not ours to publish. A scene whose report and numbers are
there is left alone; a new report does not replace numbers that are there, unless ``--again``.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

from _common import RESULTS, environment_line, peak_memory_mb, save_result

from maskfield import api
from maskfield.data.scene import load_scene
from maskfield.fields.evaluate import evaluate_field
from maskfield.fields.fit import load_field

SCENES = {"fox": "data/fox", "lego": "data/nerf_synthetic/lego", "fern": "data/llff/fern"}
FIT = "fit a radiance field"  # the demo's stage


def measure(name: str, shared: Path, folder: Path, init: str | None) -> dict[str, Any]:
    """One scene's report, and its numbers: the fit's, and what the network brought back."""
    api.demo("nerf-mae", data=shared / SCENES[name], init=init, out=folder)
    memory = peak_memory_mb()
    numbers = json.loads((folder / "numbers.json").read_text())
    scene = load_scene(folder / "scene")
    start = time.perf_counter()
    score = evaluate_field(load_field(folder / "fit"), scene)
    evaluation = time.perf_counter() - start
    return {
        "scene": name,
        "preset": "default",
        "size": [scene.cameras.width, scene.cameras.height],
        "train": len(scene.indices("train")),
        "test": len(scene.indices("test")),
        "steps": numbers["fit"]["step"],
        "psnr": score.psnr,
        "ssim": score.ssim,
        "per_image": list(score.per_image),
        "seconds_with_final_validation": numbers["seconds"][FIT],
        "seconds_evaluation": evaluation,
        "seconds_fit": numbers["seconds"][FIT] - evaluation,
        "peak_memory_mib": memory,
        "reconstruction": numbers["reconstruction"],
        "seconds": numbers["seconds"],
    }


def row(found: dict[str, Any]) -> str:
    """One line of the table."""
    width, height = found["size"]
    return (
        f"{found['scene']:6} {width}x{height}  {found['train']:4} / {found['test']:3}"
        f"  {found['psnr']:6.2f} dB  SSIM {found['ssim']:.3f}"
        f"  fit {found['seconds_fit']:5.0f} s  {found['peak_memory_mib'] / 1024:5.2f} GiB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenes", nargs="*", default=[], choices=[*SCENES, []])
    default = os.environ.get("MASKFIELD_SHARED", str(RESULTS.parents[1].parent / "shared"))
    parser.add_argument("--shared", type=Path, default=Path(default))
    parser.add_argument("--init", help="a NeRF-MAE run, weights, or zoo:NAME")
    parser.add_argument("--runs", type=Path, default=RESULTS.parents[1] / "runs" / "real")
    parser.add_argument("--again", action="store_true", help="measure scenes that have a result")
    options = parser.parse_args()
    print(environment_line())
    for name in options.scenes or SCENES:
        path, folder = RESULTS / f"real_scene_{name}.json", options.runs / name
        report = folder / "report.html"
        if options.again or not path.is_file() or not report.is_file():
            found = measure(name, options.shared, folder, options.init)
            if options.again or not path.is_file():
                save_result(path.stem, found)
            else:
                print(f"now: {row(found)}")
        print(f"{row(json.loads(path.read_text()))}  {report}", flush=True)


if __name__ == "__main__":
    main()
