from __future__ import annotations

import math
import random

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates
from torch import Tensor

from maskfield.data.augment import (
    MAX_ANGLE,
    Decisions,
    Probabilities,
    augment,
    decide,
    decide_from,
    flip,
    quarter_turn,
    rotate_and_scale,
)


def voxels_inside(obb: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """True on voxels whose centre lies in an oriented box."""
    axes = torch.meshgrid(*(torch.arange(n) + 0.5 for n in shape), indexing="ij")
    offset = torch.stack(axes, -1) - obb[:3]
    c, s = math.cos(float(obb[6])), math.sin(float(obb[6]))
    u, v = c * offset[..., 0] + s * offset[..., 1], -s * offset[..., 0] + c * offset[..., 1]
    half = obb[3:6] / 2
    return (u.abs() < half[0]) & (v.abs() < half[1]) & (offset[..., 2].abs() < half[2])


OBB = torch.tensor([[7.3, 5.1, 4.2, 6.0, 3.0, 5.0, 0.4]])


@pytest.mark.parametrize(
    "decisions",
    [
        Decisions(rotate90=True),
        Decisions(flip_first=True),
        Decisions(flip_second=True),
        Decisions(rotate90=True, flip_first=True, flip_second=True),
    ],
)
def test_oriented_boxes_follow_the_grid(decisions: Decisions) -> None:
    grid = voxels_inside(OBB[0], (14, 11, 9)).float()[None]
    moved, boxes = augment(grid, OBB, decisions)
    assert torch.equal(moved[0].bool(), voxels_inside(boxes[0], tuple(moved.shape[1:])))


@pytest.mark.parametrize("z_up", [True, False])
@pytest.mark.parametrize("rotate90", [True, False])
def test_axis_aligned_boxes_follow_the_grid(z_up: bool, rotate90: bool) -> None:
    grid = torch.zeros(1, 8, 6, 5)
    grid[:, 2:5, 1:3, 3:5] = 1
    boxes = torch.tensor([[2.0, 1, 3, 5, 3, 5]])
    decisions = Decisions(rotate90=rotate90, flip_second=True)
    moved, (row,) = augment(grid, boxes, decisions, z_up=z_up)
    x0, y0, z0, x1, y1, z1 = (int(v) for v in row)
    assert moved[:, x0:x1, y0:y1, z0:z1].sum() == grid.sum() == moved.sum()


def test_four_quarter_turns_and_two_flips_are_nothing(generator: torch.Generator) -> None:
    grid, boxes = torch.rand(4, 5, 7, 3, generator=generator), OBB
    for _ in range(4):
        grid, boxes = quarter_turn(grid, boxes)
    # theta stays, widths and lengths are exchanged twice
    torch.testing.assert_close(boxes, OBB)
    for axis in (0, 1):
        again, rows = flip(*flip(grid, boxes, axis), axis)
        assert torch.equal(again, grid)
        torch.testing.assert_close(rows, OBB)


@pytest.mark.parametrize(("angle", "scale"), [(0.12, 0.93), (-0.17, 1.08), (0.0, 1.0)])
def test_resampling_agrees_with_scipy(
    angle: float, scale: float, generator: torch.Generator
) -> None:
    grid = torch.rand(2, 9, 7, 6, generator=generator, dtype=torch.float64)
    found, _ = rotate_and_scale(grid, OBB.double(), angle, scale)
    half = np.array(grid.shape[1:]) / 2
    axes = np.meshgrid(*(np.linspace(-1, 1, int(2 * h)) * h for h in half), indexing="ij")
    g = np.stack(axes)
    c, s = scale * math.cos(angle), scale * math.sin(angle)
    source = np.stack([c * g[0] - s * g[1], s * g[0] + c * g[1], scale * g[2]])
    index = [(source[a] / half[a] + 1) / 2 * (grid.shape[1 + a] - 1) for a in range(3)]
    for channel in range(2):
        padded = np.pad(grid[channel].numpy(), 1)
        oracle = map_coordinates(padded, [i + 1 for i in index], order=1, cval=0.0)
        np.testing.assert_allclose(found[channel].numpy(), oracle, atol=1e-12)


def test_a_free_rotation_keeps_box_and_content_together() -> None:
    big = torch.tensor([[34.0, 28, 20, 20, 12, 16, 0.3]])
    grid = voxels_inside(big[0], (64, 60, 40)).float()[None]
    moved, rows = rotate_and_scale(grid, big, 0.15, 0.9)
    inside = voxels_inside(rows[0], (64, 60, 40))
    both = ((moved[0] > 0.5) & inside).sum() / ((moved[0] > 0.5) | inside).sum()
    assert both > 0.9
    torch.testing.assert_close(rows[0, 3:6], big[0, 3:6] / 0.9)


def test_draws_are_used_in_the_official_order() -> None:
    draw = random.Random(0).random
    made = decide_from(draw, Probabilities(), oriented_boxes=True)
    assert (made.rotate90, made.flip_first, made.flip_second) == (False, False, True)
    assert made.rot_scale
    assert made.angle == pytest.approx(0.003935620202543594)
    assert made.scale == pytest.approx(0.9809868274900829)


def test_decisions_are_reproducible_and_in_range() -> None:
    generators = [torch.Generator().manual_seed(5) for _ in range(2)]
    always = Probabilities(rotate_and_scale=1.0)
    a, b = (decide(g, always, oriented_boxes=True) for g in generators)
    assert a == b
    assert abs(a.angle) <= MAX_ANGLE
    assert 0.9 <= a.scale <= 1.1
    never = decide(generators[0], Probabilities(rotate=0.0, flip=0.0), oriented_boxes=False)
    assert never == Decisions()


def test_inputs_are_not_changed() -> None:
    boxes, grid = OBB.clone(), torch.ones(1, 4, 4, 4)
    augment(grid, boxes, Decisions(flip_first=True, rotate90=True, rot_scale=True, angle=0.1))
    assert torch.equal(boxes, OBB)
    assert torch.equal(grid, torch.ones(1, 4, 4, 4))


def test_unsupported_combinations_are_refused() -> None:
    grid = torch.zeros(1, 4, 4, 4)
    with pytest.raises(ValueError, match="axis-aligned"):
        augment(grid, OBB, Decisions(), z_up=False)
    with pytest.raises(ValueError, match="oriented"):
        augment(grid, torch.zeros(1, 6), Decisions(rot_scale=True))
