from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from maskfield.data.preparation.ngp_boxes import (
    Z_UP,
    NerfBoxes,
    NgpFrame,
    boxes3d_from_grid,
    grid_aabb_from_nerf,
    grid_obb_from_nerf,
    hm3d_scene_valid,
    label_kept,
    nerf_boxes_from_grid,
    nerf_from_ngp,
    ngp_from_nerf,
)

F64 = torch.float64


def frame(from_mitsuba: bool = False) -> NgpFrame:
    return NgpFrame(
        resolution=(60, 40, 50),
        bbox_min=torch.tensor([-0.4, -0.2, -0.3], dtype=F64),
        bbox_max=torch.tensor([1.2, 0.9, 1.4], dtype=F64),
        scale=0.33,
        offset=torch.tensor([0.5, 0.45, 0.55], dtype=F64),
        from_mitsuba=from_mitsuba,
    )


def yaw_boxes(generator: torch.Generator, count: int = 12) -> NerfBoxes:
    angle = torch.rand(count, generator=generator, dtype=F64) * 2 * math.pi
    rotation = torch.zeros(count, 3, 3, dtype=F64)
    rotation[:, 0, 0] = rotation[:, 1, 1] = angle.cos()
    rotation[:, 1, 0], rotation[:, 0, 1] = angle.sin(), -angle.sin()
    rotation[:, 2, 2] = 1
    return NerfBoxes(
        orientation=rotation,
        position=torch.rand(count, 3, generator=generator, dtype=F64) - 0.5,
        extents=0.2 + torch.rand(count, 3, generator=generator, dtype=F64),
    )


def corners(boxes: NerfBoxes) -> Tensor:
    signs = torch.tensor([[(i >> s) & 1 for s in (2, 1, 0)] for i in range(8)], dtype=F64) - 0.5
    local = signs * boxes.extents[:, None]
    return torch.einsum("nij,nkj->nki", boxes.orientation, local) + boxes.position[:, None]


def same_point_sets(a: Tensor, b: Tensor) -> bool:
    return bool(
        (torch.cdist(a, b).amin(2) < 1e-9).all() and (torch.cdist(b, a).amin(2) < 1e-9).all()
    )


@pytest.mark.parametrize("from_mitsuba", [False, True])
def test_poses_go_to_ngp_and_back(from_mitsuba: bool, generator: torch.Generator) -> None:
    poses = torch.randn(5, 3, 4, generator=generator, dtype=F64)
    given = poses.clone()
    there = ngp_from_nerf(poses, frame(from_mitsuba))
    assert torch.equal(poses, given)
    torch.testing.assert_close(nerf_from_ngp(there, frame(from_mitsuba)), poses)
    assert not torch.allclose(there[..., :3], poses[..., :3])


def test_grid_boxes_hold_the_same_volume_as_the_nerf_boxes(generator: torch.Generator) -> None:
    boxes, stored = yaw_boxes(generator), cubic()
    obb = grid_obb_from_nerf(boxes, stored, drop_outside=False)
    z_up = replace(stored.permuted(Z_UP), offset=stored.offset[list(Z_UP)])
    back = nerf_boxes_from_grid(obb, z_up)
    assert same_point_sets(corners(back), corners(boxes))


def cubic() -> NgpFrame:
    """Cubic voxels: only then do turned boxes stay boxes."""
    low = torch.tensor([-0.4, -0.2, -0.3], dtype=F64)
    voxels = torch.tensor([60.0, 40.0, 50.0], dtype=F64)
    return replace(frame(), bbox_min=low, bbox_max=low + voxels * 0.02, offset=low * 0 + 0.5)


def test_resolution_order_flags_re_order_only_the_resolution(generator: torch.Generator) -> None:
    boxes, stored = yaw_boxes(generator), frame()
    hm3d = grid_obb_from_nerf(boxes, stored, drop_outside=False, resolution_is_z_up=True)
    usual = grid_obb_from_nerf(boxes, stored, drop_outside=False)
    counts = torch.tensor(stored.resolution, dtype=F64)
    torch.testing.assert_close(hm3d[:, :3] / counts, usual[:, :3] / counts[list(Z_UP)])
    torch.testing.assert_close(hm3d[:, 6], usual[:, 6])


def test_centres_outside_and_small_boxes_are_dropped() -> None:
    boxes = NerfBoxes(
        orientation=torch.eye(3, dtype=F64).expand(3, 3, 3),
        position=torch.tensor([[0.0, 0, 0], [50, 0, 0], [0, 0, 0]], dtype=F64),
        extents=torch.tensor([[1.0, 1, 1], [1, 1, 1], [1, 1, 1e-3]], dtype=F64),
    )
    assert len(grid_obb_from_nerf(boxes, frame())) == 2
    assert len(grid_obb_from_nerf(boxes, frame(), min_size=2.0)) == 1
    assert len(grid_obb_from_nerf(boxes, frame(), drop_outside=False)) == 3
    aabb = grid_aabb_from_nerf(boxes, frame())
    assert len(aabb) == 1
    assert (aabb[:, 3:] > aabb[:, :3]).all()


def test_yaw_of_a_quarter_turn_is_half_pi() -> None:
    turned = torch.tensor([[[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]], dtype=F64)
    boxes = NerfBoxes(
        orientation=turned, position=torch.zeros(1, 3, dtype=F64), extents=torch.ones(1, 3)
    )
    obb = grid_obb_from_nerf(boxes, frame())
    assert float(obb[0, 6]) == pytest.approx(math.pi / 2)


def test_aabb_encloses_the_corners_inside_the_grid(generator: torch.Generator) -> None:
    boxes, stored = yaw_boxes(generator), frame()
    aabb = grid_aabb_from_nerf(boxes, stored)
    assert (aabb[:, :3] >= 0).all()
    assert (aabb[:, 3:] <= torch.tensor(stored.resolution)).all()
    assert len(grid_aabb_from_nerf(boxes, stored, min_size=1000.0)) == 0


def test_labels_are_filtered_by_class_and_by_hand() -> None:
    labels = torch.tensor([4, 5, 1, 7, 6, 8])
    assert label_kept(labels).tolist() == [True, True, False, True, True, False]
    by_hand = torch.tensor([0, 0, 0, 0, 1, 0]).bool()
    assert label_kept(labels, by_hand).tolist() == [True, True, False, True, False, False]
    assert label_kept(labels, excluded=frozenset((5,))).tolist()[1] is False


def test_hm3d_scenes_need_boxes_and_voxels() -> None:
    assert hm3d_scene_valid(3, (100, 160, 120))
    assert not hm3d_scene_valid(2, (100, 160, 120))
    assert not hm3d_scene_valid(3, (99, 160, 120))


def test_rows_become_boxes3d() -> None:
    rows = torch.tensor([[1.0, 2, 3, 4, 5, 6, 0.5]])
    boxes = boxes3d_from_grid(rows, torch.tensor([9])).validated()
    assert boxes.size.tolist() == [[4.0, 5.0, 6.0]]
    assert boxes.label.tolist() == [9]
