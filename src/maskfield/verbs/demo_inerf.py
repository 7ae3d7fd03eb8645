"""The demo of iNeRF: photographs → field → the camera of photographs it has not seen → report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from maskfield.core.errors import ConfigError
from maskfield.verbs.demo_plan import FULL, QUICK, DemoJob
from maskfield.verbs.demo_record import Record, clear, refuse_what_would_be_cleared, write_demo

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from torch import Tensor

    from maskfield.data.pose_estimate import PoseEstimate
    from maskfield.data.scene import Scene
    from maskfield.methods.inerf.observation import Observation
    from maskfield.methods.inerf.protocol import StartRange
    from maskfield.verbs.field_views import GivenField

_CLEARED = ("scene", "fit", "pose")
_DEGREES = 40.0  # how far start poses are turned, about an object or about their camera
_SHARE = 0.05  # and moved along each axis, as a share of the diagonal of the scene's box
_WITHIN_DEGREES, _WITHIN_SHARE = 5.0, 0.03  # what counts as found


@dataclass(frozen=True, kw_only=True)
class Sought:
    """A held-out photograph, where its search began, what was found.

    Attributes:
        index: of the photograph in the scene. true: [3, 4] its pose.
        begun: "start": from a pose turned and moved; "search": from nothing.
    """

    index: int
    observation: Observation
    true: Tensor
    estimate: PoseEstimate
    begun: str
    seconds: float


def run_demo(
    folder: Path, *, quick: bool, seed: int, data: str | None = None, init: str | None = None
) -> Path:
    """See :func:`maskfield.api.demo`."""
    from maskfield.verbs import demo_inerf_sections as sections
    from maskfield.verbs import demo_sections, demo_stages
    from maskfield.verbs.field_views import open_field

    if init is not None:
        raise ConfigError(
            "this demo fits its own field",
            field="init",
            value=init,
            remedy="leave --init out; `maskfield pose FIELD PHOTO` takes a fitted one",
        )
    job = DemoJob(folder=folder, size=QUICK if quick else FULL, seed=seed, data=data, init=None)
    record = Record()
    refuse_what_would_be_cleared(folder, _CLEARED, {"data": data})
    with record.stages("read the photographs" if data else "photograph an object"):
        scene = photographs(job)
        clear(folder, _CLEARED)
        scene = demo_stages.keep_photographs(job, scene)
    with record.stages("fit a radiance field"):
        fitted = demo_stages.fit(job, scene)
    given = open_field(folder / "fit", scene=folder / "scene")
    with record.stages("find cameras"):
        found = find_cameras(
            given, scene, starts_of(job, scene), count=3 if quick else 8, seed=seed
        )
    with record.stages("draw"):
        record.shown.append(demo_sections.scene_section(scene, data, "an object"))
        record.shown.append(demo_sections.fit_section(scene, fitted))
        film = sections.search_film(given, found[0], folder / "pose")
        record.shown.append(sections.one_section(given, found[0], film))
        record.shown.append(sections.table_section(given, found, scene))
    record.numbers["fit"] = {"step": fitted.step, **fitted.metrics}
    record.numbers["pose"] = score(found, scene)
    return write_demo(
        record,
        folder,
        title="iNeRF: where was this photograph taken?" + (" (quick form)" if quick else ""),
        way="photographs → radiance field → cameras of photographs it has not seen",
        config=(folder / "fit" / "config.yaml").read_text(encoding="utf-8"),
    )


def photographs(job: DemoJob) -> Scene:
    """One's own; or a vehicle that nothing here was trained on, with every 8th view held out."""
    from maskfield.data.scene import with_split
    from maskfield.data.synthetic.objects import object_scene
    from maskfield.data.synthetic.splits import split_seeds
    from maskfield.verbs import demo_stages

    if job.data is not None:
        return demo_stages.photographs(job)
    number = split_seeds("test", job.seed + 1)[job.seed]
    scene = object_scene(number, views=job.size.views, size=job.size.width, path="random")
    return with_split(scene, holdout=8)


def starts_of(job: DemoJob, scene: Scene) -> StartRange:
    """The paper's starts for an object; of one's own photographs turned about the camera."""
    from maskfield.methods.inerf.protocol import StartRange

    if job.data is None:
        return StartRange(degrees=_DEGREES, units=_SHARE * diagonal(scene))
    return StartRange(degrees=_DEGREES, units=_SHARE * diagonal(scene), about="camera")


def find_cameras(
    given: GivenField, scene: Scene, spread: StartRange, *, count: int, seed: int
) -> list[Sought]:
    """Held-out photographs from starts turned and moved; the last ones again from nothing."""
    import torch

    chosen = list(scene.split.get("test") or scene.indices("train"))
    chosen = chosen[:: max(1, len(chosen) // count)][:count]
    generator = torch.Generator().manual_seed(seed)
    begun = [(i, "start") for i in chosen] + [(i, "search") for i in chosen[-(count // 2) :]]
    return [_sought(given, scene, index, how, spread, generator) for index, how in begun]


def _sought(
    given: GivenField,
    scene: Scene,
    index: int,
    begun: str,
    spread: StartRange,
    generator: torch.Generator,
) -> Sought:
    import time

    from maskfield.methods.inerf.find import find_anywhere, find_pose
    from maskfield.methods.inerf.protocol import draw_starts
    from maskfield.verbs.pose import DEFAULT_SEARCH
    from maskfield.verbs.pose_camera import spread_starts

    start = time.perf_counter()
    observation, true = _observed(given, scene, index), scene.cameras.camera_to_world[index]
    if begun == "start":
        starts = draw_starts(true[None], 1, spread, generator).start
        estimate = find_pose(given.view, observation, starts, generator)
    else:
        estimate = find_anywhere(
            given.view,
            observation,
            lambda: spread_starts(given, DEFAULT_SEARCH, generator),
            generator,
        )
    return Sought(
        index=index,
        observation=observation,
        true=true,
        estimate=estimate,
        begun=begun,
        seconds=time.perf_counter() - start,
    )


def _observed(given: GivenField, scene: Scene, index: int) -> Observation:
    """A photograph of the scene as the search takes it; its pose stays behind."""
    import torch

    from maskfield.fields.evaluate import photograph
    from maskfield.methods.inerf.observation import Observation

    image = photograph(scene, index, torch.tensor(given.background or (0.0, 0.0, 0.0)))
    mask = None if scene.masks is None else torch.from_numpy(scene.masks[index].copy()) > 0
    return Observation(image=image, camera=scene.cameras[index], mask=mask)


def errors(found: Sought) -> tuple[float, float]:
    """Degrees and scene units between the pose found and the true one."""
    from maskfield.metrics.pose import rotation_error, translation_error

    pose = found.estimate.camera_to_world
    return float(rotation_error(pose, found.true)), float(translation_error(pose, found.true))


def diagonal(scene: Scene) -> float:
    """Of the scene's box, scene units."""
    return float((scene.box[1] - scene.box[0]).norm())


def good(found: Sought, scene: Scene) -> bool:
    """Within 5 degrees and 3 % of the diagonal of the scene's box."""
    degrees, units = errors(found)
    return degrees < _WITHIN_DEGREES and units < _WITHIN_SHARE * diagonal(scene)


def score(found: Sequence[Sought], scene: Scene) -> dict[str, float]:
    """Shares of the photographs whose camera was found, from a start and from nothing."""
    numbers: dict[str, float] = {}
    for begun in ("start", "search"):
        rows = [f for f in found if f.begun == begun]
        numbers[f"found_from_{begun}"] = sum(good(f, scene) for f in rows) / len(rows)
        numbers[f"seconds_from_{begun}"] = sum(f.seconds for f in rows) / len(rows)
    return numbers
