"""Samplers: positions, intervals, noise, infinite far, hierarchical refinement."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from maskfield.core.errors import ConfigError
from maskfield.rendering.occupancy import OccupancyGrid
from maskfield.rendering.renderer import render
from maskfield.rendering.samplers import (
    ImportanceSampler,
    OccupancySampler,
    Sampler,
    StratifiedSampler,
)

INF = float("inf")
BOX = torch.tensor([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]], dtype=torch.float64)


@pytest.mark.parametrize("layout", ["bins", "ends"])
@pytest.mark.parametrize("interval", ["bins", "next"])
@pytest.mark.parametrize("spacing", ["linear", "disparity", "log", "contracted"])
def test_smoke(spacing, interval, layout, world, generator):
    sampler = StratifiedSampler(
        count=7, jitter=True, spacing=spacing, layout=layout, interval=interval
    )
    assert isinstance(sampler, Sampler)
    samples = sampler(world.parallel_rays(4, near=0.5), None, generator)
    assert samples.points.shape == (4, 7, 3)
    assert samples.directions.shape == (4, 1, 3)
    assert samples.mask.all()
    assert (samples.t.diff(dim=1) > 0).all()
    assert (samples.delta > 0).all()
    assert ((samples.t >= 0.5) & (samples.t <= 6)).all()
    torch.testing.assert_close(samples.points[..., 2], samples.t - 3)


def test_bins_cover_the_ray_and_samples_sit_in_their_middle(world):
    samples = StratifiedSampler(count=4)(world.parallel_rays(2, near=1.0, far=5.0))
    torch.testing.assert_close(samples.t[0], torch.tensor([1.5, 2.5, 3.5, 4.5]).double())
    torch.testing.assert_close(samples.delta, torch.ones(2, 4).double())


def test_ends_and_next_are_the_original_nerf(world):
    samples = StratifiedSampler(count=5, layout="ends", interval="next")(
        world.parallel_rays(1, near=2.0, far=6.0)
    )
    torch.testing.assert_close(samples.t[0], torch.tensor([2.0, 3.0, 4.0, 5.0, 6.0]).double())
    torch.testing.assert_close(samples.delta[0], torch.tensor([1.0, 1.0, 1.0, 1.0, 0.0]).double())


@pytest.mark.parametrize(
    ("spacing", "expected"),
    [
        ("linear", lambda s: 0.5 + s * 5.5),
        ("disparity", lambda s: 1 / ((1 - s) / 0.5 + s / 6)),
        ("log", lambda s: 0.5 * (6 / 0.5) ** s),
    ],
)
def test_spacing_formulae(spacing, expected, world):
    samples = StratifiedSampler(count=9, spacing=spacing)(world.parallel_rays(1, near=0.5))
    s = (np.arange(9) + 0.5) / 9
    np.testing.assert_allclose(samples.t[0].numpy(), expected(s), rtol=1e-12)


def test_contracted_is_linear_near_and_disparity_far(world):
    samples = StratifiedSampler(count=8, spacing="contracted")(world.parallel_rays(1, far=INF))
    near = torch.tensor([0.125, 0.375, 0.625, 0.875]).double()
    torch.testing.assert_close(samples.t[0, :4], near)
    inverse = 1 / samples.t[0, 4:]
    torch.testing.assert_close(inverse, torch.tensor([0.875, 0.625, 0.375, 0.125]).double())


@pytest.mark.parametrize(("spacing", "near"), [("contracted", 0.0), ("disparity", 0.5)])
def test_infinite_far_gives_finite_samples_and_pixels(spacing, near, world):
    rays = world.parallel_rays(3, near=near, far=INF)
    sampler = StratifiedSampler(count=16, spacing=spacing)
    samples = sampler(rays)
    assert torch.isfinite(samples.t).all()
    assert torch.isfinite(samples.delta).all()
    out = render(world.smooth(), rays, sampler)
    assert torch.isfinite(out.colour).all()
    torch.testing.assert_close(out.opacity, torch.ones(3).double())


@pytest.mark.parametrize("spacing", ["linear", "log"])
def test_infinite_far_is_refused_where_it_has_no_meaning(spacing, world):
    with pytest.raises(ConfigError, match="infinite far"):
        StratifiedSampler(count=4, spacing=spacing)(world.parallel_rays(2, near=1.0, far=INF))


@pytest.mark.parametrize("spacing", ["disparity", "log"])
def test_near_zero_is_refused_where_it_has_no_meaning(spacing, world):
    with pytest.raises(ConfigError, match="begin at the camera"):
        StratifiedSampler(count=4, spacing=spacing)(world.parallel_rays(2, near=0.0))


@pytest.mark.parametrize("layout", ["bins", "ends"])
def test_jitter_stays_in_its_stratum_and_follows_the_generator(layout, world):
    sampler = StratifiedSampler(count=6, jitter=True, layout=layout)
    rays = world.parallel_rays(500)
    first = sampler(rays, None, torch.Generator().manual_seed(5))
    again = sampler(rays, None, torch.Generator().manual_seed(5))
    other = sampler(rays, None, torch.Generator().manual_seed(6))
    assert torch.equal(first.t, again.t)
    assert not torch.equal(first.t, other.t)
    still = StratifiedSampler(count=6, layout=layout)(rays).t[0]
    if layout == "bins":
        edges = torch.arange(7).double()
    else:
        edges = torch.cat([still[:1], 0.5 * (still[1:] + still[:-1]), still[-1:]])
    assert ((first.t >= edges[:-1]) & (first.t <= edges[1:])).all()
    spread = (edges[1:] - edges[:-1]) / 12**0.5
    torch.testing.assert_close(first.t.std(0), spread, atol=0.0, rtol=0.1)


def test_without_a_generator_nothing_is_drawn(world):
    rays = world.parallel_rays(3)
    jittered = StratifiedSampler(count=6, jitter=True)(rays)
    assert torch.equal(jittered.t, StratifiedSampler(count=6)(rays).t)


def test_missing_rays_are_masked_and_finite(world):
    rays = world.parallel_rays(3, near=2.0, far=2.0)
    for spacing in ("linear", "disparity", "log", "contracted"):
        samples = StratifiedSampler(count=3, spacing=spacing)(rays)
        assert not samples.mask.any()
        assert torch.isfinite(samples.points).all()
        assert (samples.delta == 0).all()


def test_importance_samples_gather_where_the_weights_are(world):
    field, rays = world.sphere(30.0, (1, 1, 1)), world.parallel_rays(1)
    sampler = ImportanceSampler(coarse=StratifiedSampler(count=32), fine=64)
    samples = sampler(rays, field)
    assert samples.t.shape == (1, 96)
    assert (samples.t.diff(dim=1) >= 0).all()
    coarse = StratifiedSampler(count=32)(rays).t
    assert torch.isin(coarse, samples.t).all()
    near_surface = ((samples.t > 1.6) & (samples.t < 2.4)).sum()
    assert int(near_surface) > 55
    torch.testing.assert_close(samples.delta.sum(1), rays.far - samples.t[:, 0])


def test_importance_without_union_asks_the_proposal_and_keeps_the_fine(world):
    field, proposal = world.smooth(), world.smooth()
    sampler = ImportanceSampler(
        coarse=StratifiedSampler(count=8), fine=16, proposal=proposal, union=False
    )
    assert sampler(world.parallel_rays(2), field).t.shape == (2, 16)
    assert field.asked == []
    assert proposal.asked == [(2, 8)]


def test_importance_carries_no_gradient_through_the_choice(world):
    weight = torch.tensor(1.0, requires_grad=True, dtype=torch.float64)
    field = world.AnalyticField(lambda p: weight * torch.exp(-p.square().sum(-1)), torch.sigmoid)
    sampler = ImportanceSampler(coarse=StratifiedSampler(count=8), fine=8)
    samples = sampler(world.parallel_rays(2), field)
    assert not samples.t.requires_grad


def test_occupancy_sampler_skips_empty_space(world):
    field, rays = world.sphere(5.0, (1, 1, 1)), world.parallel_rays(8)
    grid = OccupancyGrid.full(BOX, (20, 20, 20)).updated(field)
    samples = OccupancySampler(occupancy=grid, step=0.02)(rays, field)
    assert samples.mask.shape[1] < 110  # of 300 steps from near to far
    assert grid.query(samples.points[samples.mask]).all()
    assert not samples.mask[-1].any()  # at distance 1.5 from the axis
    first = samples.mask.int().diff(dim=1)
    assert (first <= 0).all()  # packed: never True after False
    assert OccupancySampler(occupancy=grid, step=0.02, max_samples=5)(rays, field).t.shape[1] == 5


def test_occupancy_jitter_moves_a_ray_as_a_whole(world, generator):
    grid = OccupancyGrid.full(BOX, (4, 4, 4))
    rays = world.parallel_rays(6)
    moved = OccupancySampler(occupancy=grid, step=0.1, jitter=True)(rays, None, generator)
    still = OccupancySampler(occupancy=grid, step=0.1)(rays, None)
    shift = (moved.t - still.t)[still.mask & (still.delta > 0.0999)].reshape(-1, 20)
    assert (shift.abs() <= 0.05).all()
    torch.testing.assert_close(shift, shift[:, :1].expand_as(shift))
    assert shift[:, 0].unique().numel() > 1


@pytest.mark.parametrize(
    "build",
    [
        lambda: StratifiedSampler(count=0),
        lambda: StratifiedSampler(count=1, layout="ends"),
        lambda: StratifiedSampler(count=4, spacing="cubic"),
        lambda: StratifiedSampler(count=4, layout="middle"),
        lambda: StratifiedSampler(count=4, interval="half"),
        lambda: ImportanceSampler(coarse=StratifiedSampler(count=8), fine=0),
        lambda: ImportanceSampler(coarse=StratifiedSampler(count=2), fine=4),
        lambda: OccupancySampler(occupancy=OccupancyGrid.full(BOX, (2, 2, 2)), step=0.0),
        lambda: OccupancySampler(
            occupancy=OccupancyGrid.full(BOX, (2, 2, 2)), step=0.1, max_samples=0
        ),
    ],
)
def test_bad_options_are_refused(build):
    with pytest.raises(ConfigError):
        build()
