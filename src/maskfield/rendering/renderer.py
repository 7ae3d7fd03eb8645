"""The one renderer: a sampler chooses samples, a field answers, compositing makes pixels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float
from torch import Tensor

from maskfield.geometry.cameras import Cameras
from maskfield.geometry.rays import Rays
from maskfield.ops.compositing import (
    accumulated_depth,
    composite,
    expected_depth,
    median_depth,
    over_background,
)
from maskfield.rendering.budget import PROBE_RAYS, bytes_per_ray, rays_in_budget
from maskfield.rendering.compositing import Compositing, final_delta, sample_weights
from maskfield.rendering.field import Field, FieldOutput, RaySamples
from maskfield.rendering.samplers import Sampler

__all__ = [
    "Compositing",
    "ImageOutput",
    "RenderOutput",
    "composite_samples",
    "join_outputs",
    "render",
    "render_image",
]

_DEPTHS = {"expected": expected_depth, "accumulated": accumulated_depth, "median": median_depth}


@dataclass(frozen=True, kw_only=True)
class RenderOutput:
    """Pixels of a batch of rays.

    Attributes:
        colour: [ray, 3], in front of the background when there is one.
        depth: [ray] distance along the ray, scene units, as ``Compositing.depth`` says.
        opacity: [ray] sum of weights, in [0, 1].
        features, logits: [ray, channel] composited with the same weights, when the field has them.
        weights, t, delta: [ray, sample] when ``Compositing.keep_weights``; weights
            and t are 0 where a sample was masked.
    """

    colour: Float[Tensor, "ray 3"]
    depth: Float[Tensor, " ray"]
    opacity: Float[Tensor, " ray"]
    features: Float[Tensor, "ray f"] | None = None
    logits: Float[Tensor, "ray c"] | None = None
    weights: Float[Tensor, "ray sample"] | None = None
    t: Float[Tensor, "ray sample"] | None = None
    delta: Float[Tensor, "ray sample"] | None = None


@dataclass(frozen=True, kw_only=True)
class ImageOutput:
    """One rendered image.

    Attributes:
        colour: [height, width, 3]. opacity: [height, width].
        depth: [height, width] along camera z, scene units (what depth cameras give).
        distance: [height, width] along the ray, scene units.
        features, logits: [height, width, channel] when the field has them.
    """

    colour: Float[Tensor, "h w 3"]
    depth: Float[Tensor, "h w"]
    distance: Float[Tensor, "h w"]
    opacity: Float[Tensor, "h w"]
    features: Float[Tensor, "h w f"] | None = None
    logits: Float[Tensor, "h w c"] | None = None


def render(
    field: Field,
    rays: Rays,
    sampler: Sampler,
    compositing: Compositing | None = None,
    *,
    generator: torch.Generator | None = None,
    memory_mb: float = 512,
) -> RenderOutput:
    """Render rays. Differentiable with respect to the field and to ray origins and directions.

    The field's own fast path is taken when it offers one for this sampler and compositing (none
    for samplers that jitter, since it is called with the rays alone);
    otherwise rays go through in chunks that fit ``memory_mb``. The result does not depend on the
    chunks (random samplers: with a CPU generator, which yields the same numbers in any chunking).
    Under autograd the graph of all chunks is kept, so the budget bounds one chunk's working memory.

    Args:
        generator: for samplers that jitter; None lets them sample without noise.
        memory_mb: working memory of one chunk; infinite: all rays in one chunk.
    """
    compositing = compositing or Compositing()
    fused = field.fused(sampler, compositing)
    if fused is not None:
        return fused(rays)
    return join_outputs(list(_chunks(field, rays, sampler, compositing, generator, memory_mb)))


def render_image(
    field: Field,
    cameras: Cameras,
    index: int,
    sampler: Sampler,
    compositing: Compositing | None = None,
    *,
    near: float = 0.0,
    far: float = float("inf"),
    box: Float[Tensor, "2 3"] | None = None,
    rays: Rays | None = None,
    generator: torch.Generator | None = None,
    memory_mb: float = 512,
) -> ImageOutput:
    """Render one camera's image, without gradients.

    Args:
        near, far: distances along the rays. box: world box to which the rays are clipped.
        rays: the image's rays with limits of their own, instead of ``near`` and ``far``.
    """
    with torch.no_grad():
        rays = cameras.image_rays(index, near, far) if rays is None else rays
        rays = rays if box is None else rays.clipped(box.to(rays.origins))
        out = render(field, rays, sampler, compositing, generator=generator, memory_mb=memory_mb)
        along_z = rays.directions @ cameras.forward_axes[index]
    size = (cameras.height, cameras.width)
    return ImageOutput(
        colour=out.colour.reshape(*size, 3),
        depth=(out.depth * along_z).reshape(size),
        distance=out.depth.reshape(size),
        opacity=out.opacity.reshape(size),
        features=None if out.features is None else out.features.reshape(*size, -1),
        logits=None if out.logits is None else out.logits.reshape(*size, -1),
    )


def _chunks(
    field: Field,
    rays: Rays,
    sampler: Sampler,
    compositing: Compositing,
    generator: torch.Generator | None,
    memory_mb: float,
) -> Iterator[RenderOutput]:
    """The first, small chunk tells how much memory a ray takes; its result is used as well."""
    whole = math.isinf(memory_mb)
    start, size = 0, len(rays) if whole else PROBE_RAYS
    while start == 0 or start < len(rays):
        chunk = rays[start : start + size]
        samples = sampler(chunk, field, generator)
        output = field(samples)
        start += max(len(chunk), 1)
        if not whole:
            size = rays_in_budget(bytes_per_ray(samples, output, field), memory_mb)
        yield composite_samples(chunk, samples, output, compositing)


def composite_samples(
    rays: Rays, samples: RaySamples, output: FieldOutput, compositing: Compositing
) -> RenderOutput:
    """Pixels of samples that a field answered already."""
    norm = rays.directions.norm(dim=-1) if compositing.norm_in_delta else None
    weights = sample_weights(output, samples, compositing, norm)
    opacity = weights.sum(-1)
    colour = composite(weights, _unmasked(output.colour, samples.mask))
    if compositing.background is not None:
        colour = over_background(colour, opacity, colour.new_tensor(compositing.background))
    keep = compositing.keep_weights
    return RenderOutput(
        colour=colour,
        depth=_DEPTHS[compositing.depth](weights, samples.t),
        opacity=opacity,
        features=_composited(weights, output.features, samples.mask),
        logits=_composited(weights, output.logits, samples.mask),
        weights=weights if keep else None,
        t=torch.where(samples.mask, samples.t, samples.t.new_zeros(())) if keep else None,
        delta=final_delta(samples, compositing, norm) if keep else None,
    )


def _composited(weights: Tensor, values: Tensor | None, mask: Tensor) -> Tensor | None:
    return None if values is None else composite(weights, _unmasked(values, mask))


def _unmasked(values: Tensor, mask: Tensor) -> Tensor:
    """Zero where masked: a field may leave anything there, NaN included, and 0 * NaN is NaN."""
    return torch.where(mask[..., None], values, values.new_zeros(()))


def join_outputs(parts: list[RenderOutput]) -> RenderOutput:
    """The outputs of consecutive chunks of rays as one."""
    if len(parts) == 1:
        return parts[0]
    joined: dict[str, Tensor | None] = {}
    for item in fields(RenderOutput):
        values = [getattr(part, item.name) for part in parts]
        joined[item.name] = None if values[0] is None else _concatenated(values)
    return RenderOutput(**joined)  # type: ignore[arg-type]


def _concatenated(values: list[Tensor]) -> Tensor:
    """Chunks of a skipping sampler may differ in their number of samples: pad with zeros."""
    if values[0].ndim == 2:
        longest = max(v.shape[1] for v in values)
        values = [torch.nn.functional.pad(v, (0, longest - v.shape[1])) for v in values]
    return torch.cat(values)
