"""ScanNet (specs nerf_rpn 2.3, nerf_mae 8.3).

SOURCE/SCENE with the mesh ``*_vh_clean_2.ply``, its ``*_vh_clean_2.*.segs.json`` and the instances
``*_vh_clean.aggregation.json`` (or ``*.aggregation.json``), and exported frames: color/N.jpg,
pose/N.txt (OpenCV camera-to-world), intrinsic/intrinsic_color.txt. Coordinates stay as scanned.
The official list of excluded labels is not shipped: give it as a file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from scipy.ndimage import laplace
from torch import Tensor

from maskfield.core.errors import DataError
from maskfield.core.files import read_json
from maskfield.data.preparation.box_tables import LABEL, SMALL, BoxTables, Sieve
from maskfield.data.preparation.class_maps import named_classes
from maskfield.data.preparation.frames import resolution_z_up, world_bounds_of
from maskfield.data.preparation.hdf5_frames import number_of
from maskfield.data.preparation.label_filters import excluded_labels, is_one_of
from maskfield.data.preparation.layout import (
    LeftOut,
    Picture,
    PreparedScene,
    features_of,
    prepare_scenes,
)
from maskfield.data.preparation.nerf_boxes_json import yaw_boxes
from maskfield.data.preparation.options import PrepareOptions
from maskfield.data.preparation.ply_vertices import read_vertices
from maskfield.data.preparation.report import PreparedReport
from maskfield.data.preparation.scannet import (
    MIN_SIDE,
    grid_boxes,
    instance_bounds,
    min_area_box,
)
from maskfield.data.preparation.sources import picture_size, pinhole, scene_folders
from maskfield.geometry.boxes import Boxes3D
from maskfield.geometry.cameras import check_poses, opengl_from_opencv
from maskfield.geometry.grids import resolution_for_box

FLAT = "box: an instance without floor area or height"
NO_POSE, NOT_CHOSEN = "frame: no valid pose", "frame: not the sharpest of its interval"


@dataclass(frozen=True, kw_only=True)
class Instance:
    """A labelled object: its vertices [n, 3]."""

    label: str
    vertices: Float[Tensor, "n 3"]


def prepare(source: Path, out: Path, options: PrepareOptions) -> PreparedReport:
    """Prepare ScanNet scenes; see :func:`maskfield.api.data_prepare`."""
    excluded = excluded_labels(options)

    def one(name: str, folder: Path) -> PreparedScene:
        known = features_of(name, source, out, options)
        pictures, invalid = _pictures(folder)
        if len(pictures) < options.min_frames:
            raise LeftOut(f"{len(pictures)} valid frames; {options.min_frames} are needed")
        train, val = sharpest_frames(pictures, options.train_frames, options.val_frames)
        instances = read_instances(folder)
        bounds = instance_bounds([i.vertices for i in instances])
        resolution = resolution_for_box(bounds, options.longest)
        if known is not None:
            bounds, resolution = world_bounds_of(known), resolution_z_up(known)
        tables = _tables(instances, bounds, resolution, excluded, options)
        if not len(tables.obb):
            raise LeftOut("no box is left")
        counts = {NO_POSE: invalid, NOT_CHOSEN: len(pictures) - len(train) - len(val)}
        return PreparedScene(
            name=name,
            train=train,
            val=val,
            room=bounds,
            scale=1.0,
            offset=torch.zeros(3, dtype=torch.float64),
            aabb_scale=16,
            tables=tables,
            resolution=resolution,
            dropped={reason: n for reason, n in counts.items() if n},
        )

    return prepare_scenes("scannet", _folders(source), out, options, one, named_classes)


def read_instances(folder: Path) -> list[Instance]:
    """Instances of a scene's mesh.

    Raises:
        DataError: files missing, segments and mesh of different sizes, or no instance.
    """
    mesh = _file(folder, "*_vh_clean_2.ply")
    vertices = torch.from_numpy(read_vertices(mesh))
    segments_file = _file(folder, "*_vh_clean_2.*.segs.json", "*.segs.json")
    groups_file = _file(folder, "*_vh_clean.aggregation.json", "*.aggregation.json")
    try:
        segments = np.asarray(read_json(segments_file)["segIndices"], dtype=np.int64)
        groups = [
            (str(g["label"]), np.asarray(g["segments"], dtype=np.int64))
            for g in read_json(groups_file)["segGroups"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"the instances cannot be read: {error!r}",
            file=groups_file,
            field="segGroups (label, segments); segIndices",
            remedy="give ScanNet's aggregation and segs files",
        ) from error
    if len(segments) != len(vertices):
        raise DataError(
            "segments and mesh do not belong together",
            file=segments_file,
            field="segIndices",
            value=f"{len(segments)} entries, {len(vertices)} vertices",
            remedy=f"give the segmentation of {mesh.name}",
        )
    found = [(label, vertices[torch.from_numpy(np.isin(segments, s))]) for label, s in groups]
    instances = [Instance(label=label, vertices=v) for label, v in found if len(v)]
    if not instances:
        raise DataError(
            "no instance has a vertex",
            file=groups_file,
            field="segGroups",
            value=len(groups),
            remedy=f"give the instances of {mesh.name}",
        )
    return instances


def sharpest_frames(
    pictures: Sequence[Picture], train: int, val: int
) -> tuple[list[Picture], list[Picture]]:
    """The sharpest picture of each of ``train`` equal intervals, then of ``val`` intervals of the
    rest; sharp is a large variance of the Laplacian.
    """
    if not pictures:
        return [], []
    sharpness = {id(p): _sharpness(p.file) for p in pictures}

    def best(candidates: Sequence[Picture], count: int) -> list[Picture]:
        parts = np.array_split(np.arange(len(candidates)), count) if count else []
        groups = [[candidates[i] for i in part] for part in parts if len(part)]
        return [max(group, key=lambda p: sharpness[id(p)]) for group in groups]

    ordered = sorted(pictures, key=lambda p: p.number)
    chosen = best(ordered, train)
    numbers = {p.number for p in chosen}
    return chosen, best([p for p in ordered if p.number not in numbers], val)


def _sharpness(file: Path) -> float:
    with Image.open(file) as picture:
        grey = np.asarray(picture.convert("L"), dtype=np.float32)
    return float(laplace(grey).var())


def _tables(
    instances: Sequence[Instance],
    bounds: Float[Tensor, "2 3"],
    resolution: tuple[int, int, int],
    excluded: frozenset[str],
    options: PrepareOptions,
) -> BoxTables:
    boxes = [_box(i) for i in instances]
    flat = torch.tensor([b is None for b in boxes])
    world = torch.stack([torch.zeros(7).double() if b is None else b for b in boxes])
    grid = grid_boxes(world, bounds, resolution)
    labels = [i.label for i in instances]
    least = MIN_SIDE if options.min_size is None else options.min_size
    sieve = Sieve(len(labels))
    sieve.drop(flat, FLAT)
    sieve.drop(is_one_of(labels, excluded), LABEL)
    sieve.drop((grid[:, 3:6] < least).any(1), SMALL.format(least))
    kept = sieve.kept
    return BoxTables(
        boxes=yaw_boxes(world[kept]),
        labels=tuple(label for label, k in zip(labels, kept.tolist(), strict=True) if k),
        obb=grid[kept],
        aabb=_aligned(grid[kept], resolution),
        dropped=sieve.dropped,
    )


def _aligned(rows: Float[Tensor, "n 7"], resolution: tuple[int, int, int]) -> Tensor:
    """Axis-aligned boxes around oriented ones, clipped to the grid; ScanNet's release has none."""
    label = torch.zeros(len(rows), dtype=torch.long)
    boxes = Boxes3D(centre=rows[:, :3], size=rows[:, 3:6], yaw=rows[:, 6], label=label)
    corners = boxes.corners()
    limit = torch.tensor(resolution, dtype=rows.dtype)
    low, high = (c.clamp_min(0).minimum(limit) for c in (corners.amin(1), corners.amax(1)))
    return torch.cat([low, high], dim=1)


def _box(instance: Instance) -> Float[Tensor, " 7"] | None:
    try:
        box = min_area_box(instance.vertices)
    except DataError:  # fewer than three vertices that are not in line
        return None
    return box if bool((box[3:6] > 0).all()) else None


def _folders(source: Path) -> list[tuple[str, Path]]:
    wanted = "sceneXXXX_XX folders with *.aggregation.json"
    mark = "*.aggregation.json"
    return scene_folders(source, lambda p: next(p.glob(mark), None) is not None, wanted)


def _file(folder: Path, *patterns: str) -> Path:
    for pattern in patterns:
        found = sorted(folder.glob(pattern))
        if found:
            return found[0]
    raise DataError(
        "a file of the scene is missing",
        file=folder,
        field=" or ".join(patterns),
        value=sorted(p.name for p in folder.iterdir())[:10],
        remedy="download it into the scene's folder",
    )


def _pictures(folder: Path) -> tuple[list[Picture], int]:
    """Frames with a valid pose, and how many have none."""
    k = _matrix(_file(folder, "intrinsic/intrinsic_color.txt", "intrinsic_color.txt"), (3, 4))
    files = [p for s in ("jpg", "png") for p in sorted((folder / "color").glob(f"*.{s}"))]
    found, invalid = [], 0
    for file in files:
        pose_file = folder / "pose" / f"{file.stem}.txt"
        if not pose_file.is_file():
            invalid += 1
            continue
        pose = _matrix(pose_file, (4,))
        if not np.isfinite(pose).all():  # lost tracking is written as -inf
            invalid += 1
            continue
        check_poses(torch.from_numpy(pose)[None], file=str(pose_file))
        found.append(_picture(file, pose, k))
    return found, invalid


def _picture(file: Path, pose: np.ndarray, k: np.ndarray) -> Picture:
    focal, centre = (float(k[0, 0]), float(k[1, 1])), (float(k[0, 2]), float(k[1, 2]))
    return Picture(
        file=file,
        number=number_of(file),
        pose=opengl_from_opencv(torch.from_numpy(pose)).numpy(),
        camera=pinhole(picture_size(file), focal, centre),
    )


def _matrix(path: Path, rows: tuple[int, ...]) -> Float[np.ndarray, "n m"]:
    try:
        matrix = np.loadtxt(path, dtype=np.float64, ndmin=2)
    except (OSError, ValueError) as error:
        raise DataError(
            f"cannot read a matrix: {error}", file=path, remedy="repair or remove the file"
        ) from error
    if matrix.shape[0] not in rows or matrix.shape[1] not in (3, 4):
        raise DataError(
            "the matrix has the wrong shape",
            file=path,
            value=matrix.shape,
            remedy="give 4 x 4 poses and 3 x 3 or 4 x 4 intrinsics",
        )
    return matrix
