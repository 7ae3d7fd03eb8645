"""The official LLFF world: its laws, whatever the capture."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from maskfield.data.readers.llff_world import average_pose, official_llff
from maskfield.geometry.camera_paths import focus_point, look_at
from maskfield.geometry.cameras import check_poses


def a_table(cameras: int = 9) -> np.ndarray:
    """Cameras on an arc that look at a point, as poses_bounds.npy has them."""
    angle = np.linspace(-0.5, 0.5, cameras)
    eye = np.stack([4 * np.sin(angle), -4 * np.cos(angle), 0.3 * np.cos(7 * angle)], axis=1)
    poses = look_at(torch.from_numpy(eye), torch.zeros(cameras, 3, dtype=torch.float64)).numpy()
    right, down, forward, centre = (poses[:, :, i] for i in range(4))
    lens = np.broadcast_to([600.0, 800.0, 700.0], (cameras, 3))
    matrix = np.stack([down, right, -forward, centre, lens], axis=2).reshape(cameras, 15)
    bounds = np.stack([np.linspace(2.0, 3.0, cameras), np.full(cameras, 9.0)], axis=1)
    return np.concatenate([matrix, bounds], axis=1)


def test_the_nearest_bound_and_the_average_camera_set_the_world() -> None:
    found = official_llff(a_table(), (75, 100), 8)
    assert float(found.bounds.min()) == pytest.approx(1 / 0.75)
    expected = np.concatenate([np.eye(3), np.zeros((3, 1))], axis=1)
    np.testing.assert_allclose(average_pose(found.camera_to_world), expected, atol=1e-6)
    assert found.scale == pytest.approx(1 / (2.0 * 0.75))
    assert found.focal.tolist() == [700.0 / 8] * 9
    np.testing.assert_allclose(found.rows()[0, :, 4], [75, 100, 87.5])


def test_relative_poses_are_kept_but_for_the_scale() -> None:
    plain = official_llff(a_table(), (75, 100), bound_factor=None, recentre=False)
    moved = official_llff(a_table(), (75, 100), spherify=True)
    a, b = (x.camera_to_world.astype(np.float64) for x in (plain, moved))
    between = [np.linalg.norm(x[:, None, :, 3] - x[None, :, :, 3], axis=-1) for x in (a, b)]
    np.testing.assert_allclose(between[0] * moved.scale, between[1], atol=1e-5)
    turns = [np.einsum("nji,mjk->nmik", x[:, :, :3], x[:, :, :3]) for x in (a, b)]
    np.testing.assert_allclose(turns[0], turns[1], atol=1e-5)


def test_a_sphere_has_its_focus_in_the_origin_and_unit_size() -> None:
    found = official_llff(a_table(), (75, 100), spherify=True)
    cameras = found.cameras()
    check_poses(cameras.camera_to_world)
    torch.testing.assert_close(focus_point(cameras), torch.zeros(3), atol=1e-4, rtol=0)
    assert float(cameras.centres.square().sum(1).mean().sqrt()) == pytest.approx(1, abs=1e-5)
