"""Rays cut to a box: what the samplers rely on."""

from __future__ import annotations

import torch

from maskfield.geometry.rays import Rays

BOX = torch.tensor([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]])


def rays(origin: tuple[float, ...], direction: tuple[float, ...], near: float = 0.5) -> Rays:
    return Rays(
        origins=torch.tensor([origin]),
        directions=torch.tensor([direction]),
        near=torch.full((1,), near),
        far=torch.full((1,), torch.inf),
    )


def test_hit_from_outside_and_from_inside():
    outside = rays((-3.0, 0.2, 0.0), (1.0, 0.0, 0.0)).clipped(BOX)
    assert (float(outside.near), float(outside.far)) == (2.0, 4.0)
    inside = rays((0.0, 0.0, 0.0), (0.0, 0.0, -1.0)).clipped(BOX)
    assert (float(inside.near), float(inside.far)) == (0.5, 1.0)


def test_a_miss_keeps_near_and_stays_finite():
    for origin, direction in (
        ((5.0, 5.0, -3.0), (0.0, 0.0, 1.0)),  # parallel to two faces, outside of both
        ((-3.0, 0.0, 0.0), (-1.0, 0.0, 0.0)),  # the box lies behind
    ):
        miss = rays(origin, direction).clipped(BOX)
        assert (float(miss.near), float(miss.far)) == (0.5, 0.5)


def test_gradients_of_an_axis_parallel_ray_are_finite():
    direction = torch.tensor([[0.0, 0.0, 1.0]], requires_grad=True)
    origin = torch.tensor([[0.3, 0.0, -3.0]], requires_grad=True)
    near, far = torch.zeros(1), torch.full((1,), torch.inf)
    cut = Rays(origins=origin, directions=direction, near=near, far=far).clipped(BOX)
    (cut.near + 2 * cut.far).sum().backward()
    assert torch.isfinite(direction.grad).all()
    torch.testing.assert_close(origin.grad, torch.tensor([[0.0, 0.0, -3.0]]))
