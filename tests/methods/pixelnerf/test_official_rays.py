"""Rays and poses in official conventions, against closed forms."""

from __future__ import annotations

import math

import pytest
import torch

from maskfield.core.errors import DataError
from maskfield.geometry.camera_paths import look_at, spherical
from maskfield.geometry.cameras import check_poses
from maskfield.methods.pixelnerf.official_rays import (
    from_blender,
    official_cameras,
    pose_look_at,
    pose_spherical,
    ray_rows,
    to_blender,
)


def test_a_pixels_index_is_its_place():
    cameras = official_cameras(torch.eye(4)[None], 6, 4, 5.0, torch.tensor([2.0, 1.0]))
    rows = ray_rows(cameras, 0.5, 2.0)
    assert rows.shape == (1, 4, 6, 8)
    torch.testing.assert_close(rows[0, 1, 2, 3:6], torch.tensor([0.0, 0, -1]))
    x, y = 5, 3
    wanted = torch.nn.functional.normalize(torch.tensor([(x - 2) / 5, -(y - 1) / 5, -1.0]), dim=0)
    torch.testing.assert_close(rows[0, y, x, 3:6], wanted)
    assert rows[0, 0, 0, 6:].tolist() == [0.5, 2.0]


@pytest.mark.parametrize("focal", [5.0, torch.tensor(5.0), torch.tensor([[5.0, 5.0]])])
def test_a_focal_length_comes_in_several_forms(focal: float | torch.Tensor):
    cameras = official_cameras(torch.eye(4)[None], 6, 4, focal)
    assert cameras.intrinsics.tolist() == [[5.0, 5.0, 3.5, 2.5]]


def test_several_focal_lengths_are_refused():
    with pytest.raises(DataError, match="focal"):
        official_cameras(torch.eye(4)[None], 6, 4, torch.ones(3))
    with pytest.raises(DataError, match="centre"):
        official_cameras(torch.eye(4)[None], 6, 4, 5.0, torch.ones(2, 1))


def test_spherical_poses_look_at_the_origin_also_from_the_poles():
    azimuth = torch.tensor([0.0, 90, 200, 30, 30])
    elevation = torch.tensor([0.0, 30, -50, 90, -90])
    poses = spherical(azimuth, elevation, torch.full((5,), 2.0))
    check_poses(poses, tolerance=1e-5)
    torch.testing.assert_close(poses[:, :, 2] * -2, poses[:, :, 3])
    torch.testing.assert_close(
        poses[1, :, 3], torch.tensor([math.sqrt(3), 0, 1]), atol=1e-6, rtol=0
    )
    wanted = look_at(poses[:3, :, 3], torch.zeros(3, 3))
    torch.testing.assert_close(poses[:3], wanted, atol=1e-6, rtol=0)


def test_official_spherical_poses_are_above_for_negative_angles():
    pose = pose_spherical(*(torch.tensor([v]) for v in (40.0, -30.0, 1.3)))[0]
    assert float(pose[2, 3]) == pytest.approx(0.65)
    assert pose[3].tolist() == [0, 0, 0, 1]


def test_look_at_has_official_axes():
    origin, target = torch.tensor([[1.0, 2, 3]]), torch.tensor([[0.0, 0.5, -1]])
    pose = pose_look_at(origin, target)[0]
    back = torch.nn.functional.normalize(origin - target, dim=1)[0]
    torch.testing.assert_close(pose[:3, 2], back)
    assert float(pose[1, 1]) > 0


def test_blender_matrices_are_inverse():
    torch.testing.assert_close(from_blender() @ to_blender(), torch.eye(4))
    moved = from_blender() @ torch.tensor([1.0, 2, 3, 1])
    assert moved.tolist() == [1, 3, -2, 1]
