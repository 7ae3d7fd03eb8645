"""Boxes in one grid: JSON, pictures, instant-ngp export."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskfield.core.errors import ConfigError, SceneError

if TYPE_CHECKING:
    from maskfield.core.files import StrPath
    from maskfield.geometry.boxes import Boxes3D
    from maskfield.verbs.given import Given

_SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class Detection:
    """What was found.

    Attributes:
        boxes: world frame, best first. files: written, ``boxes.json`` first.
        unit: of lengths: "m", or "" where the scene's unit is unknown.
    """

    boxes: Boxes3D
    files: tuple[Path, ...]
    unit: str = ""

    def text(self) -> str:
        """For people."""
        head = f"found: {len(self.boxes)} boxes"
        rows = [f"  {'  '.join(row)}" for row in table(self.boxes, self.unit)[: _SHOWN + 1]]
        more = len(self.boxes) - _SHOWN
        rows += [f"  ... and {more} more"] if more > 0 else []
        return "\n".join([head, *(rows if len(self.boxes) else [])])


def detect_in(
    source: StrPath,
    folder: Path,
    *,
    model: StrPath,
    top: int,
    threshold: float,
    scene: StrPath | None,
    ngp: bool,
    figures: bool,
    device: str,
) -> Detection:
    """See :func:`maskfield.api.detect`."""
    from maskfield.core.files import write_json
    from maskfield.core.runs import probe
    from maskfield.methods.nerf_rpn.predict import detect
    from maskfield.verbs.given import open_given
    from maskfield.verbs.models import load_detector

    _check(top, threshold)
    loaded = load_detector(model, device)
    given = open_given(source, scene=scene, longest=loaded.resolution or 160, photos=ngp or figures)
    if ngp:
        _require_scene(given)
    probe(folder)
    boxes = detect(
        loaded.model,
        given.grid,
        resolution=loaded.resolution,
        top=top,
        threshold=threshold,
        file=given.file,
    )
    write_json(folder / "boxes.json", boxes.to_json())
    files = [folder / "boxes.json"]
    if ngp:
        files.append(_export(given, boxes, folder))
    if figures:
        files += _draw(given, boxes, folder, loaded.name, getattr(loaded.data, "keep_labels", None))
    unit = "m" if given.grid.unit_length_m == 1 else ""
    return Detection(boxes=boxes, files=tuple(files), unit=unit)


def table(boxes: Boxes3D, unit: str = "") -> list[tuple[str, ...]]:
    """Rows of text, the head first: rank, score, centre, size, yaw in degrees."""
    within = f" [{unit}]" if unit else ""
    head = ("  #", "score", f"{'centre' + within:<20}", f"{'size' + within:<17}", "yaw [deg]")
    rows: list[tuple[str, ...]] = [head]
    for i in range(len(boxes)):
        score = "" if boxes.score is None else f"{float(boxes.score[i]):5.2f}"
        centre = " ".join(f"{v:6.2f}" for v in boxes.centre[i].tolist())
        size = " ".join(f"{v:5.2f}" for v in boxes.size[i].tolist())
        yaw = f"{math.degrees(float(boxes.yaw[i])):6.1f}"
        rows.append((f"{i + 1:3d}", score, centre, size, yaw))
    return rows


def _check(top: int, threshold: float) -> None:
    for name, value, good, remedy in (
        ("top", top, top >= 1, "give 1 or more boxes"),
        ("threshold", threshold, 0 <= threshold < 1, "give a score from 0 to below 1"),
    ):
        if not good:
            raise ConfigError("out of range", field=name, value=value, remedy=remedy)


def _require_scene(given: Given) -> None:
    if given.scene is None:
        raise SceneError(
            "the export for instant-ngp needs the scene's cameras",
            file=given.file,
            field="scene",
            remedy="give the scene (or its transforms.json) with --scene",
        )


def _export(given: Given, boxes: Boxes3D, folder: Path) -> Path:
    from maskfield.data.preparation.ngp_export import export_boxes

    assert given.scene is not None
    return export_boxes(given.scene, boxes, folder / "ngp", given.scene_source or "")


def _draw(
    given: Given, boxes: Boxes3D, folder: Path, model: str, classes: tuple[int, ...] | None
) -> list[Path]:
    """Pictures and the report; ``classes``: those that the detector was trained on."""
    from maskfield.figures.boxes import box_photographs, box_views
    from maskfield.figures.pictures import save_picture
    from maskfield.figures.report import Figure

    truth = _wanted(given.truth, classes)
    pictures = {"boxes-views.png": box_views(given.grid, boxes, truth)}
    if given.scene is not None:
        pictures["boxes-photographs.png"] = box_photographs(given.scene, boxes, truth)
    for name, picture in pictures.items():
        save_picture(picture, folder / name)
    captions = {
        "boxes-views.png": "the grid, opened towards the camera; numbers are ranks by score",
        "boxes-photographs.png": "the same boxes seen by the photographs' cameras",
    }
    shown = [Figure(picture=folder / name, caption=captions[name]) for name in pictures]
    return [*(folder / n for n in pictures), _report(given, boxes, folder, model, shown)]


def _wanted(truth: Boxes3D | None, classes: tuple[int, ...] | None) -> Boxes3D | None:
    import torch

    if truth is None or classes is None:
        return truth
    return truth[torch.isin(truth.label, torch.tensor(classes))]


def _report(given: Given, boxes: Boxes3D, folder: Path, model: str, shown: list[Any]) -> Path:
    from maskfield.figures.report import Section
    from maskfield.verbs.answers import write_answer

    unit = "m" if given.grid.unit_length_m == 1 else ""
    best = "-" if not len(boxes) or boxes.score is None else f"{float(boxes.score[0]):.2f}"
    section = Section(
        title="Boxes",
        numbers={"boxes": str(len(boxes)), "best score": best},
        table=table(boxes, unit) if len(boxes) else (),
        text=() if len(boxes) else ("Nothing was found.",),
        figures=shown,
    )
    return write_answer("boxes", given, model, [section], folder)
