"""Parameterisations: where they begin, what they move, and their gradients at the start."""

from __future__ import annotations

from typing import get_args

import pytest
import torch

from maskfield.geometry.cameras import check_poses
from maskfield.geometry.se3 import exp, log
from maskfield.methods.inerf.config import Parameterisation
from maskfield.methods.inerf.poses import MOTIONS, homogeneous, rigid

STARTS = exp(torch.randn(4, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64))


@pytest.mark.parametrize("name", get_args(Parameterisation))
def test_every_motion_begins_at_the_start(name: Parameterisation) -> None:
    motion = MOTIONS[name]
    free = motion.initial(STARTS, 0.0, None)
    assert free.shape == (4, motion.size)
    torch.testing.assert_close(motion.move(free, STARTS), STARTS)


@pytest.mark.parametrize("name", get_args(Parameterisation))
def test_gradients_are_right_also_at_the_start(name: Parameterisation) -> None:
    motion = MOTIONS[name]
    free = motion.initial(STARTS[:1], 0.0, None).requires_grad_()
    assert torch.autograd.gradcheck(lambda p: motion.move(p, STARTS[:1]), free)


def test_noise_is_seeded_and_small() -> None:
    a, b = (
        MOTIONS["se3"].initial(STARTS, 1e-6, torch.Generator().manual_seed(1)) for _ in range(2)
    )
    torch.testing.assert_close(a, b, rtol=0, atol=0)
    assert 0 < float(a.abs().max()) < 1e-5


def test_so3xt_turns_about_the_camera() -> None:
    free = torch.zeros(4, 6, dtype=torch.float64)
    free[:, 5] = 0.4
    moved = MOTIONS["so3xt"].move(free, STARTS)
    torch.testing.assert_close(moved[:, :, 3], STARTS[:, :, 3])
    assert float((moved - STARTS).abs().max()) > 0.1


def test_the_screw_is_the_exponential_while_its_axis_is_a_unit_vector() -> None:
    generator = torch.Generator().manual_seed(2)
    w = torch.nn.functional.normalize(torch.randn(4, 3, generator=generator).double(), dim=1)
    v, theta = torch.randn(4, 3, generator=generator).double(), torch.full((4, 1), 0.7).double()
    moved = MOTIONS["wvtheta"].move(torch.cat([w, v, theta], 1), STARTS)
    expected = MOTIONS["se3"].move(torch.cat([v * theta, w * theta], 1), STARTS)
    torch.testing.assert_close(moved, expected)


def test_drifted_poses_become_rigid_again() -> None:
    drifted = STARTS + 0.05
    with pytest.raises(Exception, match="rotation"):
        check_poses(drifted, tolerance=1e-3)
    check_poses(rigid(drifted), tolerance=1e-9)
    torch.testing.assert_close(rigid(STARTS), STARTS)
    torch.testing.assert_close(log(homogeneous(STARTS)[:, :3]), log(STARTS))
