from __future__ import annotations

import pytest
import torch

from maskfield.core.errors import SceneError
from maskfield.data.preparation.principal_axes import principal_axes_poses


def poses_on_a_plane(generator: torch.Generator) -> torch.Tensor:
    """Cameras spread 10 : 4 : 1 along turned axes, their y axes along the thin one."""
    q, _ = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))
    q = q * torch.linalg.det(q)
    spread = torch.tensor([10.0, 4.0, 1.0], dtype=torch.float64)
    local = torch.randn(50, 3, generator=generator, dtype=torch.float64) * spread
    camera = torch.stack([q[:, 0], q[:, 2], -q[:, 1]], dim=1)  # x, up, back
    return torch.cat([camera.expand(50, 3, 3), (local @ q.T + 5)[..., None]], dim=-1)


def test_axes_are_ordered_centred_and_scaled(generator: torch.Generator) -> None:
    moved, transform = principal_axes_poses(poses_on_a_plane(generator))
    centres = moved[:, :, 3]
    torch.testing.assert_close(centres.mean(0), torch.zeros(3, dtype=torch.float64))
    assert float(centres.abs().max()) == pytest.approx(1)
    variance = centres.var(0)
    assert variance[0] > variance[1] > variance[2]
    covariance = centres.T @ centres
    off_diagonal = covariance - covariance.diag().diag()
    torch.testing.assert_close(off_diagonal, torch.zeros_like(off_diagonal), atol=1e-9, rtol=0)
    assert float(torch.linalg.det(transform[:3, :3])) > 0
    assert float(moved[:, 2, 1].mean()) > 0.9


def test_the_transform_is_what_moved_the_poses(generator: torch.Generator) -> None:
    poses = poses_on_a_plane(generator)
    moved, transform = principal_axes_poses(poses)
    centres = poses[:, :, 3] @ transform[:3, :3].T + transform[:3, 3]
    torch.testing.assert_close(centres, moved[:, :, 3])
    rotations = moved[:, :, :3]
    torch.testing.assert_close(
        rotations @ rotations.transpose(1, 2), torch.eye(3, dtype=torch.float64).expand(50, 3, 3)
    )


def test_coinciding_cameras_are_refused() -> None:
    with pytest.raises(SceneError, match="coincide"):
        principal_axes_poses(torch.eye(4)[None, :3].expand(4, 3, 4))
