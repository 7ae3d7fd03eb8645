"""A second pass that leaves out what the first one found to be empty or hidden."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from maskfield.core.errors import ConfigError
from maskfield.geometry.rays import Rays
from maskfield.rendering.compositing import Compositing, sample_weights
from maskfield.rendering.field import Field, FieldOutput, FusedRender, RaySamples
from maskfield.rendering.samplers import Sampler


class LookingSampler(Protocol):
    """A sampler that looks at a proposal field before it chooses (a frozen dataclass)."""

    @property
    def proposal(self) -> Field | None: ...

    @property
    def compositing(self) -> Compositing: ...

    def __call__(
        self, rays: Rays, field: Field, generator: torch.Generator | None = None
    ) -> RaySamples: ...


@dataclass(frozen=True, kw_only=True)
class SparseSampler:
    """Masks samples around which the first pass saw next to nothing; fields skip what is masked.

    Where the first pass is right, colours change by about ``least``; what it overlooks is lost.
    The last sample of a ray stays, whose interval may reach to infinity.

    Attributes:
        sampler: an ImportanceSampler or LevelSampler.
        least: compositing weight of a first-pass sample and its two neighbours, together, below
            which samples there are left out.
    """

    sampler: LookingSampler
    least: float = 1e-3

    def __post_init__(self) -> None:
        if not 0 < self.least < 1:
            raise ConfigError(
                "a weight to be neglected lies in (0, 1)",
                field="least",
                value=self.least,
                remedy="give e.g. 1e-3",
            )

    @property
    def noise_per_ray(self) -> int:
        """How many uniform numbers a ray takes."""
        return int(getattr(self.sampler, "noise_per_ray", 0))

    def __call__(
        self, rays: Rays, field: Field, generator: torch.Generator | None = None
    ) -> RaySamples:
        proposal = self.sampler.proposal or getattr(field, "proposal", None) or field
        witness = _Witness(proposal)
        listening: Sampler = replace(self.sampler, proposal=witness)  # type: ignore[type-var]
        samples = listening(rays, field, generator)
        with torch.no_grad():
            first, output = witness.heard()
            norm = rays.directions.norm(dim=-1)
            weights = sample_weights(output, first, self.sampler.compositing, norm)
            kept = near_matter(samples.t, first.t, weights, self.least)
        return replace(samples, mask=samples.mask & kept)


def near_matter(
    t: Float[Tensor, "ray sample"],
    seen: Float[Tensor, "ray first"],
    weights: Float[Tensor, "ray first"],
    least: float,
) -> Bool[Tensor, "ray sample"]:
    """Samples by the first-pass samples that lie next to them; the last of each ray is kept.

    Args:
        t: distances asked about. seen, weights: ascending distances and weights of the first pass.
    """
    around = torch.nn.functional.pad(weights, (1, 1)).unfold(1, 3, 1).sum(-1)
    after = torch.searchsorted(seen.contiguous(), t.contiguous()).clamp_max(seen.shape[1] - 1)
    before = (after - 1).clamp_min(0)
    kept = torch.maximum(around.gather(1, after), around.gather(1, before)) >= least
    kept[:, -1] = True
    return kept


class _Witness:
    """A field that remembers what it was last asked and what it answered."""

    def __init__(self, field: Field) -> None:
        self.field = field
        self._heard: tuple[RaySamples, FieldOutput] | None = None

    def __call__(self, samples: RaySamples) -> FieldOutput:
        output = self.field(samples)
        self._heard = samples, output
        return output

    def heard(self) -> tuple[RaySamples, FieldOutput]:
        assert self._heard is not None  # a looking sampler asks its proposal
        return self._heard

    def prepare(self, views: object | None = None) -> _Witness:
        return _Witness(self.field.prepare(views))

    def fused(self, sampler: Sampler, compositing: Compositing) -> FusedRender | None:
        return None
