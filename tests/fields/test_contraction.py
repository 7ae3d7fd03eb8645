from __future__ import annotations

import pytest
import torch

from maskfield.fields.contraction import contract, frame_of_box, stretch, uncontract
from maskfield.geometry.se3 import apply


def points(generator: torch.Generator, scale: float) -> torch.Tensor:
    return scale * torch.randn(200, 3, generator=generator, dtype=torch.float64)


class TestContract:
    def test_inside_nothing_changes(self, generator):
        p = torch.rand(50, 3, generator=generator) * 2 - 1
        assert torch.equal(contract(p, 0.5), p)

    @pytest.mark.parametrize("shell", [0.3, 0.5, 1.0])
    def test_all_of_space_fits(self, generator, shell):
        assert contract(points(generator, 1e4), shell).abs().max() < 1 + shell

    def test_shell_of_one_is_the_papers_formula(self, generator):
        p = points(generator, 5.0)
        r = p.abs().amax(-1, keepdim=True)
        expected = torch.where(r > 1, (2 - 1 / r) / r * p, p)
        torch.testing.assert_close(contract(p, 1.0), expected)

    @pytest.mark.parametrize("shell", [0.3, 1.0])
    def test_inverse(self, generator, shell):
        p = points(generator, 5.0)
        torch.testing.assert_close(uncontract(contract(p, shell), shell), p)

    def test_stretch_is_the_inverse_of_the_radial_slope(self):
        r = torch.linspace(0.5, 9.0, 40, dtype=torch.float64).requires_grad_()
        p = torch.stack([r, 0.2 * r, -0.1 * r], dim=-1)
        (slope,) = torch.autograd.grad(contract(p, 0.5)[:, 0].sum(), r)
        torch.testing.assert_close(stretch(p.detach(), 0.5), 1 / slope)


class TestFrame:
    def test_corners_go_to_one(self):
        box = torch.tensor([[1.0, 2.0, 3.0], [2.0, 6.0, 4.0]], dtype=torch.float64)
        corners = apply(frame_of_box(box), box)
        torch.testing.assert_close(corners, torch.tensor([[-1.0] * 3, [1.0] * 3]).double())
