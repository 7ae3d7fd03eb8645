"""Bilinear look-up: against torch's sampler, gradients, borders."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from maskfield.ops.bilinear import BilinearPadding, bilinear, bilinear_corners

PADDINGS: tuple[BilinearPadding, ...] = ("border", "zeros")


def torch_sampler(maps: Tensor, points: Tensor, padding: str) -> Tensor:
    size = points.new_tensor([maps.shape[2], maps.shape[1]])
    grid = (2 * points / size - 1)[:, :, None]
    options = {"padding_mode": padding, "align_corners": False}
    return F.grid_sample(maps.permute(0, 3, 1, 2), grid, **options)[..., 0].transpose(1, 2)


@pytest.fixture
def case() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(3, 5, 7, 4, generator=generator)
    points = torch.rand(3, 50, 2, generator=generator) * torch.tensor([11.0, 9.0]) - 2
    return maps, points


@pytest.mark.parametrize("padding", PADDINGS)
def test_agrees_with_torch(case: tuple[Tensor, Tensor], padding: BilinearPadding) -> None:
    maps, points = case
    found = bilinear(maps, points, padding=padding)
    torch.testing.assert_close(found, torch_sampler(maps, points, padding), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("padding", PADDINGS)
def test_gradients(case: tuple[Tensor, Tensor], padding: BilinearPadding) -> None:
    maps, points = (x[:2, :4].double().requires_grad_() for x in case)
    assert torch.autograd.gradcheck(lambda m, p: bilinear(m, p, padding=padding), (maps, points))


def test_a_centre_returns_what_is_stored(case: tuple[Tensor, Tensor]) -> None:
    maps, _ = case
    points = torch.tensor([[[2.5, 3.5]]]).expand(3, 1, 2)
    torch.testing.assert_close(bilinear(maps, points)[:, 0], maps[:, 3, 2])


def test_border_weights_sum_to_one_and_rows_exist() -> None:
    points = torch.tensor([[[-1e9, 1e9], [0.0, 0.0], [1e9, -1e9]]])
    index, weight = bilinear_corners(points, (4, 3))
    torch.testing.assert_close(weight.sum(-1), torch.ones(1, 3))
    assert int(index.min()) >= 0
    assert int(index.max()) < 12


def test_a_map_of_one_pixel() -> None:
    maps = torch.tensor([[[[3.0]]]])
    assert bilinear(maps, torch.tensor([[[0.1, 0.9]]])).item() == pytest.approx(3.0)
