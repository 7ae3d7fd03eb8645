"""The demo of pixelNeRF: one photograph in, views from all around out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from maskfield.verbs.demo_record import Record, clear, refuse_what_would_be_cleared, write_demo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maskfield.data.object_sets import ObjectSet
    from maskfield.figures.pictures import Picture
    from maskfield.methods.pixelnerf.validation import HeldOutView
    from maskfield.verbs.conditioned import ConditionedModel

MODEL = "zoo:pixelnerf-tiny"
_CLEARED = ("turn-table",)


@dataclass(frozen=True, kw_only=True)
class _Size:
    """Objects that are measured and shown, and frames of the film."""

    objects: int
    frames: int


@dataclass(frozen=True, kw_only=True)
class Turn:
    """Views all around, from one photograph or two.

    Attributes:
        sources: what the model was shown. frames: what it made of it. film: the file.
    """

    sources: Sequence[Picture]
    frames: Sequence[Picture]
    film: Path


FULL, QUICK = _Size(objects=8, frames=36), _Size(objects=3, frames=12)


def run_demo(
    folder: Path, *, quick: bool, seed: int, data: str | None = None, init: str | None = None
) -> Path:
    """See :func:`maskfield.api.demo`; ``data`` is a normalised photograph of one's own."""
    from maskfield.core.config import to_yaml
    from maskfield.verbs import demo_pixelnerf_sections as sections
    from maskfield.verbs.conditioned import load_conditioned

    size, record = (QUICK if quick else FULL), Record()
    refuse_what_would_be_cleared(folder, _CLEARED, {"data": data, "init": init})
    with record.stages("load the network"):
        model = load_conditioned(Path(init or MODEL))
    with record.stages("photograph objects"):
        objects = test_objects(model, size.objects, seed)
    clear(folder, _CLEARED)
    with record.stages("turn-table"):
        turns = turn_tables(model, objects, data, size.frames, folder / "turn-table")
    with record.stages("render held-out views"):
        rows = {n: held_out(model, objects, n) for n in (1, 2)}
    with record.stages("draw"):
        record.shown.append(sections.turn_section(turns, data))
        record.shown.append(sections.views_section(model.network, rows))
    record.numbers["views"] = sections.numbers(model.network, rows)
    return write_demo(
        record,
        folder,
        title="pixelNeRF: one photograph in, views from all around out",
        way="photograph → features → radiance field → views",
        config=to_yaml(model.network.config),
    )


def test_objects(model: ConditionedModel, count: int, seed: int) -> ObjectSet:
    """Procedural objects that no network here was trained on; ``seed`` chooses other ones."""
    from maskfield.data.synthetic.object_sets import synthetic_objects

    size = 64 if model.data is None else model.data.image_size or 64
    return synthetic_objects("objects-v1", "test", count + seed, 24, size)


def turn_tables(
    model: ConditionedModel, objects: ObjectSet, photo: str | None, frames: int, folder: Path
) -> list[Turn]:
    """From one photograph; of an object whose second photograph is at hand, also from both."""
    from maskfield.data.photo_scene import photo_scene
    from maskfield.verbs.conditions import ConditionedScene

    if photo is not None:
        size = 64 if model.data is None else model.data.image_size or 64
        scene = photo_scene(photo, size=size)
        shown = [ConditionedScene(scene=scene, sources=(0,), name="photo")]
    else:
        scene = objects[len(objects) - 1]
        shown = [
            ConditionedScene(scene=scene, sources=(8,), name="one"),
            ConditionedScene(scene=scene, sources=(8, 16), name="two"),
        ]
    return [_turn(model, one, frames, folder) for one in shown]


def _turn(model: ConditionedModel, shown, frames: int, folder: Path) -> Turn:
    import numpy as np

    from maskfield.data.object_batches import near_far
    from maskfield.figures.pictures import resized, to_picture
    from maskfield.figures.video import best_suffix, write_video
    from maskfield.geometry.camera_paths import turn_table
    from maskfield.methods.pixelnerf.config import FAST
    from maskfield.methods.pixelnerf.evaluation_views import pixelnerf_views

    lens, (near, far) = shown.scene.cameras[0], near_far(shown.scene)
    cameras = turn_table(lens, frames, radius=(near + far) / 2, elevation_degrees=20.0)
    view = pixelnerf_views(model.network, least_coarse=1, options=FAST)(shown.views())
    pictures = [
        resized(to_picture(view(cameras[i], near, far, None).colour.cpu()), height=192)
        for i in range(frames)
    ]
    film = write_video(pictures, folder / f"{shown.name}{best_suffix()}", fps=12)
    sources = [resized(np.asarray(shown.scene.images[v]), height=192) for v in shown.sources]
    return Turn(sources=sources, frames=pictures, film=film)


def held_out(model: ConditionedModel, objects: ObjectSet, sources: int) -> list[HeldOutView]:
    """One view of each object, to be rendered from others."""
    from maskfield.methods.pixelnerf.validation import held_out_views

    return held_out_views(objects, objects, sources)
