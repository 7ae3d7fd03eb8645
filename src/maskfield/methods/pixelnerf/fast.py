"""Whole images faster, as :class:`RenderOptions` says: the field's fast path in the one renderer.

Legend: t distance along a ray, tau optical depth.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from maskfield.geometry.rays import Rays
from maskfield.methods.pixelnerf.config import RenderOptions
from maskfield.methods.pixelnerf.model.query import ObjectViews, activated_output
from maskfield.methods.pixelnerf.model.resnetfc import ResnetFC
from maskfield.methods.pixelnerf.scout import Scouted, scout
from maskfield.rendering.compositing import Compositing, final_delta
from maskfield.rendering.field import FieldOutput, RaySamples
from maskfield.rendering.levels import LevelNoise, LevelSampler
from maskfield.rendering.renderer import RenderOutput, composite_samples, join_outputs
from maskfield.rendering.samplers import StratifiedSampler, next_gaps, samples_at

_NUMBERS = 1 << 20  # of one layer's activations: as many samples go in at once
_RAYS = 1 << 14  # rays whose samples are held at once
_DEPTH_CELLS = 48  # of the scouting lattice, at least
_WAVE = 8  # samples per ray between two looks at what light is left


@dataclass(frozen=True, kw_only=True)
class FastRender:
    """Rays of one camera to pixels, without gradients and noise.

    Attributes:
        coarse, fine: networks of the two passes; the same one where one serves both.
        sampler: of both passes, or of the only one.
    """

    views: ObjectViews
    coarse: ResnetFC
    fine: ResnetFC
    sampler: LevelSampler | StratifiedSampler
    compositing: Compositing
    options: RenderOptions

    def __call__(self, rays: Rays) -> RenderOutput:
        with torch.inference_mode():
            known = self._scouted(rays) if self.options.skip_empty else None
            starts = range(0, max(len(rays), 1), _RAYS)
            return join_outputs([self._chunk(rays[i : i + _RAYS], known) for i in starts])

    def _chunk(self, rays: Rays, known: Scouted | None) -> RenderOutput:
        """Both passes of some rays."""
        if isinstance(self.sampler, StratifiedSampler):
            samples = self._kept(rays, self.sampler.place(rays, None), known)
            answer = self._answer(self.fine, samples)
            return composite_samples(rays, samples, answer, self.compositing)
        samples = self._kept(rays, self.sampler.coarse.place(rays, None), known)
        exact = replace(self, options=replace(self.options, bf16=False))  # it places samples
        first = exact._answer(self.coarse, samples)
        looking = replace(self.sampler.compositing, keep_weights=True)
        seen = composite_samples(rays, samples, first, looking)
        t = self.sampler.refine(rays, replace(seen, t=samples.t), LevelNoise())
        second = self._kept(rays, samples_at(rays, t, next_gaps(t, rays.far)), known)
        reused = first if self.options.reuse and self.coarse is self.fine else None
        answer = self._answer(self.fine, second, samples, reused)
        return composite_samples(rays, second, answer, self.compositing)

    def _kept(self, rays: Rays, samples: RaySamples, known: Scouted | None) -> RaySamples:
        """Samples where something may be."""
        if known is None:
            return samples
        return replace(samples, mask=samples.mask & known.at(rays.directions, samples.t))

    def _scouted(self, rays: Rays) -> Scouted | None:
        """Where either network finds something, or nearly."""
        sampler, networks = self.sampler, {id(m): m for m in (self.coarse, self.fine)}.values()
        first = sampler if isinstance(sampler, StratifiedSampler) else sampler.coarse

        def find(points: Tensor, directions: Tensor) -> Tensor:
            return torch.stack([self._near(m, points, directions) for m in networks]).any(0)

        return scout(rays, max(first.count, _DEPTH_CELLS), find)

    def _near(
        self, mlp: ResnetFC, points: Float[Tensor, "point 3"], directions: Float[Tensor, "point 3"]
    ) -> Bool[Tensor, " point"]:
        """Whether density before the cut at zero is positive, or misses it by little.

        Little is measured by what this network calls dense here.
        """
        density = self._raw(mlp, points, directions)[:, 3]
        positive = density[density > 0]
        usual = positive.median() if len(positive) else density.new_zeros(())
        return density > -self.options.empty_margin * usual

    def _answer(
        self,
        mlp: ResnetFC,
        samples: RaySamples,
        before: RaySamples | None = None,
        known: FieldOutput | None = None,
    ) -> FieldOutput:
        """Colour and density of the samples that count; zeros elsewhere.

        Args:
            before, known: samples that are among these, and their answers.
        """
        colour = samples.points.new_zeros(samples.points.shape)
        density = samples.t.new_zeros(samples.t.shape)
        missing = samples.mask
        if before is not None and known is not None:
            missing = missing & ~_take_over(samples, before, known, colour, density)
        stop = self.options.least_light if self.options.stop_early else 0.0
        delta = final_delta(samples, self.compositing)
        for chosen in _waves(missing, density, delta, stop):
            rays = chosen.nonzero()[:, 0]
            directions = samples.directions[rays, 0]
            out = self._raw(mlp, samples.points[chosen], directions)
            colour[chosen], density[chosen] = activated_output(out)
        return FieldOutput(colour=colour, density=density)

    def _raw(
        self, mlp: ResnetFC, points: Float[Tensor, "point 3"], directions: Float[Tensor, "point 3"]
    ) -> Float[Tensor, "point 4"]:
        """What a network puts out for single points, in parts that fit the caches."""
        size = max(_NUMBERS // (mlp.config.hidden * self.views.views), 1)
        parts = zip(points.split(size), directions.split(size), strict=True)
        return torch.cat([self.views.raw(mlp, *p, bf16=self.options.bf16) for p in parts])


def _waves(
    missing: Bool[Tensor, "ray sample"],
    density: Float[Tensor, "ray sample"],
    delta: Float[Tensor, "ray sample"],
    least_light: float,
) -> Iterator[Bool[Tensor, "ray sample"]]:
    """Which samples to ask, some of every ray at a time, front to back; never an empty set.

    Args:
        density: filled in by the caller between two sets; samples that lie behind so much of it
            that less than ``least_light`` reaches them are left out.
    """
    if least_light <= 0:
        if bool(missing.any()):
            yield missing
        return
    limit = -math.log(least_light)
    turn = (missing.cumsum(1) - 1).div(_WAVE, rounding_mode="floor").masked_fill(~missing, -1)
    for wave in range(int(turn.max()) + 1 if turn.numel() else 0):
        tau = density * delta
        chosen = (turn == wave) & (tau.cumsum(1) - tau < limit)
        if bool(chosen.any()):
            yield chosen


def _take_over(
    samples: RaySamples,
    before: RaySamples,
    known: FieldOutput,
    colour: Float[Tensor, "ray sample 3"],
    density: Float[Tensor, "ray sample"],
) -> Bool[Tensor, "ray sample"]:
    """Write known answers where a sample lies at the very distance of a known one."""
    assert known.density is not None
    place = torch.searchsorted(before.t.contiguous(), samples.t.contiguous())
    place = place.clamp_max(before.t.shape[1] - 1)
    same = before.t.gather(1, place) == samples.t
    colour[same] = known.colour.gather(1, place[..., None].expand(-1, -1, 3))[same]
    density[same] = known.density.gather(1, place)[same]
    return same
