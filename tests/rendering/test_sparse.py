"""Leaving out empty and hidden samples changes next to nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from maskfield.core.errors import ConfigError
from maskfield.geometry.rays import Rays
from maskfield.rendering.compositing import Compositing
from maskfield.rendering.field import FieldOutput, RaySamples
from maskfield.rendering.renderer import render
from maskfield.rendering.samplers import ImportanceSampler, StratifiedSampler
from maskfield.rendering.sparse import SparseSampler, near_matter


class Ball:
    """A dense ball; counts what it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, samples: RaySamples) -> FieldOutput:
        self.asked += int(samples.mask.sum())
        inside = torch.sigmoid(60 * (0.5 - samples.points.norm(dim=-1)))
        return FieldOutput(colour=0.5 + 0.5 * torch.sin(4 * samples.points), density=30 * inside)

    def prepare(self, views: object | None = None) -> Ball:
        return self

    def fused(self, sampler: object, compositing: object) -> None:
        return None


def some_rays(count: int = 200) -> Rays:
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(count, 3, generator=generator) * 1.6 - 0.8
    origins = torch.tensor([3.0, 0.5, 0.2]).expand(count, 3)
    directions = torch.nn.functional.normalize(target - origins, dim=1)
    near, far = torch.full((count,), 1.5), torch.full((count,), 4.5)
    return Rays(origins=origins, directions=directions, near=near, far=far)


SAMPLER = ImportanceSampler(
    coarse=StratifiedSampler(count=48, layout="ends", interval="next"), fine=32
)


@pytest.mark.parametrize("last", ["far", "1e10"])
def test_colours_stay_and_samples_go(last: str) -> None:
    compositing = Compositing(background=(1.0, 1.0, 1.0), last_interval=last)  # type: ignore[arg-type]
    looking = replace(SAMPLER, compositing=compositing)
    full, sparse, rays = Ball(), Ball(), some_rays()
    whole = render(full, rays, looking, compositing)
    part = render(sparse, rays, SparseSampler(sampler=looking, least=1e-3), compositing)
    torch.testing.assert_close(part.colour, whole.colour, atol=2e-3, rtol=0)
    coarse = 200 * 48
    assert sparse.asked - coarse < 0.5 * (full.asked - coarse)


def test_gradients_of_rays_stay() -> None:
    compositing, rays = Compositing(), some_rays(60)
    slopes = []
    for sampler in (SAMPLER, SparseSampler(sampler=SAMPLER, least=1e-3)):
        origins = rays.origins.clone().requires_grad_()
        out = render(Ball(), replace(rays, origins=origins), sampler, compositing)
        out.colour.square().sum().backward()
        assert origins.grad is not None
        slopes.append(origins.grad)
    scale = float(slopes[0].abs().max())
    torch.testing.assert_close(slopes[1], slopes[0], atol=0.01 * scale, rtol=0)


def test_what_lies_next_to_matter_is_kept() -> None:
    seen = torch.arange(8.0)[None]
    weights = torch.tensor([[0, 0, 0, 0.5, 0, 0, 0, 0.0]])
    t = torch.tensor([[0.5, 1.5, 2.5, 3.0, 4.5, 5.5, 6.5, 7.0]])
    kept = near_matter(t, seen, weights, 1e-3)
    assert kept.tolist() == [[False, True, True, True, True, False, False, True]]


def test_impossible_weights_are_refused() -> None:
    for least in (0.0, 1.0, -1.0):
        with pytest.raises(ConfigError, match="least"):
            SparseSampler(sampler=SAMPLER, least=least)


def test_noise_is_that_of_the_sampler() -> None:
    jittered = replace(SAMPLER, jitter=True)
    sparse = SparseSampler(sampler=jittered)
    assert sparse.noise_per_ray == jittered.noise_per_ray
    a = jittered(some_rays(), Ball(), torch.Generator().manual_seed(1))
    b = sparse(some_rays(), Ball(), torch.Generator().manual_seed(1))
    torch.testing.assert_close(a.t, b.t, rtol=0, atol=0)
