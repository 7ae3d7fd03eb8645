"""A pixelNeRF of procedural objects on cars it was not made for: new views, poses from one photo.

    python benchmarks/pixelnerf_cars.py [--init RUN] [--cars car_red] [--parts views poses]

Three cars of ShapeNet in SRN's format (shared folder); each in turn is left out. Two arms:
"trained" is the network of ``--init`` as it is, which has seen procedural objects only; "finetuned"
has gone on with the two other cars for STEPS steps at 64 pixels.

views  Views of the left-out car from 1 and 2 source views: every view is a source once, with the
       one after it for two; TARGETS other views are rendered. Beside it two answers without a
       network: the nearest source view, and the mean image of the other two cars.
poses  Poses of PHOTOS photographs of the car, each relative to one source view, the nearest one in
       direction or another: iNeRF through pixelNeRF, starts turned about the origin by up to 40
       degrees and moved by up to 0.2 per axis. "single" searches from that start only; "multi" from
       it and SPREAD more about it, as one batch. The field is baked into voxels and searched by
       Levenberg-Marquardt, Adam polishes on pixelNeRF itself ("plain-poses": Adam alone). Cameras
       stand 1.3 from the origin.

One JSON per car, arm and part under benchmarks/results/pixelnerf_cars; what is there is not made
again. No picture is written there: the cars are not ours to publish.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

import torch
from _common import RESULTS, environment_line, save_result

from maskfield import api
from maskfield.data.object_batches import near_far, source_images
from maskfield.data.object_config import ObjectDataConfig
from maskfield.data.object_sets import ObjectSet, open_objects
from maskfield.data.pose_estimate import PoseEstimate
from maskfield.data.scene import Scene
from maskfield.engine.restore import restore_model
from maskfield.fields.bake import BakeSettings, bake
from maskfield.methods.inerf.config import PixelConfig, PoseConfig
from maskfield.methods.inerf.find import find_pose
from maskfield.methods.inerf.gauss_newton_config import GaussNewtonConfig
from maskfield.methods.inerf.observation import Observation
from maskfield.methods.inerf.protocol import SYNTHETIC, draw_starts
from maskfield.methods.inerf.view import FieldView, field_view
from maskfield.methods.pixelnerf.model.network import PixelNeRF
from maskfield.methods.pixelnerf.predict import render_view
from maskfield.methods.pixelnerf.sampling import compositing_of, level_sampler
from maskfield.methods.pixelnerf.validation import (
    HeldOutView,
    image_scores,
    mean_image,
    nearest_view,
)
from maskfield.metrics.pose import rotation_error, translation_error

FOLDER = "pixelnerf_cars"
CARS = ("car_blue", "car_purple", "car_red")
ARMS, PARTS = ("trained", "finetuned"), ("views", "poses", "plain-poses")
STEPS, SIZE, DISTANCE = 200, 64, 1.3
TARGETS = 2  # views rendered from each choice of source views
PHOTOS, SPREAD = 4, 7  # of a pose: photographs of a car, starts about the first one
BANDS = {"5 deg, 0.05": (5.0, 0.05), "15 deg, 0.15": (15.0, 0.15)}
ADAM = PoseConfig(steps=150, pixels=PixelConfig(count=128))
LM = GaussNewtonConfig(retries=0)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Where things are."""

    shared: Path
    runs: Path
    init: str
    threads: int | None


def objects_without(car: str, options: Options) -> ObjectDataConfig:
    """The data set in which ``car`` is the test split, and the other two are for training."""
    root = options.runs / "without" / car
    for split, cars in (("train", [c for c in CARS if c != car]), ("test", [car])):
        folder = root / f"cars_{split}"
        folder.mkdir(parents=True, exist_ok=True)
        for name in cars:
            if not (folder / name).is_symlink():
                (folder / name).symlink_to(options.shared.resolve() / "cars_train" / name)
    return ObjectDataConfig(path=str(root / "cars"), format="srn", image_size=SIZE, held_out="test")


def network(car: str, arm: str, options: Options) -> tuple[PixelNeRF, dict[str, float]]:
    """The network of an arm, and what its fine-tuning took."""
    weights, took = options.init, {}
    if arm == "finetuned":
        data, out = objects_without(car, options), options.runs / f"finetuned-{car}"
        start, cpu = time.perf_counter(), time.process_time()
        changes = [
            f"engine.steps={STEPS}",
            "engine.validate_every=0",
            "engine.checkpoint_every=100",
            "data.held_out=test",
            "data.format=srn",
            *([] if options.threads is None else [f"engine.threads={options.threads}"]),
        ]
        result = api.finetune(
            "pixelnerf:tiny-cpu",
            out=out,
            init=options.init,
            data=data.path,
            overrides=changes,
            resume="auto",
        )
        weights = str(result.folder)
        seconds = {"wall": time.perf_counter() - start, "cpu": time.process_time() - cpu}
        took = {"steps": result.step, **seconds}
    model = restore_model(weights, "cpu").model
    assert isinstance(model, PixelNeRF), weights
    return model, took


# ------------------------------------------------------------------------------- new views


def measure_views(model: PixelNeRF, car: ObjectSet, others: ObjectSet) -> dict[str, Any]:
    """Scores of every rendered view, by number of source views."""
    scene, average = car[0], mean_image(others)
    rows: dict[str, list[dict[str, float]]] = {}
    for count in (1, 2):
        for first in range(len(scene)):
            around = [(first + k) % len(scene) for k in range(len(scene))]
            sources, rest = around[:count], around[count:]
            for target in rest[:: max(1, len(rest) // TARGETS)][:TARGETS]:
                view = held_out(scene, sources, target, average)
                rows.setdefault(str(count), []).append(
                    image_scores(render_view(model, view).colour, view)
                )
    return {"rows": rows}


def held_out(scene: Scene, sources: list[int], target: int, average: torch.Tensor) -> HeldOutView:
    """One view of a car, and what it is to be drawn from."""
    near, far = near_far(scene)
    cameras = scene.cameras
    return HeldOutView(
        name=scene.names[target],
        images=source_images(scene, torch.tensor(sources))[None],
        poses=cameras.camera_to_world[sources][None],
        intrinsics=cameras.intrinsics[sources][None],
        camera=cameras[target],
        near=near,
        far=far,
        image=picture(scene, target),
        nearest=picture(scene, nearest_view(cameras, sources, target)),
        average=average,
    )


def picture(scene: Scene, index: int) -> torch.Tensor:
    """[h, w, 3] in [0, 1]."""
    return torch.from_numpy(scene.images[index].copy()).float() / 255


# ----------------------------------------------------------------------------------- poses


def measure_poses(model: PixelNeRF, car: ObjectSet, *, plain: bool) -> dict[str, Any]:
    """Poses of all photographs but the source, from one start and from several."""
    scene = car[0]
    rows = []
    for target in range(0, len(scene), max(1, len(scene) // PHOTOS))[:PHOTOS]:
        others = [i for i in range(len(scene)) if i != target]
        nearest = nearest_view(scene.cameras, others, target)
        others.remove(nearest)
        for kind, source in (("nearest", nearest), ("other", others[len(others) // 2])):
            found = searched(model, scene, source, target, plain=plain)
            rows += [{"source": kind, **row} for row in found]
            for row in found:
                print(f"  {row['how']:6} {row['degrees']:6.1f} deg {row['units']:.3f}", flush=True)
    return {"rows": rows}


@torch.no_grad()
def views_of(
    model: PixelNeRF, scene: Scene, source: int, *, plain: bool
) -> tuple[FieldView, FieldView | None]:
    """What the network makes of the source view, and its bake."""
    near, far = near_far(scene)
    chosen = torch.tensor([source])
    cameras = scene.cameras
    encoded = model.encode(
        source_images(scene, chosen)[None],
        cameras.camera_to_world[chosen][None],
        cameras.intrinsics[chosen][None],
    )
    view = FieldView(
        field=model.field(encoded),
        sampler=level_sampler(model.config, jitter=False),
        compositing=compositing_of(model.config),
        near=near,
        far=far,
        box=scene.box,
    )
    if plain:
        return view, None
    settings = BakeSettings(longest=SIZE, background=(1.0, 1.0, 1.0))
    return view, field_view(bake(view.field, scene.box, settings))


def searched(
    model: PixelNeRF,
    scene: Scene,
    source: int,
    target: int,
    *,
    plain: bool,
) -> list[dict[str, Any]]:
    """One photograph, from one start and from that one and others about it."""
    begun = time.perf_counter()
    view, rough = views_of(model, scene, source, plain=plain)
    encoding = time.perf_counter() - begun
    seen = Observation(image=picture(scene, target), camera=scene.cameras[target])
    shown, true = scene.cameras.camera_to_world[[source, target]]
    generator = torch.Generator().manual_seed(100 * target + source)  # the same in every arm
    first = draw_starts(true[None], 1, SYNTHETIC, generator).start
    others = draw_starts(first, SPREAD, SYNTHETIC, generator).start
    rows = []
    for how, starts in (("single", first), ("multi", torch.cat([first, others]))):
        begun = time.perf_counter(), time.process_time()
        found = find_pose(view, seen, starts, generator, adam=ADAM, lm=LM, rough=rough)
        seconds = time.perf_counter() - begun[0], time.process_time() - begun[1]
        rows.append({"how": how, "photo": scene.names[target], **errors(found, true, first[0])})
        rows[-1] |= {"seconds": seconds[0], "cpu_seconds": seconds[1]}
        rows[-1]["from_source_degrees"] = float(rotation_error(shown, true))
        rows[-1]["seconds_encoding_and_bake"] = encoding
    return rows


def errors(found: PoseEstimate, true: torch.Tensor, start: torch.Tensor) -> dict[str, Any]:
    """Degrees and scene units, of the estimate and of the start."""
    pose = found.camera_to_world
    return {
        "degrees": float(rotation_error(pose, true)),
        "units": float(translation_error(pose, true)),
        "start_degrees": float(rotation_error(start, true)),
        "start_units": float(translation_error(start, true)),
        "verdict": found.verdict,
    }


# ----------------------------------------------------------------------------------- tables


def table(arms: list[str], parts: list[str]) -> str:
    """Means over the views and poses of all cars that have a result."""
    lines = [""]
    for part in parts:
        for arm in arms:
            files = [RESULTS / FOLDER / f"{part}_{car}_{arm}.json" for car in CARS]
            found = [json.loads(f.read_text()) for f in files if f.exists()]
            lines += (view_lines if part == "views" else pose_lines)(f"{part} {arm}", found)
    return "\n".join(lines)


def view_lines(name: str, found: list[dict[str, Any]]) -> list[str]:
    """PSNR and SSIM by number of source views."""
    lines = []
    for count in ("1", "2"):
        rows = [row for f in found for row in f["rows"][count]]
        means = {k: mean(r[k] for r in rows) for k in rows[0]} if rows else {}
        shown = "  ".join(f"{k} {v:.3f}" for k, v in means.items())
        lines.append(f"{name}, {count} source view(s), {len(rows)} views: {shown}")
    return lines


def pose_lines(name: str, found: list[dict[str, Any]]) -> list[str]:
    """Success within both bounds, medians, seconds."""
    lines = []
    for source, how in itertools.product(("nearest", "other"), ("single", "multi")):
        rows = [r for f in found for r in f["rows"] if (r["source"], r["how"]) == (source, how)]
        if rows:
            lines.append(f"{name}, {source} source, {how}, {len(rows)} poses: {summary(rows)}")
            sure = [row for row in rows if row["verdict"] == "converged"]
            lines += [f"    verdict converged, {len(sure)}: {summary(sure)}"] if sure else []
    return lines


def summary(rows: list[dict[str, Any]]) -> str:
    """Of some poses."""
    good = [
        f"< {band} {mean(r['degrees'] < d and r['units'] < u for r in rows):.0%}"
        for band, (d, u) in BANDS.items()
    ]
    middle = [f"{median(r[k] for r in rows):.3g}" for k in ("degrees", "units", "seconds")]
    share = median(r["units"] for r in rows) / DISTANCE
    return (
        f"{'  '.join(good)}  medians {middle[0]} deg, {middle[1]} units ({share:.1%} of the "
        f"distance), {middle[2]} s ({median(r['cpu_seconds'] for r in rows):.3g} s of CPU); starts "
        f"{median(r['start_degrees'] for r in rows):.3g} deg, "
        f"{median(r['start_units'] for r in rows):.3g} units; source view "
        f"{median(r['from_source_degrees'] for r in rows):.3g} deg away"
    )


def measure(car: str, arm: str, parts: list[str], options: Options) -> None:
    """The parts of one car and arm that have no result yet."""
    names = {part: f"{FOLDER}/{part}_{car}_{arm}" for part in parts}
    missing = {p: n for p, n in names.items() if not (RESULTS / f"{n}.json").exists()}
    if not missing:
        return
    others, objects = open_objects(objects_without(car, options))
    model, took = network(car, arm, options)
    model.eval()
    for part, name in missing.items():
        found = (
            measure_views(model, objects, others)
            if part == "views"
            else measure_poses(model, objects, plain=part == "plain-poses")
        )
        save_result(name, {"car": car, "arm": arm, "finetuning": took, **found})
        print(f"{name} done", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = os.environ.get("MASKFIELD_SHARED", str(RESULTS.parents[1].parent / "shared"))
    parser.add_argument("--shared", type=Path, default=Path(default))
    parser.add_argument("--init", default="zoo:pixelnerf-tiny", help="a run, weights or zoo:NAME")
    parser.add_argument("--cars", nargs="+", choices=CARS, default=list(CARS))
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS[:2]))
    parser.add_argument("--runs", type=Path, default=RESULTS.parents[1] / "runs" / "cars")
    parser.add_argument("--threads", type=int, default=None)
    given = parser.parse_args()
    if given.threads is not None:
        torch.set_num_threads(given.threads)
    (RESULTS / FOLDER).mkdir(exist_ok=True)
    print(environment_line(), flush=True)
    options = Options(
        shared=given.shared / "data" / "srn_cars",
        runs=given.runs.resolve(),
        init=given.init,
        threads=given.threads,
    )
    for car in given.cars:
        for arm in given.arms:
            measure(car, arm, given.parts, options)
    print(table(given.arms, given.parts))


if __name__ == "__main__":
    main()
