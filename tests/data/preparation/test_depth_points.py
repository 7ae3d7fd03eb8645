from __future__ import annotations

import pytest
import torch

from maskfield.data.preparation.depth_points import backproject_depth, points_by_label


def look(generator: torch.Generator) -> torch.Tensor:
    """Two random rigid OpenGL cameras."""
    poses = torch.eye(4, dtype=torch.float64).repeat(2, 1, 1)
    q, _ = torch.linalg.qr(torch.randn(2, 3, 3, generator=generator, dtype=torch.float64))
    poses[:, :3, :3] = q * torch.linalg.det(q)[:, None, None]
    poses[:, :3, 3] = torch.randn(2, 3, generator=generator, dtype=torch.float64)
    return poses


def test_points_project_back_onto_their_pixels(generator: torch.Generator) -> None:
    depth = 1 + torch.rand(2, 6, 8, generator=generator, dtype=torch.float64)
    poses = look(generator)
    points, _ = backproject_depth(depth, poses, (7.0, 6.5), (4.0, 3.0))
    for frame in range(2):
        homogeneous = torch.cat([points[frame], torch.ones(6, 8, 1, dtype=torch.float64)], -1)
        local = torch.einsum("ij,hwj->hwi", torch.linalg.inv(poses[frame]), homogeneous)
        torch.testing.assert_close(-local[..., 2], depth[frame])
        u = local[..., 0] / depth[frame] * 7.0 + 4.0
        v = 6 - (local[..., 1] / depth[frame] * 6.5 + 3.0)
        torch.testing.assert_close(u, (torch.arange(8.0).double() + 0.5).expand(6, 8))
        torch.testing.assert_close(v, (torch.arange(6.0).double() + 0.5)[:, None].expand(6, 8))


def test_zero_negative_and_far_depths_are_invalid() -> None:
    depth = torch.tensor([[[0.0, -1.0, 15.0, 14.9]]])
    _, valid = backproject_depth(depth, torch.eye(4)[None], (1.0, 1.0), (0.0, 0.0))
    assert valid.tolist() == [[[False, False, False, True]]]


def test_points_by_label_keep_pixel_order() -> None:
    points = torch.arange(12.0).view(4, 3)
    labels, valid = torch.tensor([2, 1, 2, 2]), torch.tensor([True, True, False, True])
    split = points_by_label(points, labels, valid)
    assert sorted(split) == [1, 2]
    assert torch.equal(split[2], points[[0, 3]])


def test_limit_takes_a_random_subset_and_needs_a_generator(generator: torch.Generator) -> None:
    points, labels = torch.arange(300.0).view(100, 3), torch.zeros(100, dtype=torch.long)
    valid = torch.ones(100, dtype=torch.bool)
    kept = points_by_label(points, labels, valid, limit=10, generator=generator)[0]
    assert kept.shape == (10, 3)
    assert (kept[1:, 0] > kept[:-1, 0]).all()
    assert len(points_by_label(points, labels, valid, limit=200)[0]) == 100
    with pytest.raises(ValueError, match="generator"):
        points_by_label(points, labels, valid, limit=10)
