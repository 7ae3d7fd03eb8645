"""Where along a ray a field is asked. Samplers are small frozen objects; noise comes from outside.

Legend: s normalised distance in [0, 1] between near and far, t distance along the ray, delta
interval length.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from maskfield.core.errors import ConfigError
from maskfield.geometry.rays import Rays
from maskfield.ops.dispatch import Backend
from maskfield.ops.march import march
from maskfield.ops.pdf import sample_pdf
from maskfield.rendering.compositing import LARGE_INTERVAL, Compositing, sample_weights
from maskfield.rendering.field import Field, RaySamples
from maskfield.rendering.occupancy import OccupancyGrid
from maskfield.rendering.spacing import SPACINGS, Spacing, check_range


@runtime_checkable
class Sampler(Protocol):
    """Chooses samples on rays. ``field`` is there for samplers that look before they choose.

    With ``generator`` None no noise is drawn, whatever the sampler's options say.
    """

    def __call__(
        self, rays: Rays, field: Field, generator: torch.Generator | None = None
    ) -> RaySamples: ...


@dataclass(frozen=True, kw_only=True)
class StratifiedSampler:
    """``count`` samples per ray, one in each of ``count`` strata.

    Attributes:
        jitter: draw each sample uniformly in its stratum (needs a generator at the call).
        spacing: "linear"; "disparity" (linear in 1 / t); "log"; "contracted" (linear up to distance
            1, then in 1 / t). Only "disparity" and "contracted" reach an infinite far.
        layout: "bins": equal bins, samples at their centres (or anywhere in them, with jitter);
            "ends": from near to far inclusive, strata between midpoints, as the original NeRF code.
        interval: "bins": delta is the width of the stratum; "next": delta is the gap to the next
            sample, the last one ends at far, as the original NeRF code.
    """

    count: int
    jitter: bool = False
    spacing: Spacing = "linear"
    layout: Literal["bins", "ends"] = "bins"
    interval: Literal["bins", "next"] = "bins"

    def __post_init__(self) -> None:
        _at_least("count", self.count, 1 if self.layout == "bins" else 2)
        _choice("spacing", self.spacing, tuple(SPACINGS))
        _choice("layout", self.layout, ("bins", "ends"))
        _choice("interval", self.interval, ("bins", "next"))

    @property
    def noise_per_ray(self) -> int:
        """How many uniform numbers a ray takes."""
        return self.count if self.jitter else 0

    def __call__(
        self, rays: Rays, field: Field | None = None, generator: torch.Generator | None = None
    ) -> RaySamples:
        return self.place(rays, draw_noise(rays, self.noise_per_ray, generator))

    def place(self, rays: Rays, noise: Float[Tensor, "ray sample"] | None) -> RaySamples:
        """Samples for given noise in [0, 1), None for none.

        Raises:
            ConfigError: near and far do not suit the spacing (e.g. linear up to infinity).
        """
        check_range(self.spacing, rays)
        s, edges = self._strata(rays)
        if noise is not None:
            s = edges[..., :-1] + noise * (edges[..., 1:] - edges[..., :-1])
        t = distances_at(self.spacing, rays, s)
        if self.interval == "next":
            return samples_at(rays, t, next_gaps(t, rays.far))
        t_edges = distances_at(self.spacing, rays, edges)
        return samples_at(rays, t, (t_edges[:, 1:] - t_edges[:, :-1]))

    def _strata(self, rays: Rays) -> tuple[Tensor, Tensor]:
        """Noise-free s [1, sample] and the edges of the strata [1, sample + 1]."""
        steps = torch.arange(self.count + 1, dtype=rays.near.dtype, device=rays.near.device)
        if self.layout == "bins":
            edges = steps / self.count
            return (0.5 * (edges[1:] + edges[:-1]))[None], edges[None]
        s = steps[:-1] / (self.count - 1)
        middle = 0.5 * (s[1:] + s[:-1])
        return s[None], torch.cat([s[:1], middle, s[-1:]])[None]


@dataclass(frozen=True, kw_only=True)
class ImportanceSampler:
    """Hierarchical sampling (NeRF, section 5.2): coarse samples are weighed, finer ones follow.

    Attributes:
        coarse: places the first samples. fine: how many are added per ray.
        jitter: draw the fine samples at random (needs a generator) instead of at equal quantiles.
        proposal: field weighed in the coarse pass (a coarse network); None: the rendered field.
        union: evaluate coarse and fine samples together; False: the fine ones only.
        eps: added to each coarse weight, so that empty rays stay defined.
        compositing: options of the coarse pass.
    """

    coarse: StratifiedSampler
    fine: int
    jitter: bool = False
    proposal: Field | None = None
    union: bool = True
    eps: float = 1e-5
    compositing: Compositing = field(default_factory=Compositing)

    def __post_init__(self) -> None:
        _at_least("fine", self.fine, 1)
        _at_least("coarse.count", self.coarse.count, 3)

    @property
    def noise_per_ray(self) -> int:
        """How many uniform numbers a ray takes."""
        return self.coarse.noise_per_ray + (self.fine if self.jitter else 0)

    def __call__(
        self, rays: Rays, field: Field, generator: torch.Generator | None = None
    ) -> RaySamples:
        # one draw for both passes: rays then get the same numbers whatever the chunks are
        noise = draw_noise(rays, self.noise_per_ray, generator)
        first = self.coarse.noise_per_ray
        with torch.no_grad():
            samples = self.coarse.place(rays, _part(noise, slice(0, first)))
            output = (self.proposal or field)(samples)
            norm = rays.directions.norm(dim=-1)
            weights = sample_weights(output, samples, self.compositing, norm)
            t = self._refine(samples.t, weights, _part(noise, slice(first, None)))
        return samples_at(rays, t, next_gaps(t, rays.far))

    def _refine(self, t: Tensor, weights: Tensor, noise: Tensor | None) -> Tensor:
        """Inverse-CDF samples between the midpoints of the coarse ones, merged with these."""
        middle = 0.5 * (t[:, 1:] + t[:, :-1])
        fine = sample_pdf(middle, weights[:, 1:-1], self.fine, uniform=noise, eps=self.eps)
        merged = torch.cat([t, fine], dim=-1) if self.union else fine
        return merged.sort(dim=-1).values


@dataclass(frozen=True, kw_only=True)
class OccupancySampler:
    """Steps of fixed length through the occupied cells of a grid; empty space costs nothing.

    Rays are cut to the grid's box. Samples lie in the middle of their step (jitter: one random
    offset per ray). Rays are padded to the longest; padding is masked and has delta 0.

    Attributes:
        occupancy: where the scene is not empty. step: length of a step, scene units.
        max_samples: keep at most this many, the nearest ones, per ray; None keeps all.
        backend: of the march: "auto", "torch" or "numba".
    """

    occupancy: OccupancyGrid
    step: float
    max_samples: int | None = None
    jitter: bool = False
    backend: Backend = "auto"

    def __post_init__(self) -> None:
        if not self.step > 0:
            raise ConfigError(
                "the step of a march must be positive",
                field="step",
                value=self.step,
                remedy="give a length in scene units, e.g. half a voxel",
            )
        if self.max_samples is not None:
            _at_least("max_samples", self.max_samples, 1)

    @property
    def noise_per_ray(self) -> int:
        """How many uniform numbers a ray takes."""
        return 1 if self.jitter else 0

    def __call__(
        self, rays: Rays, field: Field | None = None, generator: torch.Generator | None = None
    ) -> RaySamples:
        noise = draw_noise(rays, self.noise_per_ray, generator)
        t, delta, mask = march(
            rays.clipped(self.occupancy.box.to(rays.origins)),
            self.occupancy.occupied,
            self.occupancy.box,
            self.step,
            max_samples=self.max_samples,
            offset=None if noise is None else noise[:, 0],
            backend=self.backend,
        )
        return samples_at(rays, t, delta, mask)


def samples_at(
    rays: Rays,
    t: Float[Tensor, "ray sample"],
    delta: Float[Tensor, "ray sample"],
    mask: Tensor | None = None,
) -> RaySamples:
    """Samples at distances ``t``; rays with far <= near are masked."""
    hit = (rays.far > rays.near)[:, None].expand(t.shape)
    directions = rays.directions[:, None]
    return RaySamples(
        points=rays.origins[:, None] + t[..., None] * directions,
        directions=directions,
        t=t,
        delta=torch.where(hit, delta.clamp(0, LARGE_INTERVAL), torch.zeros_like(delta)),
        mask=hit if mask is None else mask & hit,
    )


def next_gaps(
    t: Float[Tensor, "ray sample"], far: Float[Tensor, " ray"]
) -> Float[Tensor, "ray sample"]:
    """Gap from each sample to the next one; the last reaches to ``far``."""
    return torch.cat([t[:, 1:], far[:, None]], dim=-1) - t


def draw_noise(
    rays: Rays, count: int, generator: torch.Generator | None
) -> Float[Tensor, "ray count"] | None:
    """Uniform numbers in [0, 1), drawn on the generator's device, ray after ray."""
    if count == 0 or generator is None:
        return None
    size, kind = (len(rays), count), rays.near.dtype
    noise = torch.rand(size, generator=generator, dtype=kind, device=generator.device)
    return noise.to(rays.near.device)


def distances_at(spacing: Spacing, rays: Rays, s: Tensor) -> Tensor:
    """t at normalised distances s [1 or ray, n]."""
    forward, inverse = SPACINGS[spacing]
    near, far = forward(rays.near)[:, None], forward(rays.far)[:, None]
    t = inverse(near * (1 - s) + far * s)
    miss = (rays.far <= rays.near)[:, None]
    return torch.where(miss, rays.near[:, None], t)


def _part(noise: Tensor | None, columns: slice) -> Tensor | None:
    if noise is None:
        return None
    part = noise[:, columns]
    return part if part.shape[1] > 0 else None


def _at_least(field: str, value: int, least: int) -> None:
    if value < least:
        raise ConfigError(
            f"a sampler needs {field} >= {least}",
            field=field,
            value=value,
            remedy=f"give a whole number from {least} on",
        )


def _choice(field: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(
            f"unknown {field}", field=field, value=value, remedy=f"choose one of {allowed}"
        )
