from __future__ import annotations

import math

import pytest
import torch

from maskfield.core.errors import GridError
from maskfield.methods.nerf_mae.grids import network_grid


def test_density_rules_and_layout(generator: torch.Generator) -> None:
    stored = torch.randn(3, 4, 5, 4, generator=generator)
    for rule, sigma in (("exp", stored[..., 3].exp()), ("relu", stored[..., 3].relu())):
        grid = network_grid(stored, rule)
        assert grid.shape == (4, 3, 4, 5)
        torch.testing.assert_close(grid[:3], stored[..., :3].permute(3, 0, 1, 2))
        torch.testing.assert_close(grid[3], 1 - torch.exp(-sigma * 0.01))
    assert torch.equal(network_grid(stored, "none")[3], stored[..., 3])


def test_eight_bit_alpha_is_divided_by_255() -> None:
    stored = torch.full((1, 1, 1, 4), 51, dtype=torch.uint8)
    torch.testing.assert_close(network_grid(stored, "none"), torch.full((4, 1, 1, 1), 0.2))


def test_eight_bit_density_is_refused_unless_official() -> None:
    stored = torch.tensor([0, 6, 7, 255], dtype=torch.uint8).view(4, 1, 1, 1).expand(4, 1, 1, 4)
    with pytest.raises(GridError, match="8-bit") as error:
        network_grid(stored, "exp")
    assert error.value.field == "rgbsigma"
    official = network_grid(stored, "exp", compat="official")
    # 1 - exp(-0.01 exp(d)) reaches 1 in half precision from d = 7 on, below it truncates to 0
    assert official[3].flatten().tolist() == pytest.approx([0, 0, 1 / 255, 1 / 255])
    assert not math.isnan(float(official.sum()))


def test_unknown_rule_is_refused() -> None:
    with pytest.raises(GridError, match="density rule"):
        network_grid(torch.zeros(1, 1, 1, 4), "softplus")  # type: ignore[arg-type]
