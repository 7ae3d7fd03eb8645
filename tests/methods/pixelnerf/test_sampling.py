"""Where samples lie: bins, depth, limits, schedules, noise."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from maskfield.core.errors import ConfigError
from maskfield.geometry.rays import Rays
from maskfield.methods.pixelnerf.config import PixelNeRFConfig, SamplingConfig
from maskfield.methods.pixelnerf.sampling import (
    PixelRefinement,
    coarse_sampler,
    compositing_of,
    counts_at,
    level_sampler,
    noisy,
    refinement,
)
from maskfield.rendering.levels import LevelNoise, LevelSampler
from maskfield.rendering.renderer import RenderOutput, render
from maskfield.rendering.samplers import StratifiedSampler

NEAR, FAR, BINS = 1.0, 3.0, 8


@pytest.fixture
def rays() -> Rays:
    return Rays(
        origins=torch.zeros(4, 3),
        directions=torch.tensor([[0.0, 0.0, 1.0]]).expand(4, 3),
        near=torch.full((4,), NEAR),
        far=torch.full((4,), FAR),
    )


def seen(rays: Rays, weights: torch.Tensor) -> RenderOutput:
    sampler = StratifiedSampler(count=BINS, interval="next")
    t = sampler.place(rays, None).t
    return RenderOutput(
        colour=torch.zeros(4, 3),
        depth=torch.zeros(4),
        opacity=weights.sum(-1),
        weights=weights,
        t=t,
    )


def one_bin(index: int) -> torch.Tensor:
    return torch.nn.functional.one_hot(torch.full((4,), index), BINS).float()


def test_importance_samples_lie_in_the_bin_that_counts(rays: Rays) -> None:
    refine = PixelRefinement(importance=20, depth=0)
    noise = LevelNoise(uniform=torch.rand(4, 40, generator=torch.Generator().manual_seed(0)) * 0.99)
    t = refine(rays, seen(rays, one_bin(5)), noise)
    width = (FAR - NEAR) / BINS
    inside = ((t >= NEAR + 5 * width) & (t <= NEAR + 6 * width)).sum(-1)
    assert bool((inside >= 20).all())
    assert t.shape == (4, BINS + 20)


def test_depth_samples_lie_around_the_depth_and_in_range(rays: Rays) -> None:
    refine = PixelRefinement(importance=0, depth=4, depth_std=0.5)
    normal = torch.tensor([[-9.0, 0.0, 0.1, 9.0]]).expand(4, 4)
    depth = torch.full((4,), 2.0)
    expected = torch.tensor([NEAR, 2.0, 2.05, FAR]).expand(4, 4)
    torch.testing.assert_close(refine.depth_distances(rays, depth, normal), expected)


@pytest.mark.parametrize("detach", [False, True])
def test_gradient_through_the_depth_is_an_option(rays: Rays, detach: bool) -> None:
    weights = one_bin(3).requires_grad_()
    refine = PixelRefinement(importance=4, depth=2, detach_depth=detach)
    t = refine(rays, seen(rays, weights), LevelNoise())
    assert t.requires_grad is not detach


def test_without_noise_samples_repeat_and_differ(rays: Rays) -> None:
    refine = PixelRefinement(importance=6, depth=4)
    first, again = (refine(rays, seen(rays, one_bin(2)), LevelNoise()) for _ in range(2))
    assert torch.equal(first, again)
    assert int((first[0].diff() > 0).sum()) >= BINS + 3  # no network is asked the same thing often


def test_disparity_spacing(rays: Rays) -> None:
    config = SamplingConfig(coarse=4, fine=4, fine_depth=0, disparity=True)
    t = coarse_sampler(config).place(rays, torch.zeros(4, 4)).t
    torch.testing.assert_close((1 / t).diff(), torch.full((4, 3), -(1 / NEAR - 1 / FAR) / 4))


def test_schedule() -> None:
    config = SamplingConfig(coarse=4, fine=2, fine_depth=0, schedule=((10, 8, 4), (20, 16, 8)))
    assert [counts_at(config, n) for n in (0, 9, 10, 19, 20)] == [
        (4, 2),
        (4, 2),
        (8, 4),
        (8, 4),
        (16, 8),
    ]
    assert counts_at(config) == (16, 8)
    refine = refinement(config, seen=10)
    assert refine is not None
    assert refine.importance == 4


def test_a_schedule_must_ascend() -> None:
    with pytest.raises(ConfigError) as error:
        SamplingConfig(schedule=((20, 8, 4), (10, 16, 8)))
    assert error.value.field == "schedule"


def test_no_second_pass() -> None:
    config = PixelNeRFConfig(sampling=SamplingConfig(fine=0, fine_depth=0))
    assert refinement(config.sampling) is None
    assert isinstance(level_sampler(config), StratifiedSampler)
    assert isinstance(level_sampler(PixelNeRFConfig()), LevelSampler)


def test_noise_on_densities(small: SimpleNamespace) -> None:
    network = small.built()
    field = network.field(network.encode(*small.source_views()))
    generator = torch.Generator().manual_seed(0)
    assert noisy(field, 0.0, generator) is field
    config = replace(network.config, sampling=SamplingConfig(coarse=8, fine=0, fine_depth=0))
    sampler, compositing = coarse_sampler(config.sampling), compositing_of(config)
    plain, shaken = (
        render(f, small.rays(), sampler, compositing) for f in (field, noisy(field, 5.0, generator))
    )
    assert not torch.allclose(plain.colour, shaken.colour)
    assert bool((shaken.opacity <= 1).all())
