"""What a field is asked and what it answers: the protocol of every radiance field in the house.

Legend: t distance along a ray, delta length of a sample's interval, sigma density (1 / length).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from jaxtyping import Bool, Float
from torch import Tensor

from maskfield.geometry.rays import Rays

if TYPE_CHECKING:
    from maskfield.rendering.renderer import Compositing, RenderOutput
    from maskfield.rendering.samplers import Sampler


@dataclass(frozen=True, kw_only=True)
class RaySamples:
    """Samples on rays, near to far, in the world frame.

    Attributes:
        points: [ray, sample, 3].
        directions: [ray, 1, 3] unit viewing directions.
        t: [ray, sample] distances of the sample positions.
        delta: [ray, sample] interval lengths.
        mask: [ray, sample] False where nothing is to be evaluated (outside, empty, padding).
    """

    points: Float[Tensor, "ray sample 3"]
    directions: Float[Tensor, "ray 1 3"]
    t: Float[Tensor, "ray sample"]
    delta: Float[Tensor, "ray sample"]
    mask: Bool[Tensor, "ray sample"]


@dataclass(frozen=True, kw_only=True)
class FieldOutput:
    """A field's answer: exactly one of density, alpha or weights, and what is to be composited.

    Attributes:
        density: [ray, sample] sigma in 1 / length, >= 0.
        alpha: [ray, sample] opacity of the interval, in [0, 1].
        weights: [ray, sample] final compositing weights, for fields that attend along the ray.
        colour: [ray, sample, 3] in [0, 1].
        features, logits: [ray, sample, channel], composited with the same weights when present.
    """

    colour: Float[Tensor, "ray sample 3"]
    density: Float[Tensor, "ray sample"] | None = None
    alpha: Float[Tensor, "ray sample"] | None = None
    weights: Float[Tensor, "ray sample"] | None = None
    features: Float[Tensor, "ray sample f"] | None = None
    logits: Float[Tensor, "ray sample c"] | None = None

    def __post_init__(self) -> None:
        given = [n for n in ("density", "alpha", "weights") if getattr(self, n) is not None]
        if len(given) != 1:
            raise ValueError(
                f"a FieldOutput needs exactly one of density, alpha, weights; got {given}"
            )


FusedRender = Callable[[Rays], "RenderOutput"]


@runtime_checkable
class Field(Protocol):
    """A radiance field: answers for samples; may encode reference views; may offer a fast path."""

    def __call__(self, samples: RaySamples) -> FieldOutput:
        """Evaluate every sample; what is returned where ``samples.mask`` is False is ignored."""
        ...

    def prepare(self, views: object | None = None) -> Field:
        """Encode reference views once (image-conditioned fields); others return themselves."""
        ...

    def fused(self, sampler: Sampler, compositing: Compositing) -> FusedRender | None:
        """A fast path with the same result, or None; the renderer asks for it first."""
        ...
