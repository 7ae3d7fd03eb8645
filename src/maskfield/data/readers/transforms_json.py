"""transforms.json of instant-ngp, nerfstudio and Blender exports.

Poses are camera-to-world with OpenGL axes. instant-ngp's and Blender's worlds are Z-up already and
are kept as they are. nerfstudio's files leave the up direction to the loader: they are turned so
that the cameras' average up is +Z. Mitsuba files (``from_mitsuba``) are Y-up with x left, z
forward. The file's scale is always kept. ``applied_transform`` (and ``applied_scale``) are undone
in ``world_from_source``, whose source is then the frame before that transform.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from maskfield.core.errors import SceneError
from maskfield.core.files import StrPath, read_json
from maskfield.data.readers.capture import Frame, find_image, load_frames, to_scene
from maskfield.data.readers.lens import Lens
from maskfield.data.readers.options import DEFAULT, ReadOptions
from maskfield.data.readers.region import focus_box, moved, upright
from maskfield.data.scene import Scene
from maskfield.geometry.cameras import Cameras

_OPENGL = (1.0, -1.0, -1.0, 1.0)  # columns of a pose, to OpenCV axes
_MITSUBA = (-1.0, -1.0, 1.0, 1.0)
_Z_UP_FROM_Y_UP = ((0.0, 0.0, 1.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0))  # instant-ngp's cycle
_NERFSTUDIO_KEYS = ("camera_model", "applied_transform", "orientation_override", "ply_file_path")
_SPLITS = {"train": "train_filenames", "val": "val_filenames", "test": "test_filenames"}
EXTRA = "maskfield"  # what write_transforms_json adds, so that a scene comes back as it was


def read(path: StrPath, options: ReadOptions = DEFAULT) -> Scene:
    """Read a transforms.json (or the folder that holds one).

    Raises:
        SceneError: missing or damaged files, bad poses, a lens other than Brown's.
    """
    path = Path(path)
    path = path / "transforms.json" if path.is_dir() else path
    head = read_json(path)
    frames = read_frames(path, head)
    with _head_of(path):
        unit, split = _depth_unit(head), _split(head)
    loaded = load_frames(frames, options, file=str(path), depth_unit=unit)
    with _head_of(path):
        turn = _turn(head, loaded.cameras)
        box, unbounded = _region(head, moved(turn, loaded.cameras))
    scene = to_scene(
        loaded,
        box,
        turn,
        file=str(path),
        holdout=options.holdout,
        split=split,
    )
    with _head_of(path):
        return _described(scene, head, turn, unbounded)


@contextmanager
def _head_of(path: Path) -> Iterator[None]:
    """Values of the file's head that cannot be used become a typed error."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise SceneError(
            f"a value in the head of the file cannot be used: {error!r}",
            file=path,
            field="scale, offset, aabb_scale, room_bbox, applied_transform, splits",
            remedy="repair the value or remove its key",
        ) from error


def read_frames(path: Path, head: Any) -> list[Frame]:
    """The frames of a transforms.json whose content is ``head``.

    Raises:
        SceneError: the file has no usable ``frames``.
    """
    entries = head.get("frames") if isinstance(head, dict) else None
    if not isinstance(entries, list) or not entries:
        raise SceneError(
            "the file lists no frames (the capture has no cameras)",
            file=path,
            field="frames",
            value=None if entries is None else entries,
            remedy="give a transforms.json with a non-empty list `frames`",
        )
    return [_frame(path, head, entry, index) for index, entry in enumerate(entries)]


def _frame(path: Path, head: Mapping[str, Any], entry: Any, index: int) -> Frame:
    if not isinstance(entry, dict) or "file_path" not in entry or "transform_matrix" not in entry:
        raise SceneError(
            "a frame needs file_path and transform_matrix",
            file=path,
            field=f"frames[{index}]",
            value=entry,
            remedy="repair the entry",
        )
    lens = Lens(head, entry, str(path))
    columns = _MITSUBA if head.get("from_mitsuba") else _OPENGL
    name = _posix(entry["file_path"])
    return Frame(
        image=find_image(path.parent / name),
        name=str(entry.get("name", name)) if EXTRA in head else name,
        camera_to_world=_matrix(entry["transform_matrix"], path, index) * np.array(columns),
        intrinsics=lens.intrinsics(),
        size=lens.size(),
        relative=lens.size() is None,
        distortion=lens.distortion(),
        mask=_beside(path, entry, "mask_path"),
        depth=_beside(path, entry, "depth_file_path") or _beside(path, entry, "depth_path"),
    )


def _matrix(value: Any, path: Path, index: int) -> np.ndarray:
    try:
        matrix = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        matrix = np.zeros(())
    if matrix.shape not in ((3, 4), (4, 4)):
        raise SceneError(
            "transform_matrix must be 3 x 4 or 4 x 4 numbers",
            file=path,
            field=f"frames[{index}].transform_matrix",
            value=value,
            remedy="repair the entry",
        )
    return matrix[:3]


def _beside(path: Path, entry: Mapping[str, Any], key: str) -> Path | None:
    value = entry.get(key)
    return None if not value else path.parent / str(value).replace("\\", "/")


def _depth_unit(head: Mapping[str, Any]) -> float:
    """Source units per stored depth value; nerfstudio's default is millimetres to metres."""
    for key in ("integer_depth_scale", "depth_unit_scale_factor"):
        if head.get(key):
            return float(head[key])
    return 1e-3


def _turn(head: Mapping[str, Any], cameras: Cameras) -> Float[Tensor, "4 4"]:
    turn = torch.eye(4, dtype=torch.float64)
    if head.get("from_mitsuba"):
        turn[:3, :3] = torch.tensor(_Z_UP_FROM_Y_UP, dtype=torch.float64)
    elif not _z_up(head):
        turn = upright(cameras)
    return turn


def _z_up(head: Mapping[str, Any]) -> bool:
    if EXTRA in head or "aabb_scale" in head:
        return True
    return not any(head.get(k) for k in _NERFSTUDIO_KEYS)


def _region(head: Mapping[str, Any], cameras: Cameras) -> tuple[Float[Tensor, "2 3"], bool]:
    """Box in the turned world, and whether the capture shows far more than it."""
    if EXTRA in head:
        return torch.tensor(head[EXTRA]["box"]), bool(head[EXTRA]["unbounded"])
    aabb_scale = float(head.get("aabb_scale") or 0)
    if head.get("room_bbox") is not None:
        corners = torch.tensor(head["room_bbox"], dtype=torch.float32).reshape(2, 3)
        return torch.stack([corners.amin(0), corners.amax(0)]), False
    if head.get("scale") is not None:
        return unit_cube(head), aabb_scale > 1
    if aabb_scale == 1:
        return unit_cube(head), False
    return focus_box(cameras), True


def unit_cube(head: Mapping[str, Any]) -> Float[Tensor, "2 3"]:
    """instant-ngp's unit cube, 0 <= p * scale + offset <= 1, in the file's coordinates."""
    scale = float(head.get("scale") or 0.33)
    offset = torch.tensor(head.get("offset") or [0.5, 0.5, 0.5], dtype=torch.float32)
    return torch.stack([-offset / scale, (1 - offset) / scale])


def _split(head: Mapping[str, Any]) -> dict[str, tuple[int, ...]] | None:
    """nerfstudio's ``train_filenames`` etc.; None when the file names no split."""
    if not any(head.get(k) for k in _SPLITS.values()):
        return None
    index = {_posix(f["file_path"]): i for i, f in enumerate(head["frames"])}
    return {
        split: tuple(index[_posix(n)] for n in head[key] if _posix(n) in index)
        for split, key in _SPLITS.items()
        if key in head
    }


def _posix(name: object) -> str:
    return str(PurePosixPath(str(name).replace("\\", "/")))


def _described(
    scene: Scene, head: Mapping[str, Any], turn: Float[Tensor, "4 4"], unbounded: bool
) -> Scene:
    extra = head.get(EXTRA) or {}
    metric = bool(extra.get("metric", False))
    return replace(
        scene,
        unbounded=unbounded,
        up_known=bool(extra.get("up_known", _z_up(head) or bool(head.get("from_mitsuba")))),
        metric=metric,
        unit_length_m=extra.get("unit_length_m", 1.0 if metric else None),
        near=extra.get("near", _optional(head, "near")),
        far=extra.get("far", _optional(head, "far")),
        world_from_source=(turn @ _before_applied(head)).float(),
    )


def _optional(head: Mapping[str, Any], key: str) -> float | None:
    return float(head[key]) if isinstance(head.get(key), int | float) else None


def _before_applied(head: Mapping[str, Any]) -> Float[Tensor, "4 4"]:
    """file_from_source: what the file's writer did to the poses, as a similarity."""
    matrix = torch.eye(4, dtype=torch.float64)
    applied = head.get("applied_transform")
    if applied is not None:
        matrix[:3] = torch.tensor(applied, dtype=torch.float64)[:3]
    matrix[:3] *= float(head.get("applied_scale") or 1.0)
    return matrix
