"""Scenes of several ShapeNet objects, in the style of NeRF's Blender data (spec pixelnerf 4.4).

``PATH/train``, ``val`` and ``test`` hold a folder per scene, at any depth, with ``transforms.json``
(``camera_angle_x``; frames with ``file_path`` and ``transform_matrix``, OpenGL axes, Z-up world)
and ``NAME_obj.png``, RGBA, one per frame.
"""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from maskfield.core.errors import DataError, SceneError
from maskfield.core.files import read_json
from maskfield.data.pixel_sampling import mask_boxes
from maskfield.data.readers.object_views import (
    ObjectPlace,
    ObjectViews,
    decode,
    rigid,
    unit_range,
)
from maskfield.geometry.cameras import opencv_from_opengl

_NEAR, _FAR, _RADIUS = 4.0, 9.0, 2.5


def list_objects(root: Path, split: str) -> tuple[ObjectPlace, ...]:
    """The scenes of one split, in the order of their folders.

    Raises:
        DataError: no such folder, or no transforms.json in it.
    """
    folder = root / split
    files = sorted(folder.rglob("transforms.json"))
    if not files:
        raise DataError(
            "no objects of this split",
            file=folder,
            field="**/transforms.json",
            value=0,
            remedy="give the folder that holds train, val and test",
        )
    seen = Counter(f.parent.name for f in files)
    return tuple(_place(f.parent, folder, seen[f.parent.name] > 1) for f in files)


def read_object(place: ObjectPlace) -> ObjectViews:
    """Read one scene, over white.

    Raises:
        SceneError: missing or damaged files, frames without pose, no field of view.
    """
    file = place.path / "transforms.json"
    angle, frames = _read_head(file)
    images = [_image(file, i, frame) for i, frame in enumerate(frames)]
    poses = torch.stack([_pose(file, i, frame) for i, frame in enumerate(frames)])
    rgba = decode(images, place)
    focal = rgba.shape[2] / 2 / math.tan(angle / 2)
    masks = unit_range(rgba[..., 3])
    colours = unit_range(rgba[..., :3])
    return ObjectViews(
        images=colours * masks[..., None] + (1 - masks[..., None]),
        masks=masks,
        boxes=_boxes(rgba),
        poses=opencv_from_opengl(rigid(poses, file)),
        intrinsics=(focal, focal, rgba.shape[2] / 2, rgba.shape[1] / 2),
        names=tuple(p.stem.removesuffix("_obj") for p in images),
        world_from_source=torch.eye(4),
    )


def _boxes(rgba: UInt8[np.ndarray, "view h w 4"]) -> Float[Tensor, "view 4"]:
    """As officially: any channel counts, even under alpha 0; with none it is (0, 0, W, H).

    That box reaches a pixel beyond the image; pixels drawn from it are clamped.
    """
    boxes, filled = mask_boxes(rgba.max(axis=-1))
    boxes[~filled] = torch.tensor([0.0, 0.0, rgba.shape[2], rgba.shape[1]])
    return boxes


def _place(folder: Path, root: Path, twin: bool) -> ObjectPlace:
    """A name that several folders bear is told apart by the folders above."""
    name = "-".join(folder.relative_to(root).parts) if twin else folder.name
    return ObjectPlace(name=name or folder.name, path=folder, near=_NEAR, far=_FAR, radius=_RADIUS)


def _read_head(file: Path) -> tuple[float, list[Any]]:
    head = read_json(file)
    frames = head.get("frames") if isinstance(head, dict) else None
    if not isinstance(frames, list) or not frames:
        raise SceneError(
            "the file lists no frames",
            file=file,
            field="frames",
            value=frames,
            remedy="render the scene again",
        )
    angle = head.get("camera_angle_x")
    if not isinstance(angle, int | float) or not 0 < angle < math.pi:
        raise SceneError(
            "the horizontal field of view must be an angle in radians",
            file=file,
            field="camera_angle_x",
            value=angle,
            remedy="give a number between 0 and pi",
        )
    return float(angle), frames


def _image(file: Path, index: int, frame: Any) -> Path:
    name = frame.get("file_path") if isinstance(frame, dict) else None
    if not isinstance(name, str):
        raise SceneError(
            "a frame has no image",
            file=file,
            field=f"frames[{index}].file_path",
            value=name,
            remedy="render the scene again",
        )
    return file.parent / f"{PurePosixPath(name).stem}_obj.png"


def _pose(file: Path, index: int, frame: Any) -> Float[Tensor, "3 4"]:
    value = frame.get("transform_matrix")
    try:
        pose = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        pose = np.zeros(())
    if pose.shape not in ((3, 4), (4, 4)):
        raise SceneError(
            "a frame has no camera pose",
            file=file,
            field=f"frames[{index}].transform_matrix",
            value=value,
            remedy="every frame needs a 4 x 4 camera-to-world matrix",
        )
    return torch.from_numpy(pose)[:3]
