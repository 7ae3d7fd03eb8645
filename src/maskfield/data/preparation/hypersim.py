"""Hypersim (specs nerf_rpn 2.3, nerf_mae 8.2).

Two sources are known. The raw data set: SOURCE/SCENE/_detail/{cam_XX, mesh}/*.hdf5 and
images/scene_cam_XX_final_preview; positions become metres. NeRF-RPN's release: SOURCE/SCENE/train/
transforms.json with ``bounding_boxes`` whose labels are NYU40 ids.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from maskfield.core.errors import DataError
from maskfield.data.preparation.box_tables import HAND, LABEL, Sieve, box_tables
from maskfield.data.preparation.capture_scenes import (
    NO_PICTURE,
    NOT_CHOSEN,
    Capture,
    capture_frame,
    captured_scene,
    read_capture,
)
from maskfield.data.preparation.class_maps import NYU40, ClassMap, nyu40_classes
from maskfield.data.preparation.frames import ngp_normalisation
from maskfield.data.preparation.hdf5_frames import read_array
from maskfield.data.preparation.label_filters import (
    EXCLUDED_NYU40_NAMES,
    excluded_labels,
    is_one_of,
)
from maskfield.data.preparation.layout import (
    LeftOut,
    Picture,
    PreparedScene,
    features_of,
    prepare_scenes,
    select_frames,
)
from maskfield.data.preparation.nerf_boxes_json import world_bounds
from maskfield.data.preparation.ngp_boxes import NerfBoxes
from maskfield.data.preparation.options import PrepareOptions
from maskfield.data.preparation.report import PreparedReport
from maskfield.data.preparation.sources import picture_size, pinhole, scene_folders

MIN_SIZE = 2.0
MARGIN = 0.1  # of the extent, on every side of what the boxes span
NO_CLASS = "box: no class"
_BOXES = "metadata_semantic_instance_bounding_box_object_aligned_2d_{}.hdf5"
_FIELD_OF_VIEW = math.pi / 3
_KEY = "dataset"


def prepare(source: Path, out: Path, options: PrepareOptions) -> PreparedReport:
    """Prepare Hypersim scenes; see :func:`maskfield.api.data_prepare`."""
    excluded = excluded_labels(options, EXCLUDED_NYU40_NAMES)

    def one(name: str, folder: Path) -> PreparedScene:
        capture = _capture(folder, options)
        frame = capture_frame(capture, features_of(name, source, out, options), options.longest)
        labels = [_label(value, i, folder) for i, value in enumerate(capture.labels)]
        sieve = Sieve(len(labels))
        sieve.drop(is_one_of(labels, frozenset(("void",))), NO_CLASS)
        sieve.drop(is_one_of(labels, excluded), LABEL)
        sieve.drop(filtered_by_hand(name, len(labels), options), HAND)
        tables = box_tables(
            capture.boxes,
            labels,
            frame,
            sieve,
            min_size=MIN_SIZE if options.min_size is None else options.min_size,
            aabb_y_up=options.compat == "official",
        )
        if not len(tables.obb):
            raise LeftOut("no box is left")
        return captured_scene(name, capture, tables, frame)

    def classes(_: Iterable[str]) -> ClassMap:
        return nyu40_classes()

    return prepare_scenes("hypersim", _folders(source), out, options, one, classes)


def filtered_by_hand(name: str, count: int, options: PrepareOptions) -> Bool[Tensor, " n"]:
    """Boxes that a list made by hand filters: box_id, manually_filtered (0 or 1).

    Raises:
        DataError: the list is missing or damaged, or names a box that is not there.
    """
    flags = torch.zeros(count, dtype=torch.bool)
    if options.manual is None:
        return flags
    path = options.manual / f"{name}.csv" if options.manual.is_dir() else options.manual
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            for number, row in enumerate(csv.DictReader(stream), 2):
                _flag(flags, row, number, path)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"cannot read the list of boxes filtered by hand: {error}",
            file=path,
            remedy="give SCENE.csv with the columns box_id, manually_filtered",
        ) from error
    return flags


def _flag(flags: Bool[Tensor, " n"], row: dict[str, Any], number: int, path: Path) -> None:
    try:
        box, flag = int(row["box_id"]), str(row["manually_filtered"]).strip().lower()
        flags[box] = {"0": False, "1": True, "false": False, "true": True}[flag]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise DataError(
            "a row of the list of boxes filtered by hand cannot be used",
            file=path,
            field=f"row {number} (box_id, manually_filtered)",
            value=row,
            remedy=f"give box ids 0 to {len(flags) - 1}, and 0 or 1",
        ) from error


def _folders(source: Path) -> list[tuple[str, Path]]:
    marks = ("_detail/mesh", "train/transforms.json", "transforms.json")
    wanted = "ai_VVV_NNN/_detail/mesh, or SCENE/train/transforms.json"
    return scene_folders(source, lambda p: any((p / m).exists() for m in marks), wanted)


def _capture(folder: Path, options: PrepareOptions) -> Capture:
    if not (folder / "_detail" / "mesh").is_dir():
        return read_capture(folder, every=options.every, margin=MARGIN)
    metres = _metres_per_unit(folder)
    boxes, labels, infinite = _mesh_boxes(folder / "_detail" / "mesh", metres)
    pictures = [p for cam in _camera_folders(folder) for p in _pictures(folder, cam, metres)]
    present = [p for p in pictures if p.file.is_file()]
    if not present:
        raise LeftOut("none of its pictures is there")
    centres = torch.tensor(np.stack([p.pose[:3, 3] for p in present]))
    bounds = world_bounds(boxes) if labels else torch.stack([centres.amin(0), centres.amax(0)])
    grow = MARGIN * (bounds[1] - bounds[0])
    room = torch.stack([bounds[0] - grow, bounds[1] + grow])
    scale, offset, aabb_scale = ngp_normalisation(room)
    train, val = select_frames(present, options.every)
    counts = {
        NO_PICTURE: len(pictures) - len(present),
        NOT_CHOSEN: len(present) - len(train) - len(val),
        "box: infinite (an instance without surface)": infinite,
    }
    return Capture(
        train=train,
        val=val,
        boxes=boxes,
        labels=labels,
        room=room,
        scale=scale,
        offset=offset,
        aabb_scale=aabb_scale,
        from_mitsuba=False,
        dropped={reason: n for reason, n in counts.items() if n},
    )


def _mesh_boxes(mesh: Path, metres: float) -> tuple[NerfBoxes, tuple[int, ...], int]:
    """Boxes of all semantic instances with a surface, their NYU40 ids, and how many have none."""
    tables = {
        n: read_array(mesh / _BOXES.format(n), _KEY).astype(np.float64)
        for n in ("extents", "orientations", "positions")
    }
    count = len(tables["extents"])
    shapes = {"extents": (count, 3), "positions": (count, 3), "orientations": (count, 3, 3)}
    if any(tables[n].shape != shape for n, shape in shapes.items()):
        raise DataError(
            "the box tables of the scene do not agree",
            file=mesh,
            field="extents, positions, orientations",
            value={n: t.shape for n, t in tables.items()},
            remedy="download the scene's _detail/mesh again",
        )
    flat = np.concatenate([t.reshape(count, -1) for t in tables.values()], axis=1)
    good = np.isfinite(flat).all(1) & (tables["extents"] > 0).all(1)
    boxes = NerfBoxes(
        orientation=torch.from_numpy(tables["orientations"][good]),
        position=torch.from_numpy(tables["positions"][good] * metres),
        extents=torch.from_numpy(tables["extents"][good] * metres),
    )
    classes = _instance_classes(mesh, count)
    return boxes, tuple(classes[good].tolist()), int(count - good.sum())


def _instance_classes(mesh: Path, count: int) -> Float[np.ndarray, " n"]:
    """NYU40 id of every semantic instance: that of its objects; 0 where it has none."""
    classes = read_array(mesh / "mesh_objects_si.hdf5", _KEY).reshape(-1).astype(np.int64)
    instances = read_array(mesh / "mesh_objects_sii.hdf5", _KEY).reshape(-1).astype(np.int64)
    if len(classes) != len(instances):
        raise DataError(
            "one class and one instance per object are needed",
            file=mesh,
            field="mesh_objects_si, mesh_objects_sii",
            value=(len(classes), len(instances)),
            remedy="download the scene's _detail/mesh again",
        )
    found = np.zeros(count, np.int64)
    used = (instances >= 0) & (instances < count) & (classes > 0)
    found[instances[used][::-1]] = classes[used][::-1]  # the first object of an instance decides
    return found


def _label(value: Any, row: int, folder: Path) -> str:
    """NYU40 name of a label; words are taken as they are, no label is void."""
    if isinstance(value, str):
        return value
    if value is None or (isinstance(value, int) and 0 <= value < len(NYU40)):
        return NYU40[value or 0]
    raise DataError(
        "the label of a box is not in the class list",
        file=folder,
        field=f"box {row}, label",
        value=value,
        remedy=f"labels are NYU40 ids, 0 to {len(NYU40) - 1}",
    )


def _metres_per_unit(folder: Path) -> float:
    path = folder / "_detail" / "metadata_scene.csv"
    if not path.is_file():
        return 1.0
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = {r.get("parameter_name"): r.get("parameter_value") for r in csv.DictReader(stream)}
    try:
        return float(rows["meters_per_asset_unit"] or "")
    except (KeyError, ValueError) as error:
        raise DataError(
            "the scene does not tell its unit",
            file=path,
            field="meters_per_asset_unit",
            value=rows.get("meters_per_asset_unit"),
            remedy="download the file again",
        ) from error


def _camera_folders(folder: Path) -> list[Path]:
    return sorted(p for p in (folder / "_detail").glob("cam_*") if p.is_dir())


def _pictures(folder: Path, camera: Path, metres: float) -> list[Picture]:
    """Key frames of one camera: OpenGL axes, z-up world, 60 degrees wide."""
    positions, turns = (
        read_array(camera / f"camera_keyframe_{n}.hdf5", _KEY).astype(np.float64)
        for n in ("positions", "orientations")
    )
    indices = camera / "camera_keyframe_frame_indices.hdf5"
    numbers = read_array(indices, _KEY).tolist() if indices.is_file() else range(len(positions))
    images = folder / "images" / f"scene_{camera.name}_final_preview"
    offset = 10_000 * _camera_folders(folder).index(camera)
    pictures = []
    for number, position, turn in zip(numbers, positions, turns, strict=True):
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = turn, position * metres
        file = _image(images, int(number))
        pictures.append(
            Picture(file=file, number=offset + int(number), pose=pose, camera=_lens(file))
        )
    return pictures


def _image(folder: Path, number: int) -> Path:
    names = [f"frame.{number:04d}.{kind}.jpg" for kind in ("tonemap", "color")]
    return next((folder / n for n in names if (folder / n).is_file()), folder / names[0])


def _lens(file: Path) -> dict[str, float]:
    size = picture_size(file, (1024, 768))
    focal = size[0] / 2 / math.tan(_FIELD_OF_VIEW / 2)
    return pinhole(size, (focal, focal))
