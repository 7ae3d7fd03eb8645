"""Views of objects never seen, from one and two photographs: ``pixelnerf:tiny-cpu``.

    python benchmarks/pixelnerf.py [--runs runs/zoo] [--threads N]

Trains the recipe on procedural objects, and again for 12000 steps from what that leaves, where the
runs are not there yet (they go on where they stopped), then renders one view of each of 64 test
objects from 1 and from 2 source views. Beside it two answers without a network: the nearest source
view, and the mean of all training images. Writes benchmarks/results/pixelnerf_objects.json; curves
and pictures are in the run's report.html.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

from _common import RESULTS, environment_line, save_result

import maskfield
from maskfield.engine.loop import RunResult

NAME = "pixelnerf_objects"
TEST = ("data.held_out=test", "data.validation_count=64")


def trained(runs: Path, changes: tuple[str, ...]) -> RunResult:
    """The recipe, then the recipe again from its weights with more steps and another seed."""
    first, second = runs / "pixelnerf-tiny", runs / "pixelnerf-tiny-longer"
    if not (second / "config.yaml").is_file():
        maskfield.pretrain("pixelnerf:tiny-cpu", out=first, overrides=changes, resume="auto")
    more = ("engine.steps=12000", "seed=1", *changes)
    result = maskfield.pretrain(
        "pixelnerf:tiny-cpu",
        out=second,
        init=first,
        overrides=more,
        resume="auto",
        figures=True,
    )
    metrics = maskfield.evaluate(second, checkpoint="last", overrides=TEST)
    return replace(result, metrics=metrics)


def table(metrics: dict[str, float]) -> str:
    """PSNR by number of source views, beside the answers without a network."""
    lines = [f"{'source views':14}{'network':>10}{'nearest':>10}{'mean':>10}{'SSIM':>10}"]
    for n in (1, 2):
        keys = (f"psnr_{n}", f"psnr_{n}_nearest_source", f"psnr_{n}_mean_image", f"ssim_{n}")
        lines.append(f"{n:<14}" + "".join(f"{metrics[k]:10.3f}" for k in keys))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path("runs/zoo"))
    parser.add_argument("--threads", type=int, default=None)
    options = parser.parse_args()
    print(environment_line())
    path = RESULTS / f"{NAME}.json"
    if not path.exists():
        changes = () if options.threads is None else (f"engine.threads={options.threads}",)
        result = trained(options.runs, changes)
        save_result(NAME, {"steps": 8000 + result.step, "metrics": result.metrics})
    print(table(json.loads(path.read_text())["metrics"]))


if __name__ == "__main__":
    main()
