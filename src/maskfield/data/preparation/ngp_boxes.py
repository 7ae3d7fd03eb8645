"""Boxes between NeRF space (transforms.json), instant-ngp space and the voxel grid.

Frames: NeRF z-up; ngp y-up after the row permutation; the grid z-up again (rows 2, 0, 1 of ngp),
in voxels. An oriented box in NeRF space is a 3x4 matrix [orientation | position] with extents.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from maskfield.geometry.boxes import Boxes3D

Z_UP = (2, 0, 1)  # grid axes x, y, z in terms of ngp axes
Y_UP = (1, 2, 0)  # the inverse
NGP_ROWS = (1, 2, 0)
EXCLUDED_NYU40 = frozenset(
    (1, 2, 8, 9, 11, 13, 16, 19, 20, 21, 22, 23, 25, 26, 27, 28, 30, 34)
)  # structure, openings, flat and small things: Hypersim's label filter
HM3D_MIN_SIDE = 100


@dataclass(frozen=True, kw_only=True)
class NgpFrame:
    """How a grid lies in instant-ngp space, as stored beside it.

    Attributes:
        resolution: voxels per axis as stored. bbox_min, bbox_max: bounds in ngp space.
        scale, offset: p_ngp = p_nerf * scale + offset, before the axes are exchanged.
        from_mitsuba: the axes are negated instead of permuted.
    """

    resolution: tuple[int, int, int]
    bbox_min: Float[Tensor, " 3"]
    bbox_max: Float[Tensor, " 3"]
    scale: float
    offset: Float[Tensor, " 3"]
    from_mitsuba: bool = False

    @property
    def voxels_per_unit(self) -> Float[Tensor, " 3"]:
        """Voxels per ngp unit along each stored axis."""
        counts = torch.tensor(self.resolution, dtype=self.bbox_min.dtype)
        return counts / (self.bbox_max - self.bbox_min)

    def permuted(self, order: tuple[int, int, int], *, resolution: bool = True) -> NgpFrame:
        """The same frame with its axes in another order; the resolution may keep its own."""
        x, y, z = (self.resolution[i] for i in order) if resolution else self.resolution
        index = list(order)
        return replace(
            self,
            resolution=(x, y, z),
            bbox_min=self.bbox_min[index],
            bbox_max=self.bbox_max[index],
        )


@dataclass(frozen=True, kw_only=True)
class NerfBoxes:
    """Oriented boxes of transforms.json: ``bounding_boxes``."""

    orientation: Float[Tensor, "box 3 3"]
    position: Float[Tensor, "box 3"]
    extents: Float[Tensor, "box 3"]

    def __getitem__(self, rows: Tensor) -> NerfBoxes:
        return NerfBoxes(
            orientation=self.orientation[rows],
            position=self.position[rows],
            extents=self.extents[rows],
        )

    @property
    def matrix(self) -> Float[Tensor, "box 3 4"]:
        """[orientation | position]."""
        return torch.cat([self.orientation, self.position[..., None]], dim=-1)


def ngp_from_nerf(matrix: Float[Tensor, "*n 3 4"], frame: NgpFrame) -> Float[Tensor, "*n 3 4"]:
    """NeRF pose to instant-ngp pose (camera y and z negated, scaled, axes exchanged)."""
    turned = matrix * matrix.new_tensor([1.0, -1, -1, 1])
    turned[..., 3] = turned[..., 3] * frame.scale + frame.offset
    if frame.from_mitsuba:
        return turned * matrix.new_tensor([-1.0, 1, -1, 1])
    return turned[..., list(NGP_ROWS), :]


def nerf_from_ngp(matrix: Float[Tensor, "*n 3 4"], frame: NgpFrame) -> Float[Tensor, "*n 3 4"]:
    """Inverse of :func:`ngp_from_nerf`."""
    if frame.from_mitsuba:
        turned = matrix * matrix.new_tensor([-1.0, 1, -1, 1])
    else:
        turned = matrix[..., list(Z_UP), :]
    turned = turned * matrix.new_tensor([1.0, -1, -1, 1])
    turned[..., 3] = (turned[..., 3] - frame.offset) / frame.scale
    return turned


def grid_obb_from_nerf(
    boxes: NerfBoxes,
    frame: NgpFrame,
    *,
    min_size: float = 0.0,
    drop_outside: bool = True,
    resolution_is_z_up: bool = False,
) -> Float[Tensor, "kept 7"]:
    """NeRF boxes to grid boxes (x, y, z, w, l, h, theta); theta in (-pi/2, pi/2].

    Args:
        min_size: boxes with a shorter side, in voxels, are dropped.
        drop_outside: drop boxes whose centre lies outside the grid (Hypersim; HM3D keeps them).
        resolution_is_z_up: the stored resolution already follows the grid's axes (HM3D files).
    """
    grid = frame.permuted(Z_UP, resolution=not resolution_is_z_up)
    pose = ngp_from_nerf(boxes.matrix, frame)[:, list(Z_UP)]
    centre, per_unit = pose[..., 3], grid.voxels_per_unit
    size = boxes.extents * frame.scale * per_unit
    inside = ((centre >= grid.bbox_min) & (centre <= grid.bbox_max)).all(1)
    rows = torch.cat([(centre - grid.bbox_min) * per_unit, size, _yaw(pose)[:, None]], dim=1)
    kept = (size >= min_size).all(1)
    return rows[kept & inside if drop_outside else kept]


def _yaw(pose: Float[Tensor, "n 3 4"]) -> Float[Tensor, " n"]:
    """atan(R10 / R00), pi/2 where R00 is 0."""
    cos, sin = pose[:, 0, 0], pose[:, 1, 0]
    flat = cos == 0
    angle = torch.atan(sin / torch.where(flat, torch.ones_like(cos), cos))
    return torch.where(flat, torch.full_like(angle, math.pi / 2), angle)


def grid_aabb_from_nerf(
    boxes: NerfBoxes, frame: NgpFrame, *, min_size: float = 0.0
) -> Int[Tensor, "kept 6"]:
    """NeRF boxes to integer axis-aligned boxes (min, max), in the grid's stored axis order.

    Rounded, clipped to the grid; boxes without volume or with a side below ``min_size`` drop out.
    """
    pose = ngp_from_nerf(boxes.matrix, frame)
    signs = torch.tensor([[(i >> s) & 1 for s in (2, 1, 0)] for i in range(8)]).to(pose) - 0.5
    local = signs * (boxes.extents * frame.scale)[:, None]
    corners = torch.einsum("nij,nkj->nki", pose[..., :3], local) + pose[:, None, :, 3]
    voxels = (corners - frame.bbox_min) * frame.voxels_per_unit
    limit = torch.tensor(frame.resolution)
    low = torch.minimum(voxels.amin(1).round().long().clamp_min(0), limit)
    high = torch.minimum(voxels.amax(1).round().long().clamp_min(0), limit)
    kept = (high > low).all(1) & (high - low >= min_size).all(1)
    return torch.cat([low, high], dim=1)[kept]


def nerf_boxes_from_grid(
    obb: Float[Tensor, "n 7"], frame: NgpFrame, *, resolution_is_y_up: bool = False
) -> NerfBoxes:
    """Grid boxes, e.g. proposals, to NeRF space; here the frame's bounds and offset are z-up.

    Args:
        resolution_is_y_up: the stored resolution is in y-up order and is re-ordered (HM3D files).
    """
    if resolution_is_y_up:
        x, y, z = (frame.resolution[i] for i in Y_UP)
        frame = replace(frame, resolution=(x, y, z))
    unit = 1 / frame.voxels_per_unit
    centre = obb[:, :3] * unit + frame.bbox_min
    pose = torch.cat([_yaw_matrix(obb[:, 6]), centre[..., None]], dim=-1)[:, list(Y_UP)]
    back = nerf_from_ngp(pose, replace(frame, offset=frame.offset[list(Y_UP)]))
    return NerfBoxes(
        orientation=back[..., :3], position=back[..., 3], extents=obb[:, 3:6] * unit / frame.scale
    )


def _yaw_matrix(yaw: Float[Tensor, " n"]) -> Float[Tensor, "n 3 3"]:
    cos, sin, zero = yaw.cos(), yaw.sin(), torch.zeros_like(yaw)
    rows = [cos, -sin, zero, sin, cos, zero, zero, zero, zero + 1]
    return torch.stack(rows, dim=-1).view(-1, 3, 3)


def label_kept(
    labels: Int[Tensor, " n"],
    manually_filtered: Bool[Tensor, " n"] | None = None,
    excluded: frozenset[int] = EXCLUDED_NYU40,
) -> Bool[Tensor, " n"]:
    """Boxes whose class is wanted and that nobody filtered by hand."""
    kept = ~torch.isin(labels, torch.tensor(sorted(excluded), device=labels.device))
    return kept if manually_filtered is None else kept & ~manually_filtered.bool()


def hm3d_scene_valid(boxes: int, resolution: tuple[int, int, int]) -> bool:
    """HM3D scenes are used with more than two boxes and at least 100 voxels along every axis."""
    return boxes > 2 and min(resolution) >= HM3D_MIN_SIDE


def boxes3d_from_grid(obb: Float[Tensor, "n 7"], label: Int[Tensor, " n"] | None = None) -> Boxes3D:
    """NeRF-RPN rows (x, y, z, w, l, h, theta) as :class:`Boxes3D`, still in voxels."""
    return Boxes3D(
        centre=obb[:, :3],
        size=obb[:, 3:6],
        yaw=obb[:, 6],
        label=torch.zeros(len(obb), dtype=torch.long) if label is None else label,
    )
