"""A transforms.json with ``bounding_boxes``, which instant-ngp draws (spec nerf_rpn 15)."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from maskfield.core.errors import DataError
from maskfield.core.files import StrPath, read_json, write_json
from maskfield.data.preparation.nerf_boxes_json import bounding_boxes_json, yaw_boxes
from maskfield.data.preparation.ngp_boxes import NerfBoxes
from maskfield.data.readers.transforms_json import read_frames
from maskfield.data.scene import Scene
from maskfield.data.writers import write_transforms_json
from maskfield.geometry.boxes import Boxes3D

_PATHS = ("file_path", "mask_path", "depth_file_path", "depth_path")
_LABEL = "object"  # the detector knows one class


def export_boxes(scene: Scene, boxes: Boxes3D, folder: StrPath, source: StrPath) -> Path:
    """Write ``folder/transforms.json`` with the boxes in it.

    A scene that came from a transforms.json gets a copy of that file (paths of the images are
    made relative to ``folder``); any other is written with its images.

    Args:
        boxes: world frame, with scores.
        source: where the scene came from: a transforms.json, its folder, or anything else.

    Raises:
        StorageError: the folder cannot be written. SceneError: the source cannot be read.
    """
    folder, original = Path(folder), transforms_of(Path(source))
    if original is None:
        path = write_transforms_json(scene, folder)
        head, turn = read_json(path), torch.eye(4, dtype=torch.float64)
    else:
        path = folder / "transforms.json"
        head = read_json(original)
        turn = _file_from_world(scene, original, head)
        head["frames"] = [_relative(f, original.parent, folder) for f in head["frames"]]
        _refuse_same(original, path)
    head["bounding_boxes"] = entries(boxes, turn)
    write_json(path, head)
    return path


def transforms_of(source: Path) -> Path | None:
    """The transforms.json that ``source`` is or holds, unless it is a scene folder of ours."""
    if source.is_file() and source.suffix == ".json" and source.name != "scene.json":
        return source
    inside = source / "transforms.json"
    return inside if inside.is_file() and not (source / "scene.json").is_file() else None


def entries(
    boxes: Boxes3D, file_from_world: Float[Tensor, "4 4"] | None = None
) -> list[dict[str, Any]]:
    """``bounding_boxes`` of the world boxes in a file's frame (a rigid motion of the world)."""
    found = yaw_boxes(boxes.rows().double())
    if file_from_world is not None:
        found = _moved(found, file_from_world.double())
    rows = bounding_boxes_json(found, [_LABEL] * len(boxes))
    if boxes.score is None:
        return rows
    scores = boxes.score.double().tolist()
    return [{**row, "score": score} for row, score in zip(rows, scores, strict=True)]


def _moved(boxes: NerfBoxes, motion: Float[Tensor, "4 4"]) -> NerfBoxes:
    return replace(
        boxes,
        orientation=motion[:3, :3] @ boxes.orientation,
        position=boxes.position @ motion[:3, :3].T + motion[:3, 3],
    )


def _file_from_world(scene: Scene, path: Path, head: Any) -> Float[Tensor, "4 4"]:
    """How the reader turned the file's frame, undone: told from one camera (scale is kept)."""
    given, read = torch.eye(4, dtype=torch.float64), torch.eye(4, dtype=torch.float64)
    given[:3] = torch.as_tensor(read_frames(path, head)[0].camera_to_world, dtype=torch.float64)
    read[:3] = scene.cameras.camera_to_world[0].double()
    return given @ torch.linalg.inv(read)


def _relative(frame: dict[str, Any], old: Path, new: Path) -> dict[str, Any]:
    def moved(name: str) -> str:
        return Path(os.path.relpath((old / name).resolve(), new.resolve())).as_posix()

    return {k: moved(v) if k in _PATHS and isinstance(v, str) else v for k, v in frame.items()}


def _refuse_same(original: Path, path: Path) -> None:
    if path.exists() and path.resolve() == original.resolve():
        raise DataError(
            "the copy would replace the scene's own transforms.json",
            file=path,
            field="out",
            remedy="choose another folder with --out",
        )
