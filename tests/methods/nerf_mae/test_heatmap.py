from __future__ import annotations

import math

import pytest
import torch

from maskfield.data.preparation.ngp_boxes import boxes3d_from_grid
from maskfield.methods.nerf_mae.heatmap import (
    enclosing_aabb,
    gaussian_stamp,
    grid_from_world_isotropic,
    integer_boxes,
    official_corners,
    proposal_heatmap,
    world_from_grid_isotropic,
)


def test_stamp_is_a_separable_gaussian() -> None:
    stamp = gaussian_stamp((5, 4, 3))
    assert stamp.shape == (5, 4, 3)
    for i, j, k in ((2, 1, 1), (0, 2, 1), (4, 1, 1)):
        expected = math.exp(-0.5 * ((i - 2) / 1) ** 2 - 0.5 * (0.5 / 0.8) ** 2)
        assert float(stamp[i, j, k]) == pytest.approx(expected)
    assert float(stamp[2, 0, 1]) == pytest.approx(math.exp(-0.5 * (1.5 / 0.8) ** 2))


@pytest.mark.parametrize("stamp", ["gaussian", "box"])
def test_heatmap_is_standardised_and_hottest_in_the_box(stamp: str) -> None:
    boxes = torch.tensor([[3, 4, 5, 9, 10, 11]])
    heat = proposal_heatmap(boxes, (20, 18, 16), stamp=stamp, sigma=1.0)
    assert float(heat.mean()) == pytest.approx(0, abs=1e-12)
    assert float(heat.std(unbiased=False)) == pytest.approx(1)
    hottest = torch.tensor(torch.unravel_index(heat.argmax(), heat.shape))
    assert ((hottest >= boxes[0, :3]) & (hottest < boxes[0, 3:])).all()


def test_no_proposal_gives_a_flat_map() -> None:
    assert torch.equal(
        proposal_heatmap(torch.zeros(0, 6, dtype=torch.long), (4, 4, 4)),
        torch.zeros(4, 4, 4, dtype=torch.float64),
    )


def test_corners_and_enclosing_box_of_a_turned_box() -> None:
    boxes = boxes3d_from_grid(torch.tensor([[5.0, 5, 5, 4, 2, 6, math.pi / 2]]))
    torch.testing.assert_close(
        enclosing_aabb(boxes), torch.tensor([[4.0, 3, 2, 6, 7, 8]]), atol=1e-6, rtol=0
    )
    first = official_corners(boxes)[0, 0]
    torch.testing.assert_close(first, torch.tensor([4.0, 7, 2]), atol=1e-6, rtol=0)


def test_integer_boxes_are_clipped() -> None:
    aabb = torch.tensor([[-1.5, 2.9, 3.1, 50, 4.9, 6.0]])
    assert integer_boxes(aabb, (10, 10, 10)).tolist() == [[0, 2, 3, 10, 4, 6]]


def test_world_and_grid_use_one_factor(generator: torch.Generator) -> None:
    room = torch.tensor([[-1.0, 0, -2], [3, 5, 1]])
    points = torch.rand(6, 3, generator=generator)
    there = grid_from_world_isotropic(points, room, (40, 50, 30))
    torch.testing.assert_close(there, (points - room[0]) * 10)
    torch.testing.assert_close(world_from_grid_isotropic(there, room, (40, 50, 30)), points)
    half = grid_from_world_isotropic(points, room, (40, 50, 30), downsample=2.0)
    torch.testing.assert_close(half, there / 2)
