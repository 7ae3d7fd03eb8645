"""Two passes: noise given or drawn, chunks, gradients, the same as a sampler."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from maskfield.geometry.rays import Rays
from maskfield.rendering.compositing import Compositing
from maskfield.rendering.field import FieldOutput, RaySamples
from maskfield.rendering.levels import LevelNoise, LevelSampler, draw_level_noise, render_levels
from maskfield.rendering.renderer import RenderOutput, render
from maskfield.rendering.samplers import StratifiedSampler

COARSE = StratifiedSampler(count=6, jitter=True, interval="next")
WHITE = Compositing(background=(1.0, 1.0, 1.0), depth="accumulated")


@dataclass(frozen=True)
class AroundDepth:
    """A refinement for tests: the first samples, some moved ones, some at the depth."""

    uniform_per_ray: int = 3
    normal_per_ray: int = 2

    def __call__(self, rays: Rays, coarse: RenderOutput, noise: LevelNoise) -> Tensor:
        assert coarse.t is not None
        assert coarse.weights is not None
        span = (rays.far - rays.near)[:, None]
        parts = [coarse.t]
        if noise.uniform is not None:
            parts.append(rays.near[:, None] + noise.uniform * span)
        if noise.normal is not None:
            depth = (coarse.weights * coarse.t).sum(-1, keepdim=True)
            around = depth + 0.01 * noise.normal
            parts.append(around.maximum(rays.near[:, None]).minimum(rays.far[:, None]))
        return torch.cat(parts, -1).sort(-1).values


@dataclass(frozen=True)
class Fog:
    """A field for tests; ``strength`` may learn."""

    strength: Tensor
    sample_bytes: int = 0

    def __call__(self, samples: RaySamples) -> FieldOutput:
        density = self.strength * (1 + samples.points[..., 0].sin())
        return FieldOutput(colour=samples.points.sigmoid(), density=density)

    def prepare(self, views: object | None = None) -> Fog:
        return self

    def fused(self, sampler: object, compositing: object) -> None:
        return None


@pytest.fixture
def rays() -> Rays:
    generator = torch.Generator().manual_seed(1)
    directions = torch.randn(80, 3, generator=generator)
    return Rays(
        origins=torch.randn(80, 3, generator=generator),
        directions=directions / directions.norm(dim=1, keepdim=True),
        near=torch.full((80,), 0.5),
        far=torch.full((80,), 2.0),
    )


FIRST, SECOND = Fog(torch.tensor(0.7)), Fog(torch.tensor(1.3))


def passes(
    rays: Rays, memory_mb: float = 512, seed: int | None = 0
) -> tuple[RenderOutput, RenderOutput]:
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    return render_levels(
        FIRST, SECOND, rays, COARSE, AroundDepth(), WHITE, generator=generator, memory_mb=memory_mb
    )


@pytest.mark.parametrize("memory_mb", [0.001, 0.05, float("inf")])
def test_chunks_change_nothing(rays: Rays, memory_mb: float) -> None:
    whole, parts = passes(rays), passes(rays, memory_mb)
    for a, b in zip(whole, parts, strict=True):
        torch.testing.assert_close(a.colour, b.colour)
        torch.testing.assert_close(a.depth, b.depth)


def test_given_noise_is_what_a_generator_would_draw(rays: Rays) -> None:
    noise = draw_level_noise(rays, COARSE, AroundDepth(), torch.Generator().manual_seed(0))
    given = render_levels(FIRST, SECOND, rays, COARSE, AroundDepth(), WHITE, noise=noise)
    assert torch.equal(given[1].colour, passes(rays)[1].colour)
    assert not torch.equal(given[1].colour, passes(rays, seed=1)[1].colour)


def test_first_pass_is_a_plain_rendering(rays: Rays) -> None:
    plain = render(FIRST, rays, COARSE, WHITE)
    torch.testing.assert_close(passes(rays, seed=None)[0].colour, plain.colour)


def test_without_a_second_pass_the_first_comes_twice(rays: Rays) -> None:
    first, second = render_levels(FIRST, SECOND, rays, COARSE, None, WHITE)
    assert first is second


def test_weights_are_returned_when_asked_for(rays: Rays) -> None:
    assert passes(rays)[0].weights is None
    keeping = replace(WHITE, keep_weights=True)
    first, second = render_levels(FIRST, SECOND, rays, COARSE, AroundDepth(), keeping)
    assert first.weights is not None
    assert second.weights is not None
    torch.testing.assert_close(first.weights.sum(-1), first.opacity)
    torch.testing.assert_close(second.weights.sum(-1), second.opacity)


def test_the_sampler_gives_the_second_pass(rays: Rays) -> None:
    sampler = LevelSampler(coarse=COARSE, refine=AroundDepth(), proposal=FIRST, compositing=WHITE)
    noise = draw_level_noise(rays, COARSE, AroundDepth(), torch.Generator().manual_seed(0))
    first = rays[:64]  # one chunk of the renderer's
    samples = sampler(first, SECOND, torch.Generator().manual_seed(0))
    drawn = draw_level_noise(first, COARSE, AroundDepth(), torch.Generator().manual_seed(0))
    _, expected = render_levels(FIRST, SECOND, first, COARSE, AroundDepth(), WHITE, noise=drawn)
    assert samples.t.shape == (64, 11)
    assert bool((samples.t.diff(dim=1) >= 0).all())
    assert noise.strata is not None
    out = render(SECOND, first, sampler, WHITE, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(out.colour, expected.colour)


def test_gradients_reach_both_fields_and_cross_through_the_depth(rays: Rays) -> None:
    a, b = (torch.tensor(v, requires_grad=True) for v in (0.7, 1.3))
    noise = draw_level_noise(rays, COARSE, AroundDepth(), torch.Generator().manual_seed(0))
    _, second = render_levels(Fog(a), Fog(b), rays, COARSE, AroundDepth(), WHITE, noise=noise)
    second.colour.sum().backward()
    assert a.grad is not None
    assert b.grad is not None
    assert float(a.grad) != 0.0  # samples at the first pass's depth move with it


def test_a_sampler_that_does_not_differentiate(rays: Rays) -> None:
    a, b = (torch.tensor(v, requires_grad=True) for v in (0.7, 1.3))
    sampler = LevelSampler(coarse=COARSE, refine=AroundDepth(), proposal=Fog(a))
    render(Fog(b), rays, sampler, generator=torch.Generator()).colour.sum().backward()
    assert a.grad is None
    assert b.grad is not None


def test_a_declared_budget_needs_no_probing_chunk(rays: Rays) -> None:
    asked: list[int] = []

    @dataclass(frozen=True)
    class Counting(Fog):
        def __call__(self, samples: RaySamples) -> FieldOutput:
            asked.append(len(samples.t))
            return super().__call__(samples)

    fog = Counting(torch.tensor(1.0), sample_bytes=100)
    render_levels(fog, fog, rays, COARSE, AroundDepth(), WHITE)
    assert asked == [80, 80]


def test_no_rays(rays: Rays) -> None:
    first, second = passes(rays[:0])
    assert first.colour.shape == second.colour.shape == (0, 3)
