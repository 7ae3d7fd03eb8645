"""HM3D rooms as NeRF-MAE prepares them (spec nerf_mae 8.2).

SOURCE/ROOM with, anywhere below: N.json with ``pose`` (4 x 4 camera-to-world, OpenGL axes), N.png
beside or in another folder, and one JSON list of boxes with ``class_name`` and ``bbox`` [min, max]
(y up). The room is moved so that the mean of the camera centres is the origin.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from maskfield.core.errors import DataError
from maskfield.core.files import read_json
from maskfield.data.preparation.box_tables import LABEL, SMALL, Sieve, box_tables
from maskfield.data.preparation.capture_scenes import NO_PICTURE, NOT_CHOSEN
from maskfield.data.preparation.class_maps import NYU40, ClassMap, nyu40_classes
from maskfield.data.preparation.frames import foreseen_frame, ngp_normalisation, resolution_z_up
from maskfield.data.preparation.hdf5_frames import number_of
from maskfield.data.preparation.label_filters import excluded_labels, is_one_of
from maskfield.data.preparation.layout import (
    LeftOut,
    Picture,
    PreparedScene,
    features_of,
    prepare_scenes,
    select_frames,
)
from maskfield.data.preparation.nerf_boxes_json import world_bounds
from maskfield.data.preparation.ngp_boxes import NerfBoxes, hm3d_scene_valid
from maskfield.data.preparation.options import PrepareOptions
from maskfield.data.preparation.report import PreparedReport
from maskfield.data.preparation.sources import picture_size, pinhole, scene_folders
from maskfield.geometry.cameras import check_poses

EXCLUDED = frozenset(
    (
        *("wall", "floor", "door", "window", "counter", "shelves", "curtain", "books"),
        *("refrigerator", "television", "paper", "towel", "box", "whiteboard", "person"),
        *("night stand", "sink", "bag", "bookshelf", "otherprop", "pillow", "otherstructure"),
    )
)
MIN_SIZE, MAX_SIZE = 6.5, 35.0  # voxels of a grid whose longest side has GRID voxels
GRID = 160
LARGE = f"box: all sides above {MAX_SIZE:g} voxels"
_OTHER = "otherprop"


@dataclass(frozen=True, kw_only=True)
class Room:
    """A room's pictures and boxes, in the moved world."""

    pictures: list[Picture]
    missing: int
    boxes: NerfBoxes
    labels: list[str]
    bounds: Float[Tensor, "2 3"]


def prepare(source: Path, out: Path, options: PrepareOptions) -> PreparedReport:
    """Prepare HM3D rooms; see :func:`maskfield.api.data_prepare`."""
    categories = {} if options.categories is None else read_categories(options.categories)
    excluded = excluded_labels(options, EXCLUDED)

    def one(name: str, folder: Path) -> PreparedScene:
        room = _room(folder, categories)
        scale, offset, aabb_scale = ngp_normalisation(room.bounds)
        frame = features_of(name, source, out, options) or foreseen_frame(
            room.bounds, scale, offset, longest=options.longest, aabb_scale=aabb_scale
        )
        sieve = Sieve(len(room.labels))
        sieve.drop(is_one_of(room.labels, excluded), LABEL)
        _drop_by_size(room, sieve, options)
        tables = box_tables(room.boxes, room.labels, frame, sieve, min_size=0.0, drop_outside=False)
        resolution = resolution_z_up(frame)
        if not hm3d_scene_valid(len(tables.obb), resolution):
            raise LeftOut(
                f"{len(tables.obb)} boxes on {'x'.join(map(str, resolution))} voxels; more than 2 "
                "boxes and 100 voxels along every axis are needed"
            )
        train, val = select_frames(room.pictures, options.every)
        counts = {NO_PICTURE: room.missing, NOT_CHOSEN: len(room.pictures) - len(train) - len(val)}
        return PreparedScene(
            name=name,
            train=train,
            val=val,
            room=room.bounds,
            scale=scale,
            offset=offset,
            aabb_scale=aabb_scale,
            tables=tables,
            resolution=resolution,
            dropped={reason: n for reason, n in counts.items() if n},
        )

    def classes(_: Iterable[str]) -> ClassMap:
        return nyu40_classes()

    return prepare_scenes("hm3d", _folders(source), out, options, one, classes)


def read_categories(path: Path) -> dict[str, str]:
    """Raw category -> NYU40 name, from the Matterport table (csv or tsv).

    Raises:
        DataError: missing, without the columns, or with an id that is no NYU40 id.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            delimiter = "\t" if path.suffix == ".tsv" else ","
            rows = list(csv.DictReader(stream, delimiter=delimiter))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"cannot read the category table: {error}", file=path, remedy="check the path"
        ) from error
    columns = set(rows[0]) if rows else set()
    keys = [k for k in ("raw_category", "category") if k in columns]
    if not keys or not columns & {"nyu40id", "nyu40class"}:
        raise DataError(
            "the category table lacks a column",
            file=path,
            field="raw_category or category; nyu40id or nyu40class",
            value=sorted(columns),
            remedy="give Matterport's category_mapping.tsv",
        )
    return {
        row[k].strip().lower(): _nyu40(row, number, path)
        for number, row in enumerate(rows, 2)
        for k in keys
        if row.get(k)
    }


def _nyu40(row: dict[str, Any], number: int, path: Path) -> str:
    name = str(row.get("nyu40class") or "").strip()
    if name in NYU40:
        return name
    cell = str(row.get("nyu40id") or "").strip()
    if not cell:
        return _OTHER
    if not cell.isdecimal() or int(cell) >= len(NYU40):
        raise DataError(
            "a category has no NYU40 class",
            file=path,
            field=f"row {number}, column nyu40id",
            value=cell,
            remedy=f"give ids 0 to {len(NYU40) - 1}, or leave the cell empty (other)",
        )
    return NYU40[int(cell)]


def _drop_by_size(room: Room, sieve: Sieve, options: PrepareOptions) -> None:
    """Sides in voxels of the scene; the published code measures by the box itself instead."""
    span = (room.bounds[1] - room.bounds[0]).max()
    if options.compat == "official":
        corners = torch.stack(
            [room.boxes.position + s * room.boxes.extents / 2 for s in (-1, 1)], dim=1
        )
        span = (corners.flatten(1).amax(1) - corners.flatten(1).amin(1))[:, None]
    sides = room.boxes.extents * GRID / span
    least = MIN_SIZE if options.min_size is None else options.min_size
    sieve.drop((sides < least).any(1), SMALL.format(least))
    sieve.drop((sides > MAX_SIZE).all(1), LARGE)


def _folders(source: Path) -> list[tuple[str, Path]]:
    wanted = "ROOM folders with poses, pictures and boxes"
    return scene_folders(source, lambda p: next(p.rglob("*.json"), None) is not None, wanted)


def _room(folder: Path, categories: dict[str, str]) -> Room:
    poses: dict[Path, Any] = {}
    lists: dict[Path, list[Any]] = {}
    for path in sorted(folder.rglob("*.json")):
        value = read_json(path)
        if isinstance(value, dict) and "pose" in value:
            poses[path] = value["pose"]
        elif isinstance(value, list):
            lists[path] = value
    if not poses:
        raise LeftOut("it has no frames (JSON with `pose`)")
    pictures = _pictures(folder, poses)
    centre = np.mean([p.pose[:3, 3] for p in pictures], axis=0)
    for picture in pictures:
        picture.pose[:3, 3] -= centre
    rows = [(path, i, v) for path, entries in lists.items() for i, v in enumerate(entries)]
    boxes = _boxes([_corners(*row) - centre for row in rows])
    present = [p for p in pictures if p.file.is_file()]
    if not present:
        raise LeftOut("none of its pictures is there")
    unit = torch.tensor([[-1.0, -1, -1], [1, 1, 1]], dtype=torch.float64)
    return Room(
        pictures=present,
        missing=len(pictures) - len(present),
        boxes=boxes,
        labels=[_category(v, categories) for _, _, v in rows],
        bounds=world_bounds(boxes) if rows else unit,
    )


def _pictures(folder: Path, poses: dict[Path, Any]) -> list[Picture]:
    images = {p.stem: p for p in sorted(folder.rglob("*.png")) if "depth" not in p.parent.name}
    found = []
    for path, value in poses.items():
        pose = _pose(value, path)
        file = images.get(path.stem, path.with_suffix(".png"))
        found.append(Picture(file=file, number=number_of(path), pose=pose, camera=_lens(file)))
    return found


def _pose(value: Any, path: Path) -> Float[np.ndarray, "4 4"]:
    try:
        pose = np.array(value, dtype=np.float64).reshape(4, 4)
    except (TypeError, ValueError) as error:
        raise DataError(
            "a pose must be 4 x 4 numbers",
            file=path,
            field="pose",
            value=value,
            remedy="repair the file or remove the frame",
        ) from error
    check_poses(torch.from_numpy(pose)[None], file=str(path))
    return pose


def _lens(file: Path) -> dict[str, float]:
    """90 degrees wide: 256 pixels of focal length at 512 x 512."""
    size = picture_size(file, (512, 512))
    return pinhole(size, (size[0] / 2, size[0] / 2))


def _corners(path: Path, row: int, entry: Any) -> Float[np.ndarray, "2 3"]:
    """Min and max corner with y and z exchanged (the boxes are y-up)."""
    try:
        corners = np.array(entry["bbox"], dtype=np.float64).reshape(2, 3)[:, (0, 2, 1)]
    except (KeyError, TypeError, ValueError) as error:
        raise _bad_box(path, row, entry, "a box needs class_name and bbox [min, max]") from error
    low, high = corners.min(0), corners.max(0)
    if "class_name" not in entry or not np.isfinite(corners).all() or not (high > low).all():
        raise _bad_box(path, row, entry, "a box has no class, no volume, or is not finite")
    return np.stack([low, high])


def _bad_box(path: Path, row: int, entry: Any, problem: str) -> DataError:
    return DataError(
        problem,
        file=path,
        field=f"row {row} (class_name, bbox)",
        value=entry,
        remedy="give [[x, y, z], [x, y, z]] with an extent along every axis, or remove the box",
    )


def _boxes(corners: list[Float[np.ndarray, "2 3"]]) -> NerfBoxes:
    table = torch.from_numpy(np.stack(corners)) if corners else torch.zeros(0, 2, 3).double()
    return NerfBoxes(
        orientation=torch.eye(3, dtype=torch.float64).expand(len(table), 3, 3),
        position=table.mean(1),
        extents=table[:, 1] - table[:, 0],
    )


def _category(entry: dict[str, Any], categories: dict[str, str]) -> str:
    name = str(entry["class_name"]).strip().lower()
    return categories.get(name, name if name in NYU40 else _OTHER)
