"""Which scenes of an official data folder can be trained on (spec nerf_rpn 2.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from maskfield.core.errors import DataError
from maskfield.core.files import StrPath
from maskfield.data.readers.nerf_rpn import present_scenes, read_boxes
from maskfield.geometry.boxes import Boxes3D


@dataclass(frozen=True, kw_only=True)
class DetectionScene:
    """One scene: its name, feature file, and boxes in voxels."""

    name: str
    features: Path
    boxes: Boxes3D


def detection_scenes(
    folder: StrPath,
    names: Sequence[str] | None = None,
    *,
    kind: Literal["obb", "aabb"] = "obb",
    percent: float = 1.0,
) -> list[DetectionScene]:
    """Scenes with features and at least one box, in the order of ``names``.

    Args:
        names: scenes of a split; None takes every feature file.
        kind: the folder the boxes lie in.
        percent: the first part of the names only.

    Raises:
        DataError: no features at all, a box file that is missing or damaged, or no box anywhere.
    """
    chosen = None if names is None else tuple(names)
    tables = Path(folder) / kind
    scenes = [
        DetectionScene(name=name, features=path, boxes=read_boxes(tables / f"{name}.npy"))
        for name, path in present_scenes(folder, chosen, percent)
    ]
    kept = [scene for scene in scenes if len(scene.boxes)]
    if not kept:
        raise DataError(
            "no scene has a box",
            file=tables,
            field="scenes",
            value=len(scenes),
            remedy=f"give a folder whose {kind}/SCENE.npy hold at least one row",
        )
    return kept
