"""Official NeRF-RPN / NeRF-MAE data: ``features/*.npz``, ``obb`` and ``aabb`` boxes, splits.

Two layouts exist. The extractor writes ``rgbsigma`` flat, [W·L·H, 4], x fastest, in instant-ngp's
Y-up axes; published sets hold [W, L, H, 4], Z-up. Either way the grid comes back Z-up, and its box
in the world of the transforms.json: p_ngp = p · scale + offset, then instant-ngp's axis cycle.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Num
from torch import Tensor

from maskfield.core.errors import DataError, GridError
from maskfield.core.files import StrPath
from maskfield.data.config import DensityRule
from maskfield.data.radiance_grid import Activation, DensityKind, RadianceGrid
from maskfield.geometry.boxes import Boxes3D
from maskfield.geometry.grids import grid_from_world, world_from_grid

Z_UP = (2, 0, 1)  # Z-up axes x, y, z = instant-ngp's (Y-up) axes z, x, y
SPLIT_KEYS = {"train": "train_scenes", "val": "val_scenes", "test": "test_scenes"}


def read_grid(path: StrPath, *, density: DensityRule = "auto") -> RadianceGrid:
    """Read one ``features/SCENE.npz``.

    ``density`` says how the fourth channel becomes alpha; "auto" looks (spec 2.2): all values in
    [0, 1] are alpha; anything else is raw, ReLU for ScanNet files (``from_ddp_nerf``), else exp.

    Raises:
        GridError: missing or damaged file, unknown layout, 8-bit raw density, constant content.
    """
    path = Path(path)
    data = _open_npz(path, GridError)
    if "rgbsigma" not in data:
        raise GridError(
            "the file holds no radiance grid",
            file=path,
            field="rgbsigma",
            value=sorted(data),
            remedy="give a features/*.npz of NeRF-RPN or NeRF-MAE",
        )
    rgbsigma, turned = _z_up_array(data, path)
    kind, activation = _density_kind(
        rgbsigma, bool(data.get("from_ddp_nerf", False)), density, path
    )
    volume = torch.from_numpy(np.ascontiguousarray(rgbsigma.transpose(3, 0, 1, 2)))
    return RadianceGrid(
        rgb=volume[:3],
        density=volume[3:],
        box=_box(data, rgbsigma.shape[:3], turned),
        density_kind=kind,
        activation=activation,
        ngp_scale=float(data["scale"]) if "scale" in data else None,
        ngp_offset=_offset(data),
        from_mitsuba=bool(data.get("from_mitsuba", False)),
    ).validated(str(path))


def read_boxes(path: StrPath, resolution: tuple[int, int, int] | None = None) -> Boxes3D:
    """Read ``obb/SCENE.npy`` (x, y, z, w, l, h, theta) or ``aabb/SCENE.npy`` (min, max).

    Boxes stay in grid units: a voxel centre is at index + 0.5 (:func:`boxes_to_world` moves them).

    Raises:
        DataError: another shape, NaN, sizes <= 0, or boxes that lie outside ``resolution``.
    """
    try:
        table = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"cannot read the boxes: {error}", file=path, remedy="check the path"
        ) from error
    if table.ndim != 2 or table.shape[1] not in (6, 7):
        raise DataError(
            "a box table has 7 columns (oriented) or 6 (axis-aligned)",
            file=path,
            value=table.shape,
            remedy="give obb/SCENE.npy or aabb/SCENE.npy",
        )
    rows = torch.from_numpy(table.astype(np.float32))
    boxes = _oriented(rows) if table.shape[1] == 7 else _aligned(rows)
    boxes = boxes.validated(str(path))
    if resolution is not None:
        _require_inside(boxes, resolution, path)
    return boxes


def boxes_to_world(boxes: Boxes3D, grid: RadianceGrid) -> Boxes3D:
    """Grid units to the world of ``grid`` (near-cubic voxels, so that yaw stays yaw)."""
    size = torch.tensor(grid.resolution, dtype=torch.float32)
    voxel = (grid.box[1] - grid.box[0]) / size
    centre = world_from_grid(boxes.centre, grid.box, grid.resolution)
    return replace(boxes, centre=centre, size=boxes.size * _along(boxes, voxel))


def boxes_to_grid(boxes: Boxes3D, grid: RadianceGrid) -> Boxes3D:
    """Inverse of :func:`boxes_to_world`."""
    return boxes_in_voxels(boxes, grid.box, grid.resolution)


def boxes_in_voxels(
    boxes: Boxes3D, box: Float[Tensor, "2 3"], resolution: tuple[int, int, int]
) -> Boxes3D:
    """World boxes in the voxels of a grid that spans ``box``."""
    voxel = (box[1] - box[0]) / torch.tensor(resolution, dtype=torch.float32)
    centre = grid_from_world(boxes.centre, box, resolution)
    return replace(boxes, centre=centre, size=boxes.size / _along(boxes, voxel))


def read_split(path: StrPath) -> dict[str, tuple[str, ...]]:
    """Read a ``*_split.npz`` with train_scenes, val_scenes, test_scenes.

    Raises:
        DataError: damaged, or without training scenes.
    """
    data = _open_npz(Path(path), DataError)
    split = {
        name: tuple(str(s) for s in np.atleast_1d(data[key])) if key in data else ()
        for name, key in SPLIT_KEYS.items()
    }
    if not split["train"]:
        raise DataError(
            "the split names no training scenes",
            file=path,
            field=SPLIT_KEYS["train"],
            value=sorted(data),
            remedy="give an npz with train_scenes, val_scenes and test_scenes",
        )
    return split


def present_scenes(
    folder: StrPath, names: tuple[str, ...] | None = None, percent: float = 1.0
) -> tuple[tuple[str, Path], ...]:
    """(name, file) of the scenes whose features exist; ``percent`` keeps the first part of names.

    Scenes without a feature file are left out, as the official loader does.

    Raises:
        DataError: nothing is left.
    """
    features = Path(folder) / "features"
    features = features if features.is_dir() else Path(folder)
    if names is None:
        names = tuple(sorted(p.stem for p in features.glob("*.npz") if "split" not in p.stem))
    kept = names[: int(percent * len(names))] if percent < 1 else names
    found = tuple((n, features / f"{n}.npz") for n in kept if (features / f"{n}.npz").is_file())
    if not found:
        raise DataError(
            "no feature grids",
            file=features,
            field="scenes",
            value=f"{len(kept)} names, none has a file",
            remedy="give a folder with features/SCENE.npz, or a larger percentage",
        )
    return found


def _open_npz(path: Path, error: type[DataError]) -> dict[str, Any]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {k: archive[k] for k in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, AttributeError) as cause:
        raise error(
            f"cannot read the file: {cause}",
            file=path,
            remedy="check the path; a truncated download must be fetched again",
        ) from cause


def _z_up_array(data: Mapping[str, Any], path: Path) -> tuple[Num[np.ndarray, "x y z 4"], bool]:
    """The array as [x, y, z, 4], Z-up, and whether this function turned it."""
    array = data["rgbsigma"]
    if array.dtype not in (np.float32, np.float16, np.float64, np.uint8):
        raise _layout_error(array, path)
    array = array if array.dtype == np.uint8 else array.astype(np.float32)
    if array.ndim == 4 and array.shape[3] == 4:
        return array, False
    count = np.asarray(data.get("resolution", ())).astype(np.int64)
    if array.ndim != 2 or array.shape[1] != 4 or count.shape != (3,) or count.prod() != len(array):
        raise _layout_error(array, path)
    volume = array.reshape(count[2], count[1], count[0], 4).transpose(2, 1, 0, 3)
    y_up = not bool(data.get("from_ddp_nerf", False))
    return (volume.transpose(*Z_UP, 3), True) if y_up else (volume, True)


def _layout_error(array: np.ndarray, path: Path) -> GridError:
    return GridError(
        "the radiance grid has an unknown layout",
        file=path,
        field="rgbsigma",
        value=(array.shape, str(array.dtype)),
        remedy="expected [W, L, H, 4], or [W*L*H, 4] with `resolution`, float or uint8",
    )


def _density_kind(
    rgbsigma: np.ndarray, relu: bool, rule: DensityRule, path: Path
) -> tuple[DensityKind, Activation]:
    density = rgbsigma[..., 3]
    if rgbsigma.dtype == np.uint8:
        if rule in ("exp", "relu"):
            raise GridError(
                "8-bit density is alpha; normalising it would leave only 0 and 1",
                file=path,
                field="density",
                value=rule,
                remedy="read it as alpha, or extract float grids",
            )
        return "alpha", "none"
    if rule == "alpha" or (rule == "auto" and density.min() >= 0 and density.max() <= 1):
        return "alpha", "none"
    if rule == "relu" or (rule == "auto" and relu):
        return "raw", "relu"
    return "raw", "exp"


def _box(data: Mapping[str, Any], shape: tuple[int, ...], turned: bool) -> Float[Tensor, "2 3"]:
    """Box in the transforms.json world; the unit cube's share when the file has no bounds."""
    if "bbox_min" not in data or "bbox_max" not in data:
        size = torch.tensor(shape, dtype=torch.float32)
        return torch.stack([torch.zeros(3), size / size.max()])
    bounds = np.stack([data["bbox_min"], data["bbox_max"]]).astype(np.float64).reshape(2, 3)
    if bounds_are_y_up(data, bounds, shape, turned):
        bounds = bounds[:, Z_UP]
    box = torch.from_numpy(bounds)
    offset = _offset(data)
    if "scale" in data and float(data["scale"]) > 0 and offset is not None:
        box = (box - torch.tensor(offset, dtype=torch.float64)) / float(data["scale"])
    return box.float()


def bounds_are_y_up(
    data: Mapping[str, Any], bounds: np.ndarray, shape: tuple[int, ...], turned: bool
) -> bool:
    """Bounds are in instant-ngp's order, unless only the other order gives cubic voxels."""
    if bool(data.get("from_ddp_nerf", False)):
        return False
    if turned:
        return True
    extent = bounds[1] - bounds[0]
    return _spread(extent[list(Z_UP)] / shape) <= _spread(extent / shape) * 1.05


def _spread(voxel: np.ndarray) -> float:
    return float(np.abs(voxel).max() / max(float(np.abs(voxel).min()), 1e-12))


def _offset(data: Mapping[str, Any]) -> tuple[float, float, float] | None:
    if "offset" not in data:
        return None
    x, y, z = (float(v) for v in np.broadcast_to(np.asarray(data["offset"]), (3,)))
    return x, y, z


def _oriented(rows: Float[Tensor, "box 7"]) -> Boxes3D:
    return Boxes3D(
        centre=rows[:, :3],
        size=rows[:, 3:6],
        yaw=rows[:, 6],
        label=torch.zeros(len(rows), dtype=torch.long),
    )


def _aligned(rows: Float[Tensor, "box 6"]) -> Boxes3D:
    return Boxes3D(
        centre=(rows[:, :3] + rows[:, 3:]) / 2,
        size=rows[:, 3:] - rows[:, :3],
        yaw=torch.zeros(len(rows)),
        label=torch.zeros(len(rows), dtype=torch.long),
    )


def _require_inside(boxes: Boxes3D, resolution: tuple[int, int, int], path: StrPath) -> None:
    size = torch.tensor(resolution, dtype=torch.float32)
    outside = ((boxes.centre < 0) | (boxes.centre > size)).any(1)
    if outside.any():
        row = int(outside.nonzero()[0])
        raise DataError(
            "the centre of a box lies outside its grid",
            file=path,
            field=f"box {row} (x, y, z)",
            value=f"{boxes.centre[row].tolist()} in {resolution}",
            remedy="boxes are in voxels of the grid; use the boxes made with these features",
        )


def _along(boxes: Boxes3D, voxel: Float[Tensor, " 3"]) -> Float[Tensor, "box 3"]:
    """Voxel side along each box's own axes."""
    cos, sin = torch.cos(boxes.yaw), torch.sin(boxes.yaw)
    length = torch.hypot(cos * voxel[0], sin * voxel[1])
    width = torch.hypot(sin * voxel[0], cos * voxel[1])
    return torch.stack([length, width, voxel[2].expand_as(length)], dim=1)
