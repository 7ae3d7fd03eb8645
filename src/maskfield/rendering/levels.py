"""Two passes through one renderer: a first field is looked at, a second one drawn where it counts.

As in NeRF (arXiv 2003.08934, section 5.2) and its image-conditioned kin. Both passes give pixels,
since both are trained. Random numbers come from a generator, all at the start, so that they do not
depend on chunks; or are given.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from maskfield.geometry.rays import Rays
from maskfield.rendering.budget import PROBE_RAYS, bytes_per_ray, rays_in_budget
from maskfield.rendering.compositing import Compositing
from maskfield.rendering.field import Field, RaySamples
from maskfield.rendering.renderer import RenderOutput, composite_samples, join_outputs
from maskfield.rendering.samplers import StratifiedSampler, draw_noise, next_gaps, samples_at


@dataclass(frozen=True, kw_only=True)
class LevelNoise:
    """Random numbers of both passes, per ray; None for none.

    Attributes:
        strata: [ray, n] uniform, of the first pass's sampler.
        uniform, normal: [ray, n] of the refinement, as it declares them.
    """

    strata: Float[Tensor, "ray n"] | None = None
    uniform: Float[Tensor, "ray m"] | None = None
    normal: Float[Tensor, "ray k"] | None = None

    def __getitem__(self, rows: slice) -> LevelNoise:
        parts = (self.strata, self.uniform, self.normal)
        strata, uniform, normal = (None if p is None else p[rows] for p in parts)
        return LevelNoise(strata=strata, uniform=uniform, normal=normal)


class Refinement(Protocol):
    """Chooses the second pass's distances from what the first one saw."""

    @property
    def uniform_per_ray(self) -> int: ...

    @property
    def normal_per_ray(self) -> int: ...

    def __call__(
        self, rays: Rays, coarse: RenderOutput, noise: LevelNoise
    ) -> Float[Tensor, "ray sample"]:
        """Ascending distances; ``coarse`` holds weights and t of every sample of the first pass."""
        ...


def draw_level_noise(
    rays: Rays,
    sampler: StratifiedSampler,
    refine: Refinement | None,
    generator: torch.Generator | None,
) -> LevelNoise:
    """What a generator gives for these rays; nothing without one."""
    if generator is None:
        return LevelNoise()
    strata = draw_noise(rays, sampler.noise_per_ray, generator)
    if refine is None:
        return LevelNoise(strata=strata)
    size, like = (len(rays), refine.normal_per_ray), rays.near
    normal = torch.randn(size, generator=generator, dtype=like.dtype, device=generator.device)
    return LevelNoise(
        strata=strata,
        uniform=draw_noise(rays, refine.uniform_per_ray, generator),
        normal=normal.to(like.device),
    )


def render_levels(
    coarse: Field,
    fine: Field,
    rays: Rays,
    sampler: StratifiedSampler,
    refine: Refinement | None,
    compositing: Compositing | None = None,
    *,
    generator: torch.Generator | None = None,
    noise: LevelNoise | None = None,
    memory_mb: float = 512,
) -> tuple[RenderOutput, RenderOutput]:
    """Pixels of both passes; differentiable as :func:`maskfield.rendering.renderer.render`.

    Args:
        coarse, fine: fields of the first and the second pass.
        refine: None has no second pass; the first one's pixels are then returned twice.
        generator: for the noise; None samples without. noise: given instead.
    """
    compositing = compositing or Compositing()
    if noise is None:
        noise = draw_level_noise(rays, sampler, refine, generator)
    passes = list(_passes(coarse, fine, rays, sampler, refine, compositing, noise, memory_mb))
    first = join_outputs([a for a, _ in passes])
    second = first if refine is None else join_outputs([b for _, b in passes])
    return first, second


@dataclass(frozen=True, kw_only=True)
class LevelSampler:
    """The second pass's samples, for ``render`` and ``render_image``: the first pass is looked at.

    Attributes:
        proposal: field of the first pass; None: the rendered field's own ``proposal`` if it has
            one, else that field.
        jitter: draw noise when there is a generator; off, a field's fast path may serve.
        differentiate: let gradients through the first pass (its depth may move samples).
        compositing: of the first pass.
    """

    coarse: StratifiedSampler
    refine: Refinement
    proposal: Field | None = None
    jitter: bool = True
    differentiate: bool = False
    compositing: Compositing = field(default_factory=Compositing)

    @property
    def noise_per_ray(self) -> int:
        """How many random numbers a ray takes."""
        if not self.jitter:
            return 0
        more = self.refine.uniform_per_ray + self.refine.normal_per_ray
        return self.coarse.noise_per_ray + more

    def __call__(
        self, rays: Rays, field: Field, generator: torch.Generator | None = None
    ) -> RaySamples:
        proposal = self.proposal or getattr(field, "proposal", None) or field
        noise = draw_level_noise(rays, self.coarse, self.refine, generator if self.jitter else None)
        keeping = replace(self.compositing, keep_weights=True)
        with torch.set_grad_enabled(self.differentiate and torch.is_grad_enabled()):
            samples = self.coarse.place(rays, noise.strata)
            seen = composite_samples(rays, samples, proposal(samples), keeping)
            t = self.refine(rays, seen, noise)
        return samples_at(rays, t, next_gaps(t, rays.far))


def _passes(
    coarse: Field,
    fine: Field,
    rays: Rays,
    sampler: StratifiedSampler,
    refine: Refinement | None,
    compositing: Compositing,
    noise: LevelNoise,
    memory_mb: float,
) -> Iterator[tuple[RenderOutput, RenderOutput]]:
    """Both passes of consecutive chunks; the first one tells what a ray takes."""
    keeping = replace(compositing, keep_weights=True)
    start, size = 0, _first_chunk(fine, sampler, memory_mb)
    while start == 0 or start < len(rays):
        rows = slice(start, start + size)
        chunk, given = rays[rows], noise[rows]
        samples = sampler.place(chunk, given.strata)
        answer = coarse(samples)
        seen = composite_samples(chunk, samples, answer, keeping)
        kept = seen if compositing.keep_weights else _without_weights(seen)
        drawn = kept
        if refine is not None:
            t = refine(chunk, seen, given)
            samples = samples_at(chunk, t, next_gaps(t, chunk.far))
            answer = fine(samples)
            drawn = composite_samples(chunk, samples, answer, compositing)
        start += max(len(chunk), 1)
        size = rays_in_budget(bytes_per_ray(samples, answer, fine), memory_mb)
        yield kept, drawn


def _first_chunk(fine: Field, sampler: StratifiedSampler, memory_mb: float) -> int:
    """A field that declares what a sample takes needs no small chunk to find out."""
    declared = int(getattr(fine, "sample_bytes", 0))
    likely = 4 * sampler.count  # samples of both passes, not known before the first chunk
    return rays_in_budget(declared * likely, memory_mb) if declared else PROBE_RAYS


def _without_weights(output: RenderOutput) -> RenderOutput:
    return replace(output, weights=None, t=None, delta=None)
