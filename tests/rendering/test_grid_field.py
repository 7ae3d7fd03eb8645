"""GridField answers with the grid's own values, and nothing outside."""

from __future__ import annotations

import torch

from maskfield.geometry.grids import voxel_centres
from maskfield.geometry.rays import Rays
from maskfield.rendering.field import Field, RaySamples
from maskfield.rendering.grid_field import GridField
from maskfield.rendering.renderer import Compositing, render
from maskfield.rendering.samplers import StratifiedSampler

BOX = torch.tensor([[-1.0, 0.0, 2.0], [1.0, 3.0, 3.0]])


def random_field(generator: torch.Generator) -> tuple[GridField, torch.Tensor, torch.Tensor]:
    colour = torch.rand(3, 4, 6, 2, generator=generator)
    density = torch.rand(1, 4, 6, 2, generator=generator) + 0.1
    return GridField(colour, density, BOX), colour, density


def samples_at(points: torch.Tensor) -> RaySamples:
    count = len(points)
    return RaySamples(
        points=points[:, None],
        directions=torch.tensor([0.0, 0, 1]).expand(count, 1, 3),
        t=torch.ones(count, 1),
        delta=torch.ones(count, 1),
        mask=torch.ones(count, 1, dtype=torch.bool),
    )


def test_it_is_a_field(generator):
    field, _, _ = random_field(generator)
    assert isinstance(field, Field)
    assert field.prepare() is field
    assert field.resolution == (4, 6, 2)


def test_voxel_centres_answer_with_the_voxels_values(generator):
    field, colour, density = random_field(generator)
    out = field(samples_at(voxel_centres(BOX, (4, 6, 2)).reshape(-1, 3)))
    torch.testing.assert_close(out.density[:, 0], density.reshape(-1))
    torch.testing.assert_close(out.colour[:, 0], colour.reshape(3, -1).T)


def test_outside_is_empty(generator):
    field, _, _ = random_field(generator)
    out = field(samples_at(torch.tensor([[-1.01, 1, 2.5], [0, 3.2, 2.5], [0, 1, 1.9], [9, 9, 9]])))
    assert (out.density == 0).all()


def test_empty_voxels_do_not_tint_their_neighbours():
    colour, density = torch.zeros(3, 2, 1, 1), torch.zeros(1, 2, 1, 1)
    colour[0, 0], density[0, 0] = 1.0, 5.0  # red and dense beside black and empty
    field = GridField(colour, density, torch.tensor([[0.0, 0, 0], [2, 1, 1]]))
    out = field(samples_at(torch.tensor([[1.2, 0.5, 0.5]])))
    torch.testing.assert_close(out.colour[0, 0], torch.tensor([1.0, 0, 0]))
    assert 0 < float(out.density) < 5


def test_a_uniform_slab_is_rendered_with_beers_law():
    colour = torch.tensor([0.2, 0.4, 0.8])[:, None, None, None].expand(3, 4, 4, 4)
    field = GridField(colour, torch.full((1, 4, 4, 4), 1.5), torch.tensor([[0.0, 0, 0], [1, 1, 1]]))
    rays = Rays(
        origins=torch.tensor([[0.5, 0.5, -1.0]]),
        directions=torch.tensor([[0.0, 0, 1]]),
        near=torch.zeros(1),
        far=torch.full((1,), 10.0),
    ).clipped(field.box)
    out = render(field, rays, StratifiedSampler(count=64, jitter=False), Compositing())
    opacity = 1 - torch.exp(torch.tensor(-1.5))
    torch.testing.assert_close(out.opacity[0], opacity, atol=1e-4, rtol=0)
    torch.testing.assert_close(out.colour[0], colour[:, 0, 0, 0] * opacity, atol=1e-4, rtol=0)
