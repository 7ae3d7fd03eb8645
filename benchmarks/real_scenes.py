"""Fit the real and synthetic scenes of the shared folder: PSNR, SSIM, seconds, memory.

    python benchmarks/real_scenes.py [fox lego fern] [--shared ../shared] [--again]

One JSON per scene under benchmarks/results (numbers only: the photographs are not ours to publish);
a scene whose JSON is there is not fitted again. Run folders with pictures go to ``--runs``.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from _common import RESULTS, environment_line, peak_memory_mb, save_result

from maskfield.data.config import SceneDataConfig
from maskfield.fields.evaluate import evaluate_field
from maskfield.fields.fit import fit_config, fit_scene, load_field

SCENES = {
    "fox": ("data/fox", "default"),
    "lego": ("data/nerf_synthetic/lego", "default"),
    "fern": ("data/llff/fern", "default"),
}


def fit_one(name: str, shared: Path, runs: Path) -> dict[str, Any]:
    """Fit one scene and measure it on its held-out images."""
    folder, preset = SCENES[name]
    data = SceneDataConfig(path=str(shared / folder))
    scene = data.build()
    config = replace(fit_config(preset, data), name=name)
    start = time.perf_counter()
    result = fit_scene(scene, runs / name, config)
    seconds = time.perf_counter() - start
    start = time.perf_counter()
    score = evaluate_field(load_field(result.folder), scene)
    evaluation = time.perf_counter() - start
    return {
        "scene": name,
        "preset": preset,
        "size": [scene.cameras.width, scene.cameras.height],
        "train": len(scene.indices("train")),
        "test": len(scene.indices("test")),
        "steps": result.step,
        "psnr": score.psnr,
        "ssim": score.ssim,
        "per_image": list(score.per_image),
        "seconds_with_final_validation": seconds,
        "seconds_evaluation": evaluation,
        "seconds_fit": seconds - evaluation,
        "peak_memory_mib": peak_memory_mb(),
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
    parser.add_argument("--runs", type=Path, default=None)
    parser.add_argument("--again", action="store_true", help="fit scenes that have a result")
    options = parser.parse_args()
    runs = options.runs or Path(tempfile.mkdtemp(prefix="real-scenes-"))
    print(environment_line())
    for name in options.scenes or SCENES:
        path = RESULTS / f"real_scene_{name}.json"
        if options.again or not path.is_file():
            save_result(path.stem, fit_one(name, options.shared, runs))
        print(row(json.loads(path.read_text())), flush=True)


if __name__ == "__main__":
    main()
