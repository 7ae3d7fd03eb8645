"""Photographs without poses help to fit a scene: iNeRF finds their poses first (its section on it).

    python benchmarks/self_supervised_pose.py [--shares 25 50] [--starts protocol known]

Fern of LLFF (shared folder), photographs reduced by 2. A voxel field is fitted to a share of the
training photographs; the poses of the others are searched in it by Levenberg-Marquardt; those whose
verdict is "converged" join, and the field is fitted again to true and estimated poses. Beside it:
the share alone, and all training photographs with their true poses. The held-out photographs are
never shown. The world's frame and box come from all cameras of the capture, in every arm.

Where a search begins: "protocol" turns the true pose by up to 40 degrees about the camera and moves
it by up to 0.1 per axis in the units of the official loader, as the paper does; "known" knows
nothing of it: the poses of all labelled photographs, as one batch.

One JSON per fit and per set of poses under benchmarks/results/self_supervised_pose; what is there
is not made again.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from _common import RESULTS, environment_line, save_result

from maskfield.core.files import read_json, write_json
from maskfield.data.config import SceneDataConfig
from maskfield.data.readers.llff_world import official_llff
from maskfield.data.scene import Scene
from maskfield.fields.evaluate import evaluate_field, photograph
from maskfield.fields.fit import fit_config, fit_scene, load_field
from maskfield.methods.inerf.find import find_pose
from maskfield.methods.inerf.observation import Observation
from maskfield.methods.inerf.protocol import FORWARD_FACING, StartRange, draw_starts
from maskfield.methods.inerf.view import FieldView, field_view
from maskfield.metrics.pose import rotation_error, translation_error

FOLDER = "self_supervised_pose"
STARTS = ("protocol", "known")
SEED = 0
WITHIN = (5.0, 0.05)  # degrees, official units


def labelled(scene: Scene, share: int) -> list[int]:
    """Evenly spaced ``share`` percent of the training photographs."""
    train = scene.indices("train")
    count = max(2, round(len(train) * share / 100))
    return [train[round(i)] for i in np.linspace(0, len(train) - 1, count)]


def official_unit(scene: Scene, source: Path) -> float:
    """Scene units per unit of the official loader."""
    c = scene.cameras
    official = official_llff(np.load(source / "poses_bounds.npy"), (c.height, c.width))
    a, b = torch.from_numpy(official.camera_to_world[:, :, 3]), c.centres
    return float((b - b.mean(0)).norm() / (a - a.mean(0)).norm())


def fitted(scene: Scene, chosen: list[int], folder: Path) -> dict[str, Any]:
    """Fit to some photographs; scores on the held-out ones."""
    start, cpu = time.perf_counter(), time.process_time()
    part = replace(scene, split={"train": tuple(chosen), "test": scene.indices("test")})
    fit_scene(part, folder, fit_config("quick"), resume="auto")
    seconds = {"wall": time.perf_counter() - start, "cpu": time.process_time() - cpu}
    score = evaluate_field(load_field(folder), part)
    return {"photographs": len(chosen), "psnr": score.psnr, "ssim": score.ssim, "seconds": seconds}


# ----------------------------------------------------------------------------------- poses


def found_poses(
    scene: Scene, known: list[int], folder: Path, starts: str, unit: float
) -> dict[str, Any]:
    """The poses of all other training photographs, searched in the field of ``folder``."""
    field = load_field(folder)
    view = field_view(field)
    spread = StartRange(degrees=40.0, units=FORWARD_FACING.units * unit, about="camera")
    rows, poses = [], []
    for index in scene.indices("train"):
        if index not in known:
            generator = torch.Generator().manual_seed(1000 * SEED + index)
            true = scene.cameras.camera_to_world[index]
            begin = draw_starts(true[None], 1, spread, generator).start
            if starts == "known":
                begin = scene.cameras.camera_to_world[known]
            row, pose = sought(view, scene, index, begin, unit, generator)
            rows.append(row)
            poses.append(pose)
            print(f"  {json.dumps(row)}", flush=True)
    return {"unit": unit, "rows": rows, "poses": poses}


def sought(
    view: FieldView,
    scene: Scene,
    index: int,
    begin: torch.Tensor,
    unit: float,
    generator: torch.Generator,
) -> tuple[dict[str, Any], list[list[float]]]:
    """Errors (degrees, official units) and cost of one photograph's search; the pose found."""
    image = photograph(scene, index, torch.zeros(3))
    seen = Observation(image=image, camera=scene.cameras[index])
    start, cpu = time.perf_counter(), time.process_time()
    found = find_pose(view, seen, begin, generator)
    seconds = {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - cpu}
    pose, true = found.camera_to_world, scene.cameras.camera_to_world[index]
    row = {
        "index": index,
        "degrees": float(rotation_error(pose, true)),
        "units": float(translation_error(pose, true)) / unit,
        "start_degrees": float(rotation_error(begin, true).min()),
        "start_units": float(translation_error(begin, true).min()) / unit,
        "verdict": found.verdict,
        **seconds,
    }
    return row, pose.tolist()


def with_estimates(
    scene: Scene, rows: list[dict[str, Any]], poses: list[list[list[float]]]
) -> tuple[Scene, list[int]]:
    """The scene with poses that were found in place of the true ones, and which they are."""
    motion = scene.cameras.camera_to_world.clone()
    kept = {r["index"]: p for r, p in zip(rows, poses, strict=True) if r["verdict"] == "converged"}
    for index, pose in kept.items():
        motion[index] = torch.tensor(pose)
    cameras = replace(scene.cameras, camera_to_world=motion)
    return replace(scene, cameras=cameras), list(kept)


# ---------------------------------------------------------------------------------- the study


def study(scene: Scene, runs: Path, shares: list[int], starts: list[str], unit: float) -> None:
    """Every fit and every set of poses that has no result yet."""
    for share in [*shares, 100]:
        known = labelled(scene, share)
        folder = runs / f"labels-{share}"
        once(f"labels_{share}", partial(fitted, scene, known, folder))
        for how in starts if share < 100 else ():
            name, again = f"poses_{share}_{how}", f"refit_{share}_{how}"
            if measured(again):
                continue
            if not (measured(name) and (runs / f"{name}.json").exists()):
                found = found_poses(scene, known, folder, how, unit)
                write_json(runs / f"{name}.json", found.pop("poses"))  # not ours to publish
                save_result(f"{FOLDER}/{name}", found)
            poses = read_json(runs / f"{name}.json")
            posed, more = with_estimates(scene, load(name)["rows"], poses)
            once(again, partial(fitted, posed, sorted([*known, *more]), runs / again))


def once(name: str, make: Callable[[], dict[str, Any]]) -> None:
    """A result, made unless it is there."""
    if not measured(name):
        save_result(f"{FOLDER}/{name}", make())


def measured(name: str) -> bool:
    return (RESULTS / FOLDER / f"{name}.json").exists()


def table(shares: list[int], starts: list[str]) -> str:
    """PSNR of all arms, and the poses beside."""
    lines = [""]
    for share in [*shares, 100]:
        alone = load(f"labels_{share}")
        lines.append(f"{share} % labels alone: {score(alone)}")
        for how in starts if share < 100 else ():
            rows = load(f"poses_{share}_{how}")["rows"]
            kept = [row for row in rows if row["verdict"] == "converged"]
            lines.append(f"  with poses found, {how}: {score(load(f'refit_{share}_{how}'))}")
            lines += [
                f"    all {pose_line(rows)}",
                *([f"    kept {pose_line(kept)}"] if kept else []),
            ]
    return "\n".join(lines)


def load(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / FOLDER / f"{name}.json").read_text())


def score(found: dict[str, Any]) -> str:
    return f"{found['photographs']} photographs, {found['psnr']:.2f} dB, SSIM {found['ssim']:.3f}"


def pose_line(rows: list[dict[str, Any]]) -> str:
    """Of some searches."""
    good = sum(r["degrees"] < WITHIN[0] and r["units"] < WITHIN[1] for r in rows)
    m = {k: median(r[k] for r in rows) for k in ("degrees", "units", "seconds", "cpu_seconds")}
    return (
        f"{len(rows)}: < 5 deg and 0.05: {good}; medians {m['degrees']:.2f} deg, "
        f"{m['units']:.3f} units, {m['seconds']:.1f} s ({m['cpu_seconds']:.1f} s of CPU)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = os.environ.get("MASKFIELD_SHARED", str(RESULTS.parents[1].parent / "shared"))
    parser.add_argument("--shared", type=Path, default=Path(default))
    parser.add_argument("--shares", type=int, nargs="+", default=[25, 50])
    parser.add_argument("--starts", nargs="+", choices=STARTS, default=list(STARTS))
    parser.add_argument("--runs", type=Path, default=RESULTS.parents[1] / "runs" / FOLDER)
    options = parser.parse_args()
    (RESULTS / FOLDER).mkdir(exist_ok=True)
    print(environment_line(), flush=True)
    source = options.shared / "data" / "llff" / "fern"
    scene = SceneDataConfig(path=str(source), downscale=2).build()
    unit = official_unit(scene, source)
    study(scene, options.runs, options.shares, options.starts, unit)
    print(table(options.shares, options.starts))


if __name__ == "__main__":
    main()
