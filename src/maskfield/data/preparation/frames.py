"""Where the voxels of a scene lie in instant-ngp space: read beside a grid, or foreseen.

Every frame here has its axes in instant-ngp's order (y-up), whatever the file's was, so that one
conversion serves all data sets.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from maskfield.core.errors import DataError, GridError
from maskfield.data.preparation.ngp_boxes import Y_UP, Z_UP, NgpFrame
from maskfield.data.readers.nerf_rpn import bounds_are_y_up

_EXTENT = 1.5  # instant-ngp units of the longest side of a room (spec nerf_mae 8.2)


def ngp_normalisation(room: Float[Tensor, "2 3"]) -> tuple[float, Float[Tensor, " 3"], int]:
    """scale, offset and aabb_scale that put a room in the middle of instant-ngp's box."""
    scale = _EXTENT / float((room[1] - room[0]).max())
    return scale, 0.5 - scale * room.mean(0), 2


def foreseen_frame(
    room: Float[Tensor, "2 3"],
    scale: float,
    offset: Float[Tensor, " 3"],
    *,
    longest: int,
    aabb_scale: int = 2,
    from_mitsuba: bool = False,
) -> NgpFrame:
    """The frame instant-ngp's extraction will choose for a room (spec nerf_mae 8.1).

    Bounds are the room within instant-ngp's training box; voxels per axis are rounded down and
    then up to even.

    Raises:
        DataError: the room is empty, or lies outside the training box.
    """
    bounds = room.double() * scale + offset.double()
    if not from_mitsuba:
        bounds = bounds[:, list(Y_UP)]
    bounds = bounds.clamp(0.5 - aabb_scale / 2, 0.5 + aabb_scale / 2)
    extent = bounds[1] - bounds[0]
    if not (torch.isfinite(extent).all() and (extent > 0).all()):
        raise DataError(
            "the room is empty, or lies outside instant-ngp's box",
            field="room_bbox, scale, offset, aabb_scale",
            value=(room.tolist(), scale, offset.tolist(), aabb_scale),
            remedy="repair room_bbox, or remove scale and offset so that they are chosen anew",
        )
    counts = (extent / extent.max() * longest + 1e-9).floor().long()
    x, y, z = (min(int(n) + int(n) % 2, longest + longest % 2) or 2 for n in counts)
    return NgpFrame(
        resolution=(x, y, z),
        bbox_min=bounds[0],
        bbox_max=bounds[1],
        scale=scale,
        offset=offset.double(),
        from_mitsuba=from_mitsuba,
    )


def frame_of_features(path: Path) -> NgpFrame:
    """The frame of an official ``features/SCENE.npz``; its array is not decoded.

    Raises:
        GridError: missing, damaged, or without bounds, scale and offset.
    """
    try:
        shape = _shape(path)
        with np.load(path, allow_pickle=False) as archive:
            data = {k: archive[k] for k in archive.files if k != "rgbsigma"}
        return _frame(shape, data)
    except (OSError, ValueError, KeyError, EOFError, IndexError, zipfile.BadZipFile) as error:
        raise GridError(
            f"the grid does not say where its voxels lie: {error!r}",
            file=path,
            field="rgbsigma, resolution, bbox_min, bbox_max, scale, offset",
            remedy="give features as the extraction writes them, or none: they are foreseen then",
        ) from error


def resolution_z_up(frame: NgpFrame) -> tuple[int, int, int]:
    """Voxels along the grid's own axes."""
    x, y, z = (frame.resolution[i] for i in Z_UP)
    return x, y, z


def world_bounds_of(frame: NgpFrame) -> Float[Tensor, "2 3"]:
    """Bounds of a grid in the z-up world of its transforms.json."""
    order = [0, 1, 2] if frame.from_mitsuba else list(Z_UP)
    bounds = torch.stack([frame.bbox_min, frame.bbox_max])[:, order]
    return (bounds - frame.offset) / frame.scale


def _frame(shape: tuple[int, ...], data: dict[str, Any]) -> NgpFrame:
    flat = len(shape) == 2
    counts = np.asarray(data["resolution"]).astype(int) if flat else np.array(shape[:3])
    z_up = bool(data.get("from_ddp_nerf", False)) if flat else True
    bounds = np.stack([data["bbox_min"], data["bbox_max"]]).astype(np.float64).reshape(2, 3)
    if not (bounds[1] > bounds[0]).all():
        raise ValueError(f"empty bounds {bounds.tolist()}")
    y_up = bounds_are_y_up(data, bounds, shape[:3], flat)
    x, y, z = (int(n) for n in (counts[list(Y_UP)] if z_up else counts))
    bounds = bounds if y_up else bounds[:, Y_UP]
    return NgpFrame(
        resolution=(x, y, z),
        bbox_min=torch.from_numpy(bounds[0].copy()),
        bbox_max=torch.from_numpy(bounds[1].copy()),
        scale=float(data["scale"]),
        offset=torch.from_numpy(np.array(np.broadcast_to(data["offset"], (3,)), np.float64)),
        from_mitsuba=bool(data.get("from_mitsuba", False)),
    )


def _shape(path: Path) -> tuple[int, ...]:
    """Shape of ``rgbsigma`` from its header."""
    with zipfile.ZipFile(path) as archive, archive.open("rgbsigma.npy") as stream:
        version = np.lib.format.read_magic(stream)
        old = version == (1, 0)
        header = np.lib.format.read_array_header_1_0 if old else np.lib.format.read_array_header_2_0
        shape, _, _ = header(stream)
    return shape
