"""How often the camera of a photograph is found: iNeRF's protocol on real data.

    python benchmarks/inerf_success.py [lego fern fox fox-llff] [--methods lm lm-once lm+adam adam]
        [--starts 28] [--seed 0] [--runs runs/real] [--shared ../shared]

Start poses are Trans(t) Rot(axis, angle) T_true with the axis uniform, the angle uniform in 40
degrees and t uniform per axis. Each run is given one of them and nothing else about the pose.
Success is below 5 degrees and 0.05 units. The protocol's frame and unit of each scene:

lego      seven observed images of 400 x 400, the public 128-wide NeRF of 27.6 dB; the frame of the
          data set, t in 0.2 of its units. lm searches a voxel bake of the NeRF, made once.
fern      held-out photographs (every eighth), a field fitted by `maskfield fit`; LLFF's frame and
          unit: origin at the mean camera centre, nearest depth bound = 4 / 3 units; t in 0.1.
fox       the same; the frame and unit of its transforms.json, whose origin lies in what the
          cameras look at, 5.2 units away; t in 0.1.
fox-llff  the same photographs in LLFF's frame: origin at the mean camera centre; the unit as for
          fern, the nearest depth being the 0.1 percentile of the depths that the field shows.

lm: Levenberg-Marquardt on voxels; where its pose leaves the photograph unexplained it searches on
from poses around the given one (``GaussNewtonConfig.retries``). lm-once: one search, from the given
pose alone. adam: the paper's loop on the field itself. lm+adam: lm on the bake, then some steps of
Adam on the NeRF (lego). Options were chosen on other seeds and on training or validation images.

Start poses and one row per run go to results/inerf_success/SCENE_METHOD.json; a run that is there
is not repeated. Curves over steps and seconds: results/inerf_success/SCENE.png.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from _common import RESULTS, environment, environment_line
from _inerf_scenes import SCENES, Trial

from maskfield.core.files import write_json
from maskfield.data.pose_estimate import PoseEstimate
from maskfield.fields.voxel import VoxelField
from maskfield.figures.curves import Panel, save_curves
from maskfield.methods.inerf.config import paper
from maskfield.methods.inerf.find import find_pose
from maskfield.methods.inerf.gauss_newton_config import GaussNewtonConfig
from maskfield.methods.inerf.protocol import StartPoses, save_starts
from maskfield.methods.inerf.view import FieldView
from maskfield.metrics.pose import (
    held_to,
    rotation_error,
    success_curve,
    translation_error,
)
from maskfield.verbs.field_views import baked_view

FOLDER = RESULTS / "inerf_success"
METHODS = ("lm-once", "lm", "lm+adam", "adam")
Row = dict[str, Any]


def measure(scene: str, method: str, options: argparse.Namespace) -> Path:
    """All runs of one scene and method that are not there yet."""
    path = FOLDER / f"{scene}_{method}.json"
    trial = SCENES[scene](options.shared, options.runs)
    starts = trial.starts(options.starts, options.seed)
    save_starts(starts, FOLDER / f"{scene}_starts_seed{options.seed}.json")
    rows = known_rows(path, options.seed)
    searcher = Searcher(trial, method)
    for run in range(len(starts)):
        if run not in {row["run"] for row in rows}:
            rows.append(searcher.row(run, starts, options.seed))
            write(path, scene, method, trial, rows, options.seed)
            print(f"  {scene} {method} {line(rows[-1])}", flush=True)
    write(path, scene, method, trial, rows, options.seed)
    return path


class Searcher:
    """Looks for the cameras of one scene's photographs; slow preparations are made once."""

    def __init__(self, trial: Trial, method: str) -> None:
        self.trial, self.method = trial, method
        begun = time.perf_counter()
        self.rough = None if method == "adam" else baked(trial.field)
        self.preparation = time.perf_counter() - begun
        retries = 0 if method == "lm-once" else GaussNewtonConfig().retries
        self.lm = replace(GaussNewtonConfig(), retries=retries)

    def row(self, run: int, starts: StartPoses, seed: int) -> Row:
        """One run's errors, at its end and along its way."""
        image = int(starts.image[run])
        begun = time.perf_counter()
        found = self._search(image, starts.start[run], 1000 * seed + run)
        seconds = time.perf_counter() - begun
        return described(run, self.trial, image, starts, found) | {"seconds": round(seconds, 2)}

    def _search(self, image: int, start: torch.Tensor, seed: int) -> PoseEstimate:
        generator = torch.Generator().manual_seed(seed)
        alone = self.method in ("lm", "lm-once")
        return find_pose(
            self.rough if alone and self.rough else self.trial.field,
            self.trial.observations[image],
            start[None],
            generator,
            by="adam" if self.method == "adam" else "lm",
            adam=paper(),
            lm=self.lm,
            rough=None if alone else self.rough,
        )


def baked(view: FieldView) -> FieldView | None:
    """A bake of fields that are no voxels."""
    return None if isinstance(view.field, VoxelField) else baked_view(view.field)  # type: ignore[arg-type]


def described(run: int, trial: Trial, image: int, starts: StartPoses, found: PoseEstimate) -> Row:
    """Degrees and units (of the protocol) before, along the way and after."""
    true, trace = starts.true[run].double(), found.trace
    assert trace is not None  # searches keep their steps
    poses = torch.cat([starts.start[run][None], trace.poses, found.camera_to_world[None]]).double()
    degrees = rotation_error(poses, true.expand_as(poses))
    units = translation_error(poses, true.expand_as(poses)) / trial.unit
    deviation = found.centre_deviation
    return {
        "run": run,
        "image": trial.names[image],
        "start_degrees": float(degrees[0]),
        "start_units": float(units[0]),
        "degrees": float(degrees[-1]),
        "units": float(units[-1]),
        "degrees_deviation": found.angle_deviation,
        "units_deviation": None if deviation is None else deviation / trial.unit,
        "verdict": found.verdict,
        "loss": found.loss,
        "path_degrees": [round(float(v), 3) for v in degrees[1:-1]],
        "path_units": [round(float(v), 4) for v in units[1:-1]],
        "path_seconds": [round(float(v), 3) for v in trace.seconds],
    }


def known_rows(path: Path, seed: int) -> list[Row]:
    """Runs of this seed that an earlier call has finished."""
    if not path.is_file():
        return []
    found = json.loads(path.read_text())
    return found["rows"] if found["seed"] == seed else []


def write(path: Path, scene: str, method: str, trial: Trial, rows: list[Row], seed: int) -> None:
    """Rows and their summary."""
    write_json(
        path,
        {
            "environment": environment(),
            "scene": scene,
            "method": method,
            "seed": seed,
            "frame": trial.frame,
            "start_range": {
                "degrees": trial.spread.degrees,
                "units": trial.spread.units / trial.unit,
            },
            "summary": summary(rows),
            "rows": rows,
        },
    )


def summary(rows: list[Row]) -> Row:
    """Figures of the table."""
    off = torch.tensor([[r["degrees"], r["units"]] for r in rows]).double()
    good = (off[:, 0] < 5) & (off[:, 1] < 0.05)
    seconds = torch.tensor([r["seconds"] for r in rows]).double()
    sure = torch.tensor([r["verdict"] == "converged" for r in rows])
    return {
        "runs": len(rows),
        "success": float(good.double().mean()),
        "median_degrees": float(off[:, 0].quantile(0.5)),
        "median_units": float(off[:, 1].quantile(0.5)),
        "median_seconds": float(seconds.quantile(0.5)),
        "mean_seconds": float(seconds.mean()),
        "longest_seconds": float(seconds.max()),
        "called_converged": float(sure.double().mean()),
        "converged_and_wrong": int((sure & ~good).sum()),
        "failed_and_right": int((~sure & good).sum()),
        "within_two_deviations": within_two_deviations(rows),
    }


def within_two_deviations(rows: list[Row]) -> float:
    """Share of the poses called converged whose errors are below twice what their covariance says.

    Of a normal error in three dimensions, 99 % would be.
    """
    known = [r for r in rows if r.get("degrees_deviation") is not None]
    sure = [r for r in known if r["verdict"] == "converged"]
    kept = [all(r[k] < 2 * r[f"{k}_deviation"] for k in ("degrees", "units")) for r in sure]
    return sum(kept) / max(len(kept), 1)


def line(row: Row) -> str:
    """One run in a line."""
    return (
        f"{row['run']:3} {row['image']:16} {row['start_degrees']:5.1f} deg "
        f"{row['start_units']:5.2f}"
        f" -> {row['degrees']:6.2f} deg {row['units']:7.4f}  {row['seconds']:5.1f} s  "
        f"{row['verdict']}"
    )


def headline(found: Row) -> str:
    """One scene and method in a line."""
    s = found["summary"]
    return (
        f"{found['scene']:9}{found['method']:9}{s['runs']:4} runs  success {s['success']:6.1%}  "
        f"median {s['median_degrees']:.2f} deg {s['median_units']:.4f}  "
        f"seconds median {s['median_seconds']:.1f} mean {s['mean_seconds']:.1f} "
        f"longest {s['longest_seconds']:.1f}  wrong but sure {s['converged_and_wrong']}"
    )


def draw(scene: str, found: list[Row]) -> Path:
    """Success over steps and over seconds, one line per method."""
    over_steps, over_seconds = {}, {}
    for result in found:
        rows = result["rows"]
        steps = max(len(r["path_degrees"]) for r in rows)
        grid = torch.linspace(0, max(r["path_seconds"][-1] for r in rows), 200)
        by_step, by_second = [], []
        for row in rows:
            path = torch.tensor([row["path_degrees"], row["path_units"]])
            count = torch.arange(path.shape[1], dtype=torch.float32)
            at = torch.tensor(row["path_seconds"])
            by_step.append(held_to(path, count.expand(2, -1), torch.arange(steps).float()))
            by_second.append(held_to(path, at.expand(2, -1), grid))
        for lines, parts, x in (
            (over_steps, by_step, torch.arange(steps)),
            (over_seconds, by_second, grid),
        ):
            degrees, units = torch.stack(parts, dim=1)
            share = 100 * success_curve(degrees, units)
            lines[result["method"]] = (x.tolist(), share.tolist())
    panels = [
        Panel(title=f"{scene}: found", lines=over_steps, x_label="step", y_label="% of runs"),
        Panel(title="", lines=over_seconds, x_label="seconds", y_label="% of runs"),
    ]
    save_curves(panels, FOLDER / f"{scene}.png")
    return FOLDER / f"{scene}.png"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("scenes", nargs="*", default=[], choices=[*SCENES, []])
    parser.add_argument("--methods", nargs="+", default=["lm-once", "lm"], choices=METHODS)
    parser.add_argument("--starts", type=int, default=28, help="per scene, over its photographs")
    parser.add_argument("--seed", type=int, default=0)
    default = os.environ.get("MASKFIELD_SHARED", str(RESULTS.parents[1].parent / "shared"))
    parser.add_argument("--shared", type=Path, default=Path(default))
    parser.add_argument("--runs", type=Path, default=RESULTS.parents[1] / "runs" / "real")
    options = parser.parse_args()
    print(environment_line())
    for scene in options.scenes or SCENES:
        paths = [measure(scene, method, options) for method in options.methods]
        found = [json.loads(path.read_text()) for path in paths]
        for result in found:
            print(headline(result), flush=True)
        print(draw(scene, found))


if __name__ == "__main__":
    main()
