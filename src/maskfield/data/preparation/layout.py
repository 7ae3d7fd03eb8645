"""What all data sets have in common: the prepared scene, the folder it is written to, the split.

OUT/scenes/SCENE/{train,val}/transforms.json (pictures stay where they are), OUT/obb, OUT/aabb,
OUT/obb_labels/SCENE.txt (one class name a row of obb), OUT/label_map.json, OUT/NAME_split.npz,
OUT/prepared.json.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt16
from PIL import Image
from torch import Tensor

from maskfield.core.errors import DataError
from maskfield.core.files import atomic_path, write_json, write_text
from maskfield.core.log import Progress
from maskfield.data.preparation.box_tables import BoxTables
from maskfield.data.preparation.class_maps import ClassMap, save_classes
from maskfield.data.preparation.frames import frame_of_features
from maskfield.data.preparation.nerf_boxes_json import bounding_boxes_json
from maskfield.data.preparation.ngp_boxes import NgpFrame
from maskfield.data.preparation.options import DataSet, PrepareOptions
from maskfield.data.preparation.report import PreparedReport, SceneReport
from maskfield.data.writers import write_split

SPLIT_FILES: dict[DataSet, str] = {
    "front3d": "3dfront_split.npz",
    "hm3d": "hm3d_split.npz",
    "hypersim": "hypersim_split.npz",
    "scannet": "scannet_split.npz",
    "sunrgbd": "sunrgbd_split.npz",
}
_VAL_EVERY, _VAL_SHIFT, _VAL_TAIL, _VAL_COUNT = 10, 2, 2, 10
_DEPTH_UNIT = 1e-3


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One posed picture.

    Attributes:
        file: stays where it is. number: of the frame.
        pose: [4, 4] camera-to-world, OpenGL axes, z-up world.
        camera: fl_x, fl_y, cx, cy, w, h (or camera_angle_x), as transforms.json spells them.
        depth: millimetres, written beside the transforms.json; 0 = none.
    """

    file: Path
    number: int
    pose: Float[np.ndarray, "4 4"]
    camera: dict[str, float]
    depth: UInt16[np.ndarray, "h w"] | None = None


@dataclass(frozen=True, kw_only=True)
class PreparedScene:
    """One scene, ready to be written.

    Attributes:
        train, val: pictures. room: [2, 3] world bounds of the grid.
        scale, offset, aabb_scale, from_mitsuba: instant-ngp's normalisation.
        tables: boxes. resolution: voxels of the grid, along its own axes.
        dropped: frames dropped, by reason (boxes' reasons are in ``tables``).
    """

    name: str
    train: Sequence[Picture]
    val: Sequence[Picture]
    room: Float[Tensor, "2 3"]
    scale: float
    offset: Float[Tensor, " 3"]
    aabb_scale: int
    tables: BoxTables
    resolution: tuple[int, int, int]
    from_mitsuba: bool = False
    dropped: dict[str, int] = field(default_factory=dict)


class LeftOut(Exception):
    """A scene cannot be used; its message is the reason in the report."""


def prepare_scenes(
    dataset: DataSet,
    folders: Sequence[tuple[str, Path]],
    out: Path,
    options: PrepareOptions,
    one: Callable[[str, Path], PreparedScene],
    classes: Callable[[Iterable[str]], ClassMap],
) -> PreparedReport:
    """Prepare every scene, write it at once, and end with classes, split and report.

    Args:
        folders: name and place of each scene.
        one: prepares a scene; raises :class:`LeftOut` for one that cannot be used.
        classes: class map, given the labels of all boxes that were kept.

    Raises:
        DataError: no scene is left.
    """
    reports: list[SceneReport] = []
    left_out: dict[str, str] = {}
    labels: set[str] = set()
    folders = folders[: options.limit]
    with Progress(len(folders), dataset) as bar:
        for done, (name, folder) in enumerate(folders, 1):
            try:
                scene = one(name, folder)
            except LeftOut as reason:
                left_out[name] = str(reason)
            else:
                labels |= set(scene.tables.labels)
                reports.append(write_scene(scene, out))
            bar.update(done)
    if not reports:
        raise DataError(
            "no scene can be used",
            file=folders[0][1].parent if folders else out,
            field="scenes",
            value=left_out,
            remedy="check the folder and the filters (--min-size, --exclude, --keep-labels)",
        )
    return _finish(dataset, out, options, reports, left_out, classes(labels))


def write_scene(scene: PreparedScene, out: Path) -> SceneReport:
    """Write cameras, box tables and labels of one scene."""
    for part, pictures in (("train", scene.train), ("val", scene.val)):
        if pictures:
            folder = out / "scenes" / scene.name / part
            frames = [_frame_json(p, folder) for p in pictures]
            write_json(folder / "transforms.json", {**_head(scene), "frames": frames})
    _write_table(scene.tables.obb.numpy(), out / "obb" / f"{scene.name}.npy")
    _write_table(scene.tables.aabb.numpy(), out / "aabb" / f"{scene.name}.npy")
    text = "".join(f"{label}\n" for label in scene.tables.labels)
    write_text(out / "obb_labels" / f"{scene.name}.txt", text)
    return SceneReport(
        name=scene.name,
        frames=len(scene.train) + len(scene.val),
        boxes=len(scene.tables.obb),
        resolution=scene.resolution,
        dropped={**scene.dropped, **scene.tables.dropped},
    )


def select_frames(pictures: Sequence[Picture], every: int) -> tuple[list[Picture], list[Picture]]:
    """Training and validation pictures as the official selection draws them.

    Sorted by number, every n-th stays; of these, numbers 2, 12, 22, ... validate: at most ten, and
    not the last two of that row.
    """
    kept = sorted(pictures, key=lambda p: p.number)[::every]
    places = [i + _VAL_SHIFT for i in range(0, len(kept), _VAL_EVERY)][:-_VAL_TAIL][:_VAL_COUNT]
    held = {i for i in places if i < len(kept)}
    return (
        [p for i, p in enumerate(kept) if i not in held],
        [p for i, p in enumerate(kept) if i in held],
    )


def split_scenes(names: Sequence[str], options: PrepareOptions) -> dict[str, tuple[str, ...]]:
    """Scenes of "train", "val" and "test": drawn by seed, or all in every list.

    A share above 0 takes one scene at least, where there are three or more.
    """
    if options.split == "all":
        return {name: tuple(names) for name in ("train", "val", "test")}
    generator = torch.Generator().manual_seed(options.seed)
    order: list[int] = torch.randperm(len(names), generator=generator).tolist()
    least = 1 if len(names) >= 3 else 0
    shares = (options.val, options.test)
    val, test = (max(round(s * len(names)), least) if s > 0 else 0 for s in shares)
    parts = {"val": order[:val], "test": order[val : val + test], "train": order[val + test :]}
    return {n: tuple(names[i] for i in sorted(parts[n])) for n in ("train", "val", "test")}


def features_of(name: str, source: Path, out: Path, options: PrepareOptions) -> NgpFrame | None:
    """The frame of the scene's grid, when there is one; ``options.features`` must have it.

    Raises:
        DataError: the folder that was named has no grid of this scene.
    """
    if options.features is not None:
        path = options.features / f"{name}.npz"
        if not path.is_file():
            raise DataError(
                "the scene has no feature grid",
                file=path,
                field="features",
                remedy="extract the grid, or leave --features out: grids are foreseen then",
            )
        return frame_of_features(path)
    places = (folder / "features" / f"{name}.npz" for folder in (out, source))
    found = next((p for p in places if p.is_file()), None)
    return None if found is None else frame_of_features(found)


def _finish(
    dataset: DataSet,
    out: Path,
    options: PrepareOptions,
    reports: list[SceneReport],
    left_out: dict[str, str],
    classes: ClassMap,
) -> PreparedReport:
    split = split_scenes([r.name for r in reports], options)
    save_classes(classes, out / "label_map.json")
    write_split(split, out / SPLIT_FILES[dataset])
    report = PreparedReport(
        dataset=dataset,
        out=out,
        classes=len(classes.names) - 1,
        scenes=tuple(reports),
        left_out=left_out,
        split={name: len(part) for name, part in split.items()},
    )
    write_json(out / "prepared.json", report.to_json())
    return report


def _head(scene: PreparedScene) -> dict[str, Any]:
    return {
        "scale": scene.scale,
        "offset": scene.offset.tolist(),
        "aabb_scale": scene.aabb_scale,
        "from_mitsuba": scene.from_mitsuba,
        "room_bbox": scene.room.tolist(),
        "integer_depth_scale": _DEPTH_UNIT,
        "bounding_boxes": bounding_boxes_json(scene.tables.boxes, scene.tables.labels),
    }


def _frame_json(picture: Picture, folder: Path) -> dict[str, Any]:
    frame: dict[str, Any] = {
        "file_path": Path(os.path.relpath(picture.file, folder)).as_posix(),
        "transform_matrix": picture.pose.tolist(),
        **picture.camera,
    }
    if picture.depth is not None:
        frame["depth_file_path"] = f"depth/{picture.number:05d}.png"
        with atomic_path(folder / frame["depth_file_path"]) as temporary:
            Image.fromarray(picture.depth).save(temporary, format="PNG")
    return frame


def _write_table(rows: np.ndarray, path: Path) -> None:
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.save(stream, rows, allow_pickle=False)
