"""Where pixelNeRF samples a ray (spec pixelnerf 6): strata, then importance and depth samples.

Legend: s normalised distance in [0, 1], t distance along the ray, w compositing weights.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from maskfield.geometry.rays import Rays
from maskfield.methods.pixelnerf.config import PixelNeRFConfig, SamplingConfig
from maskfield.rendering.compositing import Compositing
from maskfield.rendering.field import Field, FieldOutput, FusedRender, RaySamples
from maskfield.rendering.levels import LevelNoise, LevelSampler
from maskfield.rendering.renderer import RenderOutput
from maskfield.rendering.samplers import Sampler, StratifiedSampler, distances_at
from maskfield.rendering.spacing import Spacing

_EPS = 1e-5  # added to each weight, so that empty rays stay defined
_LEAST_SHARE = 0.02  # spread evenly without noise: places in almost empty bins then stay put


@dataclass(frozen=True, kw_only=True)
class PixelRefinement:
    """The second pass: the first one's samples, importance samples, samples around its depth.

    Attributes:
        importance: samples in bins drawn by weight, anywhere in their bin (Q5).
        depth: samples around the first pass's depth. depth_std: their spread, scene units.
        spacing: as of the first pass. detach_depth: no gradient through that depth (Q18).
    """

    importance: int
    depth: int
    depth_std: float = 0.01
    spacing: Spacing = "linear"
    detach_depth: bool = False

    @property
    def uniform_per_ray(self) -> int:
        """One number chooses a bin, one the place in it."""
        return 2 * self.importance

    @property
    def normal_per_ray(self) -> int:
        return self.depth

    def __call__(
        self, rays: Rays, coarse: RenderOutput, noise: LevelNoise
    ) -> Float[Tensor, "ray sample"]:
        """All distances of the second pass, ascending."""
        assert coarse.weights is not None
        assert coarse.t is not None
        parts = [coarse.t]
        if self.importance:
            choose, place = self._uniform(rays, noise)
            parts.append(self.importance_distances(rays, coarse.weights, choose, place))
        if self.depth:
            depth = (coarse.weights * coarse.t).sum(-1)
            parts.append(self.depth_distances(rays, depth, self._normal(rays, noise)))
        return torch.cat(parts, dim=-1).sort(dim=-1).values

    def importance_distances(
        self,
        rays: Rays,
        weights: Float[Tensor, "ray bin"],
        choose: Float[Tensor, "ray n"],
        place: Float[Tensor, "ray n"] | None = None,
    ) -> Float[Tensor, "ray n"]:
        """Distances in bins chosen in proportion to the weights; no gradient to these.

        Args:
            choose, place: uniform numbers; without ``place`` the share of its bin that ``choose``
                has passed takes its part (the inverse of the distribution function, continuous).
        """
        share = weights.detach() + _EPS
        share = share / share.sum(-1, keepdim=True)
        if place is None:
            share = share + _LEAST_SHARE * (1 / share.shape[-1] - share)
        cdf = torch.cat([torch.zeros_like(share[:, :1]), share.cumsum(-1)], dim=-1)
        found = (torch.searchsorted(cdf, choose.contiguous(), right=True) - 1).clamp_min(0)
        if place is None:
            found = found.clamp_max(weights.shape[-1] - 1)
            place = (choose - cdf.gather(-1, found)) / share.gather(-1, found)
        s = (found.to(place.dtype) + place) / weights.shape[-1]
        return distances_at(self.spacing, rays, s)

    def depth_distances(
        self, rays: Rays, depth: Float[Tensor, " ray"], normal: Float[Tensor, "ray n"]
    ) -> Float[Tensor, "ray n"]:
        """Distances around a depth, within near and far."""
        depth = depth.detach() if self.detach_depth else depth
        around = depth[:, None] + normal * self.depth_std
        return around.maximum(rays.near[:, None]).minimum(rays.far[:, None])

    def _uniform(self, rays: Rays, noise: LevelNoise) -> tuple[Tensor, Tensor | None]:
        """Numbers that choose bins and places in them; without noise equal quantiles choose."""
        if noise.uniform is not None:
            choose, place = noise.uniform.chunk(2, dim=-1)
            return choose, place
        return _middles(self.importance, rays.near).expand(len(rays), -1), None

    def _normal(self, rays: Rays, noise: LevelNoise) -> Tensor:
        """Without noise: equal quantiles of the normal distribution."""
        if noise.normal is not None:
            return noise.normal
        return torch.special.ndtri(_middles(self.depth, rays.near)).expand(len(rays), -1)


def coarse_sampler(
    config: SamplingConfig, *, seen: int | None = None, jitter: bool = True
) -> StratifiedSampler:
    """The first pass; jittered where a generator is given."""
    return StratifiedSampler(
        count=counts_at(config, seen)[0],
        jitter=jitter,
        spacing="disparity" if config.disparity else "linear",
        interval="next",
    )


def refinement(config: SamplingConfig, *, seen: int | None = None) -> PixelRefinement | None:
    """The second pass; None where there is none."""
    fine = counts_at(config, seen)[1]
    if fine == 0:
        return None
    return PixelRefinement(
        importance=max(fine - config.fine_depth, 0),
        depth=min(config.fine_depth, fine),
        depth_std=config.depth_std,
        spacing="disparity" if config.disparity else "linear",
        detach_depth=config.detach_depth,
    )


def counts_at(config: SamplingConfig, seen: int | None = None) -> tuple[int, int]:
    """Numbers of first-pass and further samples after so many objects; None: at the end."""
    passed = rows_passed(config, seen)
    return config.schedule[passed - 1][1:] if passed else (config.coarse, config.fine)


def rows_passed(config: SamplingConfig, seen: int | None = None) -> int:
    """How many rows of the schedule hold after so many objects; None: at the end."""
    return sum(seen is None or seen >= row[0] for row in config.schedule)


def noisy(field: Field, std: float, generator: torch.Generator) -> Field:
    """The field with normal noise on its densities, as in training; itself where ``std`` is 0."""
    return NoisyField(field, std, generator) if std > 0 else field


class NoisyField:
    """A field whose densities get noise before they are cut at zero."""

    def __init__(self, field: Field, std: float, generator: torch.Generator) -> None:
        self.field, self.std, self.generator = field, std, generator

    @property
    def sample_bytes(self) -> int:
        return int(getattr(self.field, "sample_bytes", 0))

    def __call__(self, samples: RaySamples) -> FieldOutput:
        output = self.field(samples)
        assert output.density is not None
        like, source = output.density, self.generator
        normal = torch.randn(like.shape, generator=source, dtype=like.dtype, device=source.device)
        return replace(output, density=noisy_density(like, normal.to(like.device), self.std))

    def prepare(self, views: object | None = None) -> Field:
        return NoisyField(self.field.prepare(views), self.std, self.generator)

    def fused(self, sampler: Sampler, compositing: Compositing) -> FusedRender | None:
        """None: fast paths know no noise."""
        return None


def noisy_density(
    density: Float[Tensor, "ray sample"], normal: Float[Tensor, "ray sample"], std: float
) -> Float[Tensor, "ray sample"]:
    """relu(density + std * normal)."""
    return (density + std * normal).relu()


def compositing_of(config: PixelNeRFConfig, *, keep_weights: bool = False) -> Compositing:
    """Official compositing: the last interval ends at far, depth is not normalised (Q5)."""
    return Compositing(background=config.background, depth="accumulated", keep_weights=keep_weights)


def level_sampler(
    config: PixelNeRFConfig, *, jitter: bool = True
) -> StratifiedSampler | LevelSampler:
    """For ``render`` and ``render_image`` of a :class:`PixelNeRFField`.

    Args:
        jitter: draw noise when there is a generator. Off, the field's fast path can serve.
    """
    coarse, refine = coarse_sampler(config.sampling, jitter=jitter), refinement(config.sampling)
    return coarse if refine is None else LevelSampler(coarse=coarse, refine=refine, jitter=jitter)


def _middles(count: int, like: Tensor) -> Tensor:
    return (torch.arange(count, dtype=like.dtype, device=like.device) + 0.5) / count
