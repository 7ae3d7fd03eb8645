"""SUN RGB-D: single views with depth and 3-D boxes.

Any folder below SOURCE with annotation3Dfinal/index.json is a scene: intrinsics.txt (3 x 3),
extrinsics/*.txt (3 x 3 or 3 x 4: the turn that levels the camera), image/*.jpg, depth_bfx/*.png or
depth/*.png. Facts of the format: depth codes are millimetres rotated left by three bits; the
levelled frame is x right, y down, z forward, so the z-up world is (x, z, -y) of it; a box is a
floor quadrilateral X, Z in that world with heights -Ymin and -Ymax.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt16
from PIL import Image
from torch import Tensor

from maskfield.core.errors import DataError, SceneError
from maskfield.core.files import read_json
from maskfield.data.preparation.box_tables import LABEL, Sieve, box_tables
from maskfield.data.preparation.class_maps import named_classes
from maskfield.data.preparation.depth_points import backproject_depth
from maskfield.data.preparation.frames import foreseen_frame, ngp_normalisation, resolution_z_up
from maskfield.data.preparation.label_filters import excluded_labels, is_one_of
from maskfield.data.preparation.layout import (
    LeftOut,
    Picture,
    PreparedScene,
    features_of,
    prepare_scenes,
)
from maskfield.data.preparation.nerf_boxes_json import world_bounds, yaw_boxes
from maskfield.data.preparation.options import PrepareOptions
from maskfield.data.preparation.report import PreparedReport
from maskfield.data.preparation.sources import picture_size, pinhole
from maskfield.data.readers.region import percentile_box
from maskfield.geometry.cameras import check_poses, opengl_from_opencv

ANNOTATION = Path("annotation3Dfinal") / "index.json"
STRUCTURE = ("wall", "floor", "ceiling")
MIN_SIZE = 2.0
MAX_DEPTH = 8.0
EMPTY, DEGENERATE = "box: empty entry", "box: without area or height"
_WORLD_FROM_LEVEL = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
_BITS = 3
_TAIL = 0.01


def prepare(source: Path, out: Path, options: PrepareOptions) -> PreparedReport:
    """Prepare SUN RGB-D views; see :func:`maskfield.api.data_prepare`."""
    excluded = excluded_labels(options, STRUCTURE)

    def one(name: str, folder: Path) -> PreparedScene:
        rows, labels, dropped = read_annotation(folder / ANNOTATION)
        if not labels:
            raise LeftOut("it has no boxes")
        picture, points = _view(folder)
        boxes = yaw_boxes(rows)
        room = _room(world_bounds(boxes), points)
        scale, offset, aabb_scale = ngp_normalisation(room)
        frame = features_of(name, source, out, options) or foreseen_frame(
            room, scale, offset, longest=options.longest, aabb_scale=aabb_scale
        )
        sieve = Sieve(len(labels))
        sieve.drop(is_one_of(labels, excluded), LABEL)
        least = MIN_SIZE if options.min_size is None else options.min_size
        tables = box_tables(boxes, labels, frame, sieve, min_size=least)
        if not len(tables.obb):
            raise LeftOut("no box is left")
        return PreparedScene(
            name=name,
            train=[picture],
            val=[],
            room=room,
            scale=scale,
            offset=offset,
            aabb_scale=aabb_scale,
            tables=tables,
            resolution=resolution_z_up(frame),
            dropped=dict(dropped),
        )

    return prepare_scenes("sunrgbd", _folders(source), out, options, one, named_classes)


def read_annotation(path: Path) -> tuple[Float[Tensor, "n 7"], list[str], Counter[str]]:
    """World boxes (centre, l, w, h, yaw), their names, and what was dropped.

    Names lose what follows a colon ("chair:occluded"). Empty entries and boxes without area, which
    the annotation holds here and there, are dropped.

    Raises:
        DataError: not such a file, or a box whose numbers are missing or not finite (row named).
    """
    value = read_json(path)
    objects = value.get("objects") if isinstance(value, dict) else None
    if isinstance(objects, dict):  # a single object is not always in a list
        objects = [objects]
    if not isinstance(objects, list):
        raise DataError(
            "the annotation lists no objects",
            file=path,
            field="objects",
            value=objects,
            remedy="give annotation3Dfinal/index.json of SUN RGB-D",
        )
    rows, labels, dropped = [], [], Counter()
    for number, entry in enumerate(objects):
        if not isinstance(entry, dict) or not entry.get("polygon"):
            dropped[EMPTY] += 1
            continue
        row = _row(entry, number, path)
        if min(row[3:6]) <= 0:
            dropped[DEGENERATE] += 1
            continue
        rows.append(row)
        labels.append(str(entry.get("name", "object")).split(":")[0].strip(" _"))
    return torch.tensor(rows, dtype=torch.float64).reshape(-1, 7), labels, dropped


def decode_depth(codes: UInt16[np.ndarray, "h w"]) -> UInt16[np.ndarray, "h w"]:
    """Millimetres from SUN RGB-D's codes, whose bits are rotated left by three."""
    return (codes >> _BITS) | (codes << (16 - _BITS))


def camera_to_world(levelling: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "4 4"]:
    """OpenGL camera-to-world in the z-up world, at the origin.

    Args:
        levelling: the file's extrinsics: OpenCV camera axes to the levelled frame.
    """
    pose = np.eye(4)
    pose[:3, :3] = _WORLD_FROM_LEVEL @ levelling
    return opengl_from_opencv(torch.from_numpy(pose)).numpy()


def _row(entry: dict[str, Any], number: int, path: Path) -> list[float]:
    try:
        box = entry["polygon"][0]
        x, y = (np.array(box[key], dtype=np.float64).reshape(4) for key in ("X", "Z"))
        top, bottom = -float(box["Ymin"]), -float(box["Ymax"])
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise _bad(path, number, entry) from error
    first, second = (
        np.array([x[i + 1] - x[i], y[i + 1] - y[i]], dtype=np.float64) for i in range(2)
    )
    size = [float(np.hypot(*first)), float(np.hypot(*second)), abs(top - bottom)]
    yaw = float(np.arctan2(first[1], first[0]))
    centre = [(x[0] + x[2]) / 2, (y[0] + y[2]) / 2, (top + bottom) / 2]
    row = [*map(float, centre), *size, yaw]
    if not np.isfinite(row).all():
        raise _bad(path, number, entry)
    return row


def _bad(path: Path, number: int, entry: Any) -> DataError:
    return DataError(
        "a box needs four finite X and Z, and Ymin and Ymax",
        file=path,
        field=f"objects[{number}].polygon",
        value=entry,
        remedy="repair or remove the object",
    )


def _folders(source: Path) -> list[tuple[str, Path]]:
    found = [p.parent.parent for p in sorted(source.rglob(ANNOTATION.as_posix()))]
    if not found:
        raise SceneError(
            "no views here",
            file=source,
            field="source",
            value=ANNOTATION.as_posix(),
            remedy="give a folder of SUN RGB-D, e.g. SUNRGBD/kv2",
        )
    return [("-".join(p.relative_to(source).parts) or p.name, p) for p in found]


def _view(folder: Path) -> tuple[Picture, Float[Tensor, "n 3"]]:
    """The picture, and the world points its depth shows."""
    file = _one(folder, "image/*.jpg", "image/*.png")
    k = _numbers(folder / "intrinsics.txt", 9).reshape(3, 3)
    pose = camera_to_world(_levelling(folder))
    width, height = picture_size(file)
    depth = _depth(folder, (height, width))
    focal, centre = (float(k[0, 0]), float(k[1, 1])), (float(k[0, 2]), float(k[1, 2]))
    points, valid = backproject_depth(
        torch.from_numpy(depth.astype(np.float64) / 1000)[None],
        torch.from_numpy(pose)[None],
        focal,
        (centre[0], height - centre[1]),
        max_depth=MAX_DEPTH,
    )
    camera = pinhole((width, height), focal, centre)
    return Picture(file=file, number=0, pose=pose, camera=camera, depth=depth), points[valid]


def _levelling(folder: Path) -> Float[np.ndarray, "3 3"]:
    path = sorted((folder / "extrinsics").glob("*.txt"))[-1:]
    if not path:
        raise _missing(folder, "extrinsics/*.txt")
    values = _numbers(path[0], 9, 12)
    turn = values.reshape(3, -1)[:, :3]
    check_poses(torch.from_numpy(turn)[None], file=str(path[0]))
    return turn


def _depth(folder: Path, shape: tuple[int, int]) -> UInt16[np.ndarray, "h w"]:
    file = _one(folder, "depth_bfx/*.png", "depth/*.png")
    with Image.open(file) as picture:
        codes = np.asarray(picture)
    if codes.shape != shape or codes.dtype.kind not in "ui":
        raise DataError(
            "the depth map must have the size of the picture and hold 16-bit integers",
            file=file,
            value=(codes.shape, str(codes.dtype)),
            remedy=f"give a 16-bit PNG of {shape[1]} x {shape[0]}",
        )
    return decode_depth(codes.astype(np.uint16))


def _room(bounds: Float[Tensor, "2 3"], points: Float[Tensor, "n 3"]) -> Float[Tensor, "2 3"]:
    """What the boxes span and the depth shows, without the outer percent of the readings."""
    if len(points) < 100:
        return bounds
    seen = percentile_box(points, _TAIL, 0.0).double()
    low, high = torch.minimum(bounds[0], seen[0]), torch.maximum(bounds[1], seen[1])
    return torch.stack([low, high])


def _one(folder: Path, *patterns: str) -> Path:
    found = [p for pattern in patterns for p in sorted(folder.glob(pattern))]
    if not found:
        raise _missing(folder, " or ".join(patterns))
    return found[0]


def _missing(folder: Path, what: str) -> SceneError:
    return SceneError(
        "a file of the view is missing", file=folder, field=what, remedy="download it again"
    )


def _numbers(path: Path, *counts: int) -> Float[np.ndarray, " n"]:
    try:
        values = np.array(path.read_text().split(), dtype=np.float64)
    except (OSError, ValueError, UnicodeDecodeError) as error:
        raise SceneError(
            f"cannot read numbers: {error}", file=path, remedy="repair or download it again"
        ) from error
    if len(values) not in counts or not np.isfinite(values).all():
        raise SceneError(
            "the file holds another number of values, or values that are not finite",
            file=path,
            value=values.tolist(),
            remedy=f"expected {' or '.join(map(str, counts))} numbers",
        )
    return values
