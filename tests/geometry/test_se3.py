"""Rigid motions against scipy and by their own laws."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.spatial.transform import Rotation

from maskfield.geometry import se3


@pytest.fixture
def twists(generator: torch.Generator) -> torch.Tensor:
    return torch.randn(20, 6, generator=generator, dtype=torch.float64)


def test_rotation_exp_agrees_with_scipy(twists: torch.Tensor) -> None:
    expected = torch.from_numpy(Rotation.from_rotvec(twists[:, 3:].numpy()).as_matrix())
    torch.testing.assert_close(se3.rotation_exp(twists[:, 3:]), expected)


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-3, 0.5, 2.0, math.pi - 1e-6, math.pi])
def test_rotation_log_inverts_exp(angle: float) -> None:
    w = torch.tensor([[0.36, -0.48, 0.8]], dtype=torch.float64) * angle
    rotation = se3.rotation_exp(w)
    back = se3.rotation_exp(se3.rotation_log(rotation))
    torch.testing.assert_close(back, rotation, atol=1e-9, rtol=0)
    assert float(se3.rotation_log(rotation).norm()) == pytest.approx(angle, abs=1e-7)


def test_log_inverts_exp_for_whole_motions(twists: torch.Tensor) -> None:
    twists[:, 3:] *= 3 / twists[:, 3:].norm(dim=-1, keepdim=True).clamp_min(3)
    torch.testing.assert_close(se3.log(se3.exp(twists)), twists, atol=1e-9, rtol=1e-9)


def test_exp_agrees_with_the_matrix_exponential(twists: torch.Tensor) -> None:
    generator = torch.zeros(len(twists), 4, 4, dtype=torch.float64)
    generator[:, :3, :3] = se3.hat(twists[:, 3:])
    generator[:, :3, 3] = twists[:, :3]
    torch.testing.assert_close(se3.exp(twists), torch.linalg.matrix_exp(generator)[:, :3])


def test_inverse_and_compose(twists: torch.Tensor) -> None:
    motion = se3.exp(twists)
    eye = se3.compose(motion, se3.inverse(motion))
    torch.testing.assert_close(eye, torch.eye(4, dtype=torch.float64)[:3].expand_as(eye))


def test_compose_does_the_second_first(twists: torch.Tensor) -> None:
    a, b = se3.exp(twists[0]), se3.exp(twists[1])
    point = torch.tensor([0.3, -1.0, 2.0], dtype=torch.float64)
    torch.testing.assert_close(
        se3.apply(se3.compose(a, b), point), se3.apply(a, se3.apply(b, point))
    )


def test_interpolate_meets_its_ends_and_halves_the_angle(twists: torch.Tensor) -> None:
    a, b = se3.exp(twists[:10]), se3.exp(twists[10:])
    torch.testing.assert_close(se3.interpolate(a, b, 0.0), a)
    torch.testing.assert_close(se3.interpolate(a, b, 1.0), b)
    middle = se3.interpolate(a, b, 0.5)
    torch.testing.assert_close(se3.rotation_angle(a, middle), se3.rotation_angle(a, b) / 2)


def test_quaternions_agree_with_scipy(twists: torch.Tensor) -> None:
    rotation = se3.rotation_exp(3 * twists[:, 3:])
    q = se3.quaternion_from_rotation(rotation)
    expected = torch.from_numpy(
        Rotation.from_matrix(rotation.numpy()).as_quat(canonical=True, scalar_first=True)
    )
    torch.testing.assert_close(q, expected)
    torch.testing.assert_close(se3.rotation_from_quaternion(2.5 * q), rotation)


def test_nearest_rotation_repairs_noise_and_mirrors(twists: torch.Tensor) -> None:
    rotation = se3.rotation_exp(twists[:, 3:])
    noisy = rotation + 1e-4 * twists[:, :1, None]
    repaired = se3.nearest_rotation(noisy)
    torch.testing.assert_close(repaired, rotation, atol=1e-3, rtol=0)
    assert torch.allclose(
        torch.linalg.det(se3.nearest_rotation(-rotation)), torch.ones(()).double()
    )


@pytest.mark.parametrize(
    ("source", "target"),
    [([1.0, 2, 3], [-3.0, 0.5, 1]), ([0.0, 0, 1], [0.0, 0, -1]), ([0.0, 2, 0], [0.0, 1, 0])],
)
def test_rotation_between(source: list[float], target: list[float]) -> None:
    a, b = torch.tensor(source).double(), torch.tensor(target).double()
    rotation = se3.rotation_between(a, b)
    torch.testing.assert_close(rotation @ (a / a.norm()), b / b.norm())
    assert float(torch.linalg.det(rotation)) == pytest.approx(1.0)


def test_move_poses_keeps_what_cameras_see(twists: torch.Tensor) -> None:
    poses = se3.exp(twists)
    matrix = se3.similarity(2.5, se3.rotation_exp(twists[0, 3:]), twists[1, :3])
    assert se3.similarity_scale(matrix) == pytest.approx(2.5)
    moved = se3.move_poses(matrix, poses)
    point = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    before = se3.apply(se3.inverse(poses), point)
    after = se3.apply(se3.inverse(moved), se3.apply(matrix, point))
    torch.testing.assert_close(after, 2.5 * before)


def test_gradients(twists: torch.Tensor) -> None:
    inputs = twists[:3].clone()
    inputs[0] = 0.0  # the identity needs series
    inputs[1, 3:] *= 1e-6
    inputs.requires_grad_(True)
    assert torch.autograd.gradcheck(se3.exp, inputs)
    assert torch.autograd.gradcheck(lambda t: se3.log(se3.exp(t)), inputs)
