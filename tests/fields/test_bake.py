"""Any field as a voxel field, and coarser copies."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from maskfield.core.errors import ConfigError
from maskfield.fields.bake import BakeSettings, bake, sphere_directions
from maskfield.fields.pooling import filled, pooled, raw_density
from maskfield.fields.sampler import VoxelMarch
from maskfield.geometry.rays import Rays
from maskfield.rendering.compositing import Compositing
from maskfield.rendering.field import FieldOutput
from maskfield.rendering.renderer import render
from maskfield.rendering.samplers import StratifiedSampler

BOX = torch.tensor([[-1.5] * 3, [1.5] * 3])
SMALL = BakeSettings(longest=48, directions=12)


class Ball:
    """A ball whose colour depends on the place and on the side it is seen from.

    Seen through it, that is from behind its surface, it claims to be green.
    """

    def __init__(self, radius: float = 0.8) -> None:
        self.radius = radius

    def __call__(self, samples) -> FieldOutput:
        p = samples.points
        density = 40 * torch.sigmoid((self.radius - p.norm(dim=-1)) * 60)
        facing = -(p * samples.directions).sum(-1) / p.norm(dim=-1).clamp_min(1e-3)
        red, blue = 0.5 + 0.3 * torch.sin(3 * p[..., 0]), 0.4 + 0.2 * samples.directions[..., 2]
        colour = torch.stack([red, torch.full_like(red, 0.3), blue.expand_as(red)], dim=-1)
        behind = torch.tensor([0.0, 1.0, 0.0]).expand_as(colour)
        return FieldOutput(
            colour=torch.where((facing > -0.2)[..., None], colour, behind), density=density
        )

    def prepare(self, views=None):
        return self

    def fused(self, sampler, compositing):
        return None


def rays_towards(count: int, generator: torch.Generator) -> Rays:
    origins = 3 * torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=1)
    target = 0.5 * torch.randn(count, 3, generator=generator)
    return Rays(
        origins=origins,
        directions=torch.nn.functional.normalize(target - origins, dim=1),
        near=torch.zeros(count),
        far=torch.full((count,), 6.0),
    )


class TestBake:
    def test_shows_the_same(self, generator):
        rays = rays_towards(400, generator)
        compositing = Compositing(background=(1.0, 1.0, 1.0))
        truth = render(Ball(), rays, StratifiedSampler(count=600), compositing)
        baked = bake(Ball(), BOX, SMALL)
        shown = render(baked, rays, VoxelMarch(), compositing)
        error = (shown.colour - truth.colour).abs().amax(1)
        assert float(error.median()) < 0.02
        assert float((error > 0.1).float().mean()) < 0.08  # the silhouette

    def test_views_from_behind_the_surface_do_not_count(self, generator):
        """Green is claimed only where no camera outside can see it."""
        rays = rays_towards(400, generator)
        shown = render(bake(Ball(), BOX, SMALL), rays, VoxelMarch(), Compositing())
        solid = shown.opacity > 0.98
        assert solid.sum() > 100
        assert float(shown.colour[solid, 1].max()) < 0.45

    def test_box_is_cut_to_the_matter(self):
        baked = bake(Ball(0.5), BOX, SMALL)
        assert 0.5 < float(baked.box[1].max()) < 0.8
        assert baked.resolution == (48, 48, 48)
        whole = bake(Ball(0.5), BOX, replace(SMALL, tight=False))
        torch.testing.assert_close(whole.box, BOX)

    def test_contracted_space(self, generator):
        """What lies outside the box is baked as well."""
        box = torch.tensor([[-0.4] * 3, [0.4] * 3])
        baked = bake(Ball(0.8), box, replace(SMALL, shell=0.5, longest=64))
        rays = rays_towards(300, generator)
        truth = render(Ball(0.8), rays, StratifiedSampler(count=600), Compositing())
        shown = render(baked, rays, VoxelMarch(), Compositing())
        assert float((shown.opacity - truth.opacity).abs().mean()) < 0.06

    def test_an_empty_box_is_refused(self):
        with pytest.raises(ConfigError, match="empty"):
            bake(Ball(), torch.tensor([[3.0] * 3, [4.0] * 3]), SMALL)

    def test_settings_are_checked(self):
        with pytest.raises(ConfigError):
            BakeSettings(directions=3, degree=1)

    def test_directions_cover_the_sphere(self):
        d = sphere_directions(40)
        torch.testing.assert_close(d.norm(dim=1), torch.ones(40))
        assert float(d.mean(0).norm()) < 0.03
        assert float((d @ d.T - 2 * torch.eye(40)).amax(1).min()) > 0.8


class TestPooled:
    def test_keeps_density_and_space(self, make_field):
        field = make_field(shell=0.5, longest=16, dtype=torch.float32)
        coarse = pooled(field, 2)
        assert coarse.resolution == (6, 8, 6)
        torch.testing.assert_close(coarse.field_from_world, field.field_from_world)
        assert coarse.step == pytest.approx(2 * field.step)
        soft = torch.nn.functional.softplus
        shift = field.settings.shift
        mean = soft(field.density + shift).mean()
        torch.testing.assert_close(soft(coarse.density + shift).mean(), mean)
        assert not coarse.density.requires_grad

    def test_colour_is_that_of_what_is_dense(self, make_field):
        field = make_field(longest=16, dtype=torch.float32)
        with torch.no_grad():
            field.density.fill_(-20.0)
            field.density[::2] = 20.0
            field.colour[1::2] = 7.0
            field.colour[::2] = -2.0
        coarse = pooled(field, 2)
        torch.testing.assert_close(coarse.colour, torch.full_like(coarse.colour, -2.0))

    def test_odd_resolutions(self, make_field):
        coarse = pooled(pooled(make_field(longest=20, dtype=torch.float32), 2), 2)
        assert coarse.resolution == (3, 5, 3)
        assert tuple(coarse.occupancy.shape) == (3, 5, 3)

    def test_too_far(self, make_field):
        with pytest.raises(ConfigError, match="pooled"):
            pooled(make_field(), 8)

    def test_raw_density_inverts_softplus(self):
        optical = torch.tensor([1e-4, 0.1, 1.0, 30.0, 100.0])
        again = torch.nn.functional.softplus(raw_density(optical, -5.0) - 5.0)
        torch.testing.assert_close(again, optical, atol=1e-6, rtol=1e-5)


def test_filled_reaches_only_so_far():
    values, known = torch.zeros(9, 9, 9, 2), torch.zeros(9, 9, 9, dtype=torch.bool)
    known[4, 4, 4] = True
    values[4, 4, 4] = torch.tensor([1.0, 2.0])
    grown = filled(values, known, times=2)
    torch.testing.assert_close(grown[2, 4, 6], torch.tensor([1.0, 2.0]))
    assert float(grown[1, 4, 4].abs().max()) == 0
