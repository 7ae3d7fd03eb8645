"""SRN's renderings of ShapeNet cars and chairs (spec pixelnerf 4.1).

``PATH_train``, ``PATH_val`` and ``PATH_test`` hold one folder per object: ``intrinsics.txt`` (first
line "f cx cy 0"), ``rgb/*.png`` on white, ``pose/*.txt`` (camera-to-world, OpenCV axes). The world
is kept: Z-up, the object at the origin.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from maskfield.core.errors import DataError, SceneError
from maskfield.data.readers.folders import list_images
from maskfield.data.readers.object_views import (
    ObjectPlace,
    ObjectViews,
    decode,
    filled_boxes,
    positive_focal,
    require_equal,
    rigid,
    unit_range,
)

_CARS, _CHAIRS = (0.8, 1.8, 0.65), (1.25, 2.75, 0.75)  # near, far, half the side of a box
_NESTED = "chairs_2.0_train"


def split_folder(root: Path, split: str) -> Path:
    """``PATH_train`` for PATH; the released chairs lie one folder deeper."""
    folder = root.with_name(f"{root.name}_{split}")
    nested = folder / _NESTED
    return nested if split == "train" and "chair" in root.name and nested.is_dir() else folder


def list_objects(root: Path, split: str) -> tuple[ObjectPlace, ...]:
    """The objects of one split, by name.

    Raises:
        DataError: no such folder, or no object in it.
    """
    folder = split_folder(root, split)
    found = sorted(folder.glob("*/intrinsics.txt"))
    if not found:
        raise DataError(
            "no objects of this split",
            file=folder,
            field="*/intrinsics.txt",
            value=0,
            remedy="give PATH of the folders PATH_train, PATH_val and PATH_test",
        )
    near, far, radius = _CHAIRS if "chair" in root.name else _CARS
    return tuple(
        ObjectPlace(name=p.parent.name, path=p.parent, near=near, far=far, radius=radius)
        for p in found
    )


def read_object(place: ObjectPlace, world_scale: float = 1.0) -> ObjectViews:
    """Read one object.

    Args:
        world_scale: multiplies the translations, and the focal length with them (as officially).

    Raises:
        SceneError: missing, damaged or unequal files, a view without the object.
    """
    images, poses = list_images(place.path / "rgb"), sorted((place.path / "pose").glob("*.txt"))
    require_equal({"rgb": len(images), "pose": len(poses)}, place)
    focal, cx, cy = _read_intrinsics(place.path / "intrinsics.txt")
    motion = torch.stack([_read_pose(p) for p in poses])
    motion[:, :, 3] *= world_scale
    pixels = decode(images, place)[..., :3]
    masks = np.where((pixels != 255).all(axis=-1), np.uint8(255), np.uint8(0))
    source = torch.eye(4)
    source[:3, :3] *= world_scale
    return ObjectViews(
        images=unit_range(pixels),
        masks=unit_range(masks),
        boxes=filled_boxes(masks, images),
        poses=rigid(motion, place.path / "pose"),
        intrinsics=(focal * world_scale, focal * world_scale, cx, cy),
        names=tuple(p.stem for p in images),
        world_from_source=source,
    )


def _read_intrinsics(file: Path) -> tuple[float, float, float]:
    """Focal length and principal point in pixels."""
    lines = _read_lines(file)
    numbers = _numbers(lines[0].split() if lines else [], file, "line 1: f cx cy 0", 3)
    return positive_focal(numbers[0], file, "line 1: f"), numbers[1], numbers[2]


def _read_pose(file: Path) -> Float[Tensor, "3 4"]:
    words = " ".join(_read_lines(file)).split()
    return torch.tensor(_numbers(words, file, "16 numbers", 16), dtype=torch.float64).view(4, 4)[:3]


def _read_lines(file: Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SceneError(
            f"cannot read the file: {error}", file=file, remedy="copy the object again"
        ) from error


def _numbers(words: Sequence[str], file: Path, field: str, count: int) -> list[float]:
    """The first ``count`` words as numbers."""
    try:
        numbers = [float(w) for w in words[:count]]
    except ValueError:
        numbers = []
    if len(numbers) < count:
        raise SceneError(
            "the file does not hold the numbers it should",
            file=file,
            field=field,
            value=" ".join(words[:count]),
            remedy="copy the object again",
        )
    return numbers
