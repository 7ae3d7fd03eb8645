"""Scenes that come with a transforms.json (3D-FRONT and Hypersim as NeRF-RPN releases them)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from maskfield.core.errors import SceneError
from maskfield.core.files import read_json
from maskfield.data.preparation.box_tables import BoxTables
from maskfield.data.preparation.frames import foreseen_frame, ngp_normalisation, resolution_z_up
from maskfield.data.preparation.hdf5_frames import number_of
from maskfield.data.preparation.layout import LeftOut, Picture, PreparedScene, select_frames
from maskfield.data.preparation.nerf_boxes_json import read_bounding_boxes, world_bounds
from maskfield.data.preparation.ngp_boxes import NerfBoxes, NgpFrame
from maskfield.data.preparation.sources import scene_folders
from maskfield.data.readers.transforms_json import read_frames
from maskfield.geometry.cameras import check_poses

NO_PICTURE = "frame: the picture is missing"
NOT_CHOSEN = "frame: not chosen (every n-th)"
_CAMERA_KEYS = (
    *("fl_x", "fl_y", "cx", "cy", "w", "h", "camera_angle_x", "camera_angle_y"),
    *("k1", "k2", "p1", "p2"),
)


@dataclass(frozen=True, kw_only=True)
class Capture:
    """A scene as its transforms.json tells it; ``labels`` are ints, words or None."""

    train: list[Picture]
    val: list[Picture]
    boxes: NerfBoxes
    labels: tuple[Any, ...]
    room: Float[Tensor, "2 3"]
    scale: float
    offset: Float[Tensor, " 3"]
    aabb_scale: int
    from_mitsuba: bool
    dropped: dict[str, int]


def capture_folders(source: Path) -> list[tuple[str, Path]]:
    """Name and folder of every scene below ``source`` that has a transforms.json.

    Raises:
        DataError: there is none.
    """
    return scene_folders(source, lambda p: _main_file(p).is_file(), "SCENE/train/transforms.json")


def read_capture(folder: Path, *, every: int, margin: float = 0.0) -> Capture:
    """Read one scene.

    Args:
        every: keep every n-th frame.
        margin: where the file has no room_bbox, the room is what its boxes span, enlarged by this
            share of the extent on every side.

    Raises:
        DataError, SceneError: what is damaged. LeftOut: no picture, or neither room nor boxes.
    """
    file = _main_file(folder)
    head = read_json(file)
    boxes, labels = read_bounding_boxes(head.get("bounding_boxes"), file)
    given = _pictures(file, head)
    train, val = _parts(folder, file, given, every)
    present = [p for p in (*train, *val) if p.file.is_file()]
    if not present:
        raise LeftOut("none of its pictures is there")
    room = _room(head, boxes, margin, file)
    scale, offset, aabb_scale = _normalisation(head, room, file)
    counts = {
        NO_PICTURE: len(train) + len(val) - len(present),
        NOT_CHOSEN: max(len(given) - len(train) - len(val), 0),
    }
    return Capture(
        train=[p for p in train if p.file.is_file()],
        val=[p for p in val if p.file.is_file()],
        boxes=boxes,
        labels=labels,
        room=room,
        scale=scale,
        offset=offset,
        aabb_scale=aabb_scale,
        from_mitsuba=bool(head.get("from_mitsuba")),
        dropped={reason: n for reason, n in counts.items() if n},
    )


def capture_frame(capture: Capture, known: NgpFrame | None, longest: int) -> NgpFrame:
    """The grid's frame: as extracted, or as the extraction will choose it."""
    return known or foreseen_frame(
        capture.room,
        capture.scale,
        capture.offset,
        longest=longest,
        aabb_scale=capture.aabb_scale,
        from_mitsuba=capture.from_mitsuba,
    )


def captured_scene(
    name: str, capture: Capture, tables: BoxTables, frame: NgpFrame
) -> PreparedScene:
    """A capture with its boxes, ready to be written."""
    return PreparedScene(
        name=name,
        train=capture.train,
        val=capture.val,
        room=capture.room,
        scale=capture.scale,
        offset=capture.offset,
        aabb_scale=capture.aabb_scale,
        from_mitsuba=capture.from_mitsuba,
        tables=tables,
        resolution=resolution_z_up(frame),
        dropped=capture.dropped,
    )


def _main_file(folder: Path) -> Path:
    inner = folder / "train" / "transforms.json"
    return inner if inner.is_file() else folder / "transforms.json"


def _parts(
    folder: Path, file: Path, given: list[Picture], every: int
) -> tuple[list[Picture], list[Picture]]:
    """As the source splits them, or by the official rule."""
    other = folder / "val" / "transforms.json"
    if not other.is_file() or other == file:
        return select_frames(given, every)
    chosen = sorted(given, key=lambda p: p.number)[::every]
    return chosen, _pictures(other, read_json(other))


def _pictures(file: Path, head: Any) -> list[Picture]:
    frames = read_frames(file, head)
    poses = np.stack([np.array(entry["transform_matrix"])[:3, :4] for entry in head["frames"]])
    cameras = torch.tensor(np.stack([np.array(f.camera_to_world) for f in frames]))
    check_poses(cameras, file=str(file))
    pictures = []
    for frame, entry, pose in zip(frames, head["frames"], poses, strict=True):
        both = {**{k: head[k] for k in _CAMERA_KEYS if k in head}, **entry}
        pictures.append(
            Picture(
                file=frame.image,
                number=number_of(Path(frame.name)),
                pose=np.concatenate([pose, [[0.0, 0, 0, 1]]]),
                camera={k: both[k] for k in _CAMERA_KEYS if k in both},
            )
        )
    return pictures


def _room(head: Any, boxes: NerfBoxes, margin: float, file: Path) -> Float[Tensor, "2 3"]:
    if head.get("room_bbox") is None and len(boxes.position):
        bounds = world_bounds(boxes)
        grow = margin * (bounds[1] - bounds[0])
        return torch.stack([bounds[0] - grow, bounds[1] + grow])
    if head.get("room_bbox") is None:
        raise LeftOut("it has neither room_bbox nor bounding_boxes")
    try:
        corners = torch.tensor(head["room_bbox"], dtype=torch.float64).reshape(2, 3)
    except (TypeError, ValueError, RuntimeError) as error:
        raise _bad_head(file, "room_bbox", head["room_bbox"]) from error
    room = torch.stack([corners.amin(0), corners.amax(0)])
    if not (torch.isfinite(room).all() and (room[1] > room[0]).all()):
        raise _bad_head(file, "room_bbox", head["room_bbox"])
    return room


def _normalisation(
    head: Any, room: Float[Tensor, "2 3"], file: Path
) -> tuple[float, Float[Tensor, " 3"], int]:
    if head.get("scale") is None or head.get("offset") is None:
        return ngp_normalisation(room)
    try:
        scale = float(head["scale"])
        offset = torch.tensor(head["offset"], dtype=torch.float64).expand(3).clone()
        aabb_scale = int(head.get("aabb_scale") or 1)
    except (TypeError, ValueError, RuntimeError) as error:
        raise _bad_head(file, "scale, offset, aabb_scale", head.get("offset")) from error
    if not scale > 0 or not torch.isfinite(offset).all():
        raise _bad_head(file, "scale, offset", (scale, offset.tolist()))
    return scale, offset, aabb_scale


def _bad_head(file: Path, field: str, value: object) -> SceneError:
    return SceneError(
        "the place of the room cannot be used",
        file=file,
        field=field,
        value=value,
        remedy="give room_bbox [[x, y, z], [x, y, z]], scale > 0 and offset [3], all finite",
    )
