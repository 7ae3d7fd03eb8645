"""Pictures of radiance grids show what is in the grid, where it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from maskfield.data.radiance_grid import RadianceGrid
from maskfield.figures.grids import (
    density_per_unit,
    grid_picture,
    grid_slices,
    hidden_removed,
    voxel_opacity,
)

BOX = torch.tensor([[0.0, 0.0, 0.0], [2.0, 2.0, 1.0]])


def two_blocks() -> RadianceGrid:
    """Red at low x, blue at high x, on the floor in the middle of y."""
    rgb, alpha = torch.zeros(3, 16, 16, 8), torch.zeros(1, 16, 16, 8)
    rgb[0, 3:7, 6:10], rgb[2, 9:13, 6:10] = 1, 1
    alpha[:, 3:7, 6:10, :4], alpha[:, 9:13, 6:10, :4] = 0.95, 0.95
    return RadianceGrid(rgb=rgb, density=alpha, box=BOX, density_kind="alpha")


def where(picture: np.ndarray, channel: int) -> tuple[float, float]:
    """Mean row and column of the pixels where one channel stands out."""
    others = [c for c in range(3) if c != channel]
    strong = picture[..., channel].astype(int) - picture[..., others].max(-1) > 100
    assert strong.sum() > 40, "the colour is not in the picture"
    rows, columns = np.nonzero(strong)
    return rows.mean(), columns.mean()


def test_shape_background_and_content():
    picture = grid_picture(two_blocks(), width=80, height=60)
    assert picture.shape == (60, 80, 3)
    assert picture.dtype == np.uint8
    assert (picture[0] == 255).all()
    assert picture.std() > 15


@pytest.mark.parametrize("view", ["top", "side"])
def test_x_points_right_from_above_and_from_the_side(view):
    picture = grid_picture(two_blocks(), view=view, width=80, height=60)
    assert where(picture, 0)[1] < where(picture, 2)[1] - 8


def test_z_points_up_in_the_side_view():
    grid = two_blocks()
    raised = replace(grid, density=grid.density.roll(4, dims=3))
    low, high = (
        grid_picture(g, view="side", width=80, height=60, cutaway=False) for g in (grid, raised)
    )
    assert where(high, 0)[0] < where(low, 0)[0] - 5


def test_cutaway_opens_the_ceiling():
    grid = two_blocks()
    rgb, density = grid.rgb.clone(), grid.density.clone()
    rgb[..., -1], density[..., -1] = 0.4, 0.99
    closed = replace(grid, rgb=rgb, density=density)
    shut = grid_picture(closed, view="top", width=80, height=60, cutaway=False)
    with pytest.raises(AssertionError, match="not in the picture"):
        where(shut, 0)
    where(grid_picture(closed, view="top", width=80, height=60), 0)


def test_slices_show_the_middle_cut():
    sheet = grid_slices(two_blocks(), size=64)
    assert sheet.shape[0] == 64
    where(sheet, 0)
    where(sheet, 2)


def test_hidden_removed_empties_exactly_the_hidden_voxels():
    grid, hidden = two_blocks(), torch.zeros(16, 16, 8, dtype=torch.bool)
    hidden[:8] = True
    left = hidden_removed(grid, hidden)
    assert float(left.to_alpha()[:, :8].max()) == 0
    torch.testing.assert_close(left.to_alpha()[:, 8:], grid.to_alpha()[:, 8:])
    eight_bit = replace(grid, density=(grid.density * 255).byte())
    torch.testing.assert_close(
        hidden_removed(eight_bit, hidden).to_alpha(), left.to_alpha(), atol=3e-3, rtol=0
    )


def test_hidden_raw_voxels_have_no_density():
    grid = replace(two_blocks(), density_kind="raw", activation="exp", ngp_scale=1.0)
    hidden = torch.ones(16, 16, 8, dtype=torch.bool)
    assert float(hidden_removed(grid, hidden).sigma().max()) == 0


@pytest.mark.parametrize("scale", [None, 0.5, 2.0])
def test_every_kind_of_density_means_the_same(scale):
    """alpha, sigma and raw grids of the same medium have the same density per scene unit."""
    sigma = torch.rand(1, 4, 4, 4, generator=torch.Generator().manual_seed(0)) * 5 + 0.1
    box = torch.tensor([[0.0, 0, 0], [1, 1, 1]])
    step = 0.25 if scale is None else 0.01 / scale  # of alpha, scene units
    common = {"rgb": torch.zeros(3, 4, 4, 4), "box": box, "ngp_scale": scale}
    kinds = [
        RadianceGrid(density=sigma, density_kind="sigma", **common),
        RadianceGrid(density=1 - torch.exp(-sigma * step), density_kind="alpha", **common),
        RadianceGrid(
            density=torch.log(sigma * step / 0.01), density_kind="raw", activation="exp", **common
        ),
    ]
    for grid in kinds:
        torch.testing.assert_close(density_per_unit(grid), sigma, rtol=2e-3, atol=1e-4)
        torch.testing.assert_close(
            voxel_opacity(grid), 1 - torch.exp(-sigma * 0.25), rtol=2e-3, atol=1e-4
        )
