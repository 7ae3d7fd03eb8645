"""Analytic fields and rays that the rendering tests share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from maskfield.geometry.rays import Rays
from maskfield.rendering.field import FieldOutput, RaySamples


@dataclass
class AnalyticField:
    """Density and colour as functions of world points; remembers the block sizes it was asked."""

    density: Callable[[Tensor], Tensor]
    colour: Callable[[Tensor], Tensor]
    kind: str = "density"
    asked: list[tuple[int, ...]] = field(default_factory=list)

    def __call__(self, samples: RaySamples) -> FieldOutput:
        self.asked.append(tuple(samples.t.shape))
        sigma, colour = self.density(samples.points), self.colour(samples.points)
        alpha = -torch.expm1(-sigma * samples.delta)
        left = torch.cumprod(1 - alpha, dim=-1)
        weights = alpha * torch.cat([torch.ones_like(left[:, :1]), left[:, :-1]], dim=-1)
        answer = {"density": sigma, "alpha": alpha, "weights": weights}[self.kind]
        return FieldOutput(
            colour=colour, features=samples.points, logits=colour[..., :1], **{self.kind: answer}
        )

    def prepare(self, views: object | None = None) -> AnalyticField:
        return self

    def fused(self, sampler: object, compositing: object) -> None:
        return None


def constant(colour: tuple[float, float, float]) -> Callable[[Tensor], Tensor]:
    return lambda points: points.new_tensor(colour).expand(points.shape)


def sphere(
    sigma: float, colour: tuple[float, float, float], kind: str = "density"
) -> AnalyticField:
    """Homogeneous unit sphere about the origin."""
    return AnalyticField(lambda p: sigma * (p.norm(dim=-1) < 1).to(p), constant(colour), kind)


def slab(sigma: float, low: float, high: float) -> AnalyticField:
    """Homogeneous matter between two planes of z, coloured (z, 1 - z, 0.5)."""
    return AnalyticField(
        lambda p: sigma * ((p[..., 2] > low) & (p[..., 2] < high)).to(p),
        lambda p: torch.stack([p[..., 2], 1 - p[..., 2], torch.full_like(p[..., 2], 0.5)], -1),
    )


def smooth(kind: str = "density") -> AnalyticField:
    """Positive, smooth, coloured everywhere: for gradients and comparisons."""
    return AnalyticField(
        lambda p: 1.5 * torch.exp(-p.square().sum(-1)) + 0.05,
        lambda p: torch.sigmoid(p * p.new_tensor([1.0, -2.0, 0.5])),
        kind,
    )


def parallel_rays(
    count: int, near: float = 0.0, far: float = 6.0, dtype: torch.dtype = torch.float64
) -> Rays:
    """Rays along +z from z = -3, at distances 0 .. 1.5 from the axis."""
    origins = torch.zeros(count, 3, dtype=dtype)
    origins[:, 0] = torch.linspace(0, 1.5, count, dtype=dtype)
    origins[:, 2] = -3
    directions = torch.zeros(count, 3, dtype=dtype)
    directions[:, 2] = 1
    return Rays(
        origins=origins,
        directions=directions,
        near=torch.full((count,), near, dtype=dtype),
        far=torch.full((count,), far, dtype=dtype),
    )


@pytest.fixture
def world() -> SimpleNamespace:
    """The analytic fields and rays above."""
    return SimpleNamespace(
        AnalyticField=AnalyticField,
        constant=constant,
        sphere=sphere,
        slab=slab,
        smooth=smooth,
        parallel_rays=parallel_rays,
    )
