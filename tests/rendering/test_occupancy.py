"""Occupancy grids: conservative for trilinear look-ups, updated by EMA, queried by world point."""

from __future__ import annotations

import pytest
import torch

from maskfield.core.errors import ConfigError, GridError
from maskfield.geometry.grids import grid_from_world
from maskfield.ops.trilinear import trilinear
from maskfield.rendering.occupancy import OccupancyGrid, density_at, dilate

BOX = torch.tensor([[-1.0, -2.0, 0.0], [1.0, 2.0, 3.0]])


@pytest.mark.parametrize("coarsen", [1, 2, 4])
def test_no_interpolated_matter_is_ever_skipped(coarsen, generator):
    density = torch.rand(8, 12, 16, generator=generator)
    density = torch.where(density > 0.98, density, 0.0)
    grid = OccupancyGrid.from_density(density, BOX, coarsen=coarsen)
    points = BOX[0] + torch.rand(20000, 3, generator=generator) * (BOX[1] - BOX[0])
    found = trilinear(density[..., None], grid_from_world(points, BOX, (8, 12, 16)))[:, 0]
    assert grid.resolution == (8 // coarsen, 12 // coarsen, 16 // coarsen)
    assert (found > 0).any()
    assert grid.query(points)[found > 0].all()
    if coarsen == 1:
        assert grid.share < 0.9
        without = OccupancyGrid.from_density(density, BOX, dilation=0)
        assert not without.query(points)[found > 0].all()


def test_threshold_and_dilation_by_hand():
    density = torch.zeros(5, 5, 5)
    density[2, 2, 2], density[0, 0, 0] = 3.0, 0.5
    box = torch.tensor([[0.0, 0, 0], [5, 5, 5]])
    grid = OccupancyGrid.from_density(density, box, threshold=1.0)
    assert int(grid.occupied.sum()) == 27
    assert grid.occupied[1:4, 1:4, 1:4].all()
    assert float(dilate(density, 2)[4, 4, 4]) == 3.0


def test_query_outside_the_box_is_empty():
    grid = OccupancyGrid.full(BOX, (2, 2, 2))
    points = torch.tensor([[0.0, 0.0, 1.0], [1.0, 2.0, 3.0], [1.1, 0.0, 1.0], [0.0, 0.0, -0.1]])
    assert grid.query(points).tolist() == [True, True, False, False]
    assert grid.query(points.reshape(2, 2, 3)).shape == (2, 2)


@pytest.mark.parametrize("kind", ["density", "alpha"])
def test_update_sees_the_field(kind, world):
    box = torch.tensor([[-1.5, -1.5, -1.5], [1.5, 1.5, 1.5]])
    field = world.sphere(4.0, (1, 1, 1), kind)
    grid = OccupancyGrid.full(box, (15, 15, 15), threshold=0.1).updated(field)
    centre = grid.query(torch.tensor([[0.0, 0.0, 0.0], [1.45, 1.45, 1.45]]))
    assert centre.tolist() == [True, False]
    assert float(grid.density[7, 7, 7]) == pytest.approx(4.0, rel=1e-4)
    assert 0 < grid.share < 1


def test_update_forgets_slowly(world):
    box = torch.tensor([[-1.0, -1, -1], [1, 1, 1]])
    full, empty = world.sphere(1.0, (1, 1, 1)), world.sphere(0.0, (1, 1, 1))
    grid = OccupancyGrid.full(box, (4, 4, 4), threshold=0.3, dilation=0).updated(full)
    before = grid.share
    once = grid.updated(empty, decay=0.5)
    torch.testing.assert_close(once.density, grid.density * 0.5)
    assert once.share == before
    assert once.updated(empty, decay=0.5).share == 0
    assert grid.updated(empty, decay=0.0).share == 0


def test_random_looks_find_matter_that_centres_miss(world, generator):
    box = torch.tensor([[-1.0, -1, -1], [1, 1, 1]])
    thin = world.AnalyticField(
        lambda p: 9.0 * ((p[..., 0] > 0.05) & (p[..., 0] < 0.2)).float(), torch.sigmoid
    )
    grid = OccupancyGrid.full(box, (4, 4, 4), dilation=0)
    assert grid.updated(thin).share == 0
    for _ in range(12):
        grid = grid.updated(thin, decay=1.0, generator=generator)
    assert grid.occupied[2].all()
    assert not grid.occupied[[0, 1, 3]].any()


def test_density_at_refuses_fields_of_weights(world):
    with pytest.raises(ConfigError, match="no density at a point"):
        density_at(world.smooth("weights"), torch.zeros(2, 3), 0.1)


def test_bad_grids_are_refused():
    with pytest.raises(GridError, match="NaN"):
        OccupancyGrid.from_density(torch.full((2, 2, 2), torch.nan), BOX)
    with pytest.raises(GridError, match="divides"):
        OccupancyGrid.from_density(torch.zeros(3, 4, 4), BOX, coarsen=2)
