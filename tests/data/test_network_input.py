"""Grids of every kind as the networks take them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from maskfield.core.errors import GridError
from maskfield.data.network_input import alpha_grid, interpolated, occupied, resampled, resized
from maskfield.data.radiance_grid import RadianceGrid

BOX = torch.tensor([[0.0, 0.0, 0.0], [2.0, 2.0, 1.0]])


def block(alpha: float = 0.8) -> RadianceGrid:
    """A red block in the middle of nothing; nothing is blue."""
    rgb, density = torch.zeros(3, 16, 16, 8), torch.zeros(1, 16, 16, 8)
    rgb[2] = 1
    rgb[:, 4:12, 4:12, 2:6] = torch.tensor([1.0, 0, 0])[:, None, None, None]
    density[:, 4:12, 4:12, 2:6] = alpha
    return RadianceGrid(rgb=rgb, density=density, box=BOX, density_kind="alpha")


def test_every_kind_of_density_gives_the_same_alpha():
    grid = block()
    sigma = -torch.log1p(-grid.density) / 0.01
    kinds = [
        replace(grid, density=sigma * 0.75, density_kind="sigma", ngp_scale=0.75),
        replace(grid, density=sigma, density_kind="raw", activation="relu"),
        replace(grid, density=sigma.clamp_min(1e-9).log(), density_kind="raw", activation="exp"),
        replace(grid, density=(grid.density * 255).round().byte()),
    ]
    for kind in kinds:
        found = alpha_grid(kind)
        assert found.density_kind == "alpha"
        assert found.rgb.dtype == found.density.dtype == torch.float32
        torch.testing.assert_close(found.density, grid.density, atol=1e-3, rtol=0)


def test_density_that_cannot_become_alpha_is_refused_with_the_file():
    grid = replace(block(), density_kind="sigma")
    with pytest.raises(GridError, match="instant-ngp units") as caught:
        alpha_grid(grid, "room.safetensors")
    assert caught.value.file == "room.safetensors"
    assert caught.value.field == "ngp_scale"


def test_alpha_of_another_step_is_refused():
    with pytest.raises(GridError, match="another step") as caught:
        alpha_grid(replace(block(), delta=0.02))
    assert caught.value.value == 0.02


@pytest.mark.parametrize("activation", ["exp", "relu"])
def test_alpha_that_is_called_raw_is_refused(activation):
    grid = replace(block(), density_kind="raw", activation=activation)
    with pytest.raises(GridError, match="twice") as caught:
        alpha_grid(grid)
    assert activation in str(caught.value.field)


def test_a_raw_grid_of_an_empty_room_is_not_mistaken_for_alpha():
    density = torch.linspace(-9, -5, 16 * 16 * 8).reshape(1, 16, 16, 8)
    grid = replace(block(), density=density, density_kind="raw", activation="exp")
    assert not occupied(alpha_grid(grid)).any()


@pytest.mark.parametrize(("longest", "shape"), [(32, (32, 32, 16)), (8, (8, 8, 4)), (5, (5, 5, 2))])
def test_resampling_keeps_the_box_and_the_mass(longest, shape):
    grid = block()
    found = resampled(grid, longest)
    assert found.resolution == shape
    assert torch.equal(found.box, grid.box)
    assert float(found.density.mean()) == pytest.approx(float(grid.density.mean()), rel=0.25)


def test_block_aligned_voxels_average_exactly_and_empty_colour_does_not_bleed():
    found = resampled(block(), 8)
    inside = torch.zeros(8, 8, 4, dtype=torch.bool)
    inside[2:6, 2:6, 1:3] = True
    torch.testing.assert_close(found.density[0], inside.float() * 0.8)
    shifted = replace(block(), density=block().density.roll(1, 1), rgb=block().rgb.roll(1, 1))
    edge = resampled(shifted, 8)
    matter = edge.density[0] > 0.01
    assert float(edge.rgb[0][matter].min()) == pytest.approx(1, abs=1e-5)
    assert float(edge.rgb[2][matter].max()) == pytest.approx(0, abs=1e-5)


def test_the_size_it_has_or_none_changes_nothing():
    grid = block()
    assert resampled(grid, None) is grid
    assert resampled(grid, 16) is grid
    assert resized(grid, (16, 16, 8)) is grid


def test_a_linear_ramp_stays_where_it_is_in_the_box():
    ramp = ((torch.arange(16) + 0.5) / 16)[None, :, None, None].expand(1, 16, 4, 4)
    for size in (8, 32):
        x = (torch.arange(size) + 0.5) / size
        found = interpolated(ramp, (size, 4, 4))[0, :, 0, 0]
        inner = slice(size // 16 + 1, -(size // 16) - 1)
        torch.testing.assert_close(found[inner], x[inner])
