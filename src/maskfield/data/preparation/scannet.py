"""ScanNet instances to boxes: minimum-area rectangles in the floor plane (spec nerf_mae 8.3)."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial import ConvexHull, QhullError
from torch import Tensor

from maskfield.core.errors import DataError

MIN_SIDE = 8.0  # voxels


def min_area_box(vertices: Float[Tensor, "n 3"]) -> Float[Tensor, " 7"]:
    """The yaw box (x, y, z, l, w, h, theta) of smallest floor area that holds all vertices.

    One side lies on an edge of the convex hull of the floor projection: l is the length along that
    edge, theta its direction (hull counter-clockwise); z comes from the minimum and maximum. The
    first smallest rectangle wins.

    Raises:
        DataError: fewer than three vertices that are not in line.
    """
    floor = vertices[:, :2].double().cpu().numpy()
    hull = floor[_hull_order(floor)]
    edges = np.roll(hull, -1, axis=0) - hull
    along = edges / np.linalg.norm(edges, axis=1, keepdims=True)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    frames = np.stack([along, across], axis=1)  # [edge, axis, 2]
    projected = np.einsum("eij,nj->ein", frames, hull)
    low, high = projected.min(2), projected.max(2)
    best = int(np.argmin(np.prod(high - low, axis=1)))
    centre = (low[best] + high[best]) / 2 @ frames[best]
    size = high[best] - low[best]
    theta = np.arctan2(along[best, 1], along[best, 0])
    bottom, top = float(vertices[:, 2].min()), float(vertices[:, 2].max())
    row = [*centre, (bottom + top) / 2, *size, top - bottom, theta]
    return torch.tensor(row, dtype=vertices.dtype)


def _hull_order(floor: np.ndarray) -> np.ndarray:
    try:
        return ConvexHull(floor).vertices
    except (QhullError, ValueError) as error:
        raise DataError(
            "an instance has no floor area: its vertices are fewer than three or in line",
            field="vertices",
            value=floor.shape,
            remedy="drop the instance or merge it with its neighbour",
        ) from error


def instance_bounds(instances: Sequence[Float[Tensor, "n 3"]]) -> Float[Tensor, "2 3"]:
    """Smallest axis-aligned box around all instances: the bounds of the grid."""
    low = torch.stack([v.amin(0) for v in instances]).amin(0)
    high = torch.stack([v.amax(0) for v in instances]).amax(0)
    return torch.stack([low, high])


def grid_boxes(
    boxes: Float[Tensor, "n 7"], bounds: Float[Tensor, "2 3"], resolution: tuple[int, int, int]
) -> Float[Tensor, "n 7"]:
    """World boxes in voxels; each size is scaled by the axis of the same place, theta is kept."""
    per_unit = torch.tensor(resolution, dtype=boxes.dtype) / (bounds[1] - bounds[0])
    centre = (boxes[:, :3] - bounds[0]) * per_unit
    return torch.cat([centre, boxes[:, 3:6] * per_unit, boxes[:, 6:]], dim=1)


def kept_boxes(
    boxes: Float[Tensor, "n 7"],
    labels: Sequence[str],
    excluded: Collection[str],
    *,
    min_side: float = MIN_SIDE,
) -> list[int]:
    """Rows whose label is wanted and whose sides are at least ``min_side`` voxels."""
    large = (boxes[:, 3:6] >= min_side).all(1).tolist()
    return [i for i, ok in enumerate(large) if ok and labels[i] not in excluded]
