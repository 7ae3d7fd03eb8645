"""VoxelMarch: steps through the occupied cells of a voxel field, longer ones outside its box."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from maskfield.fields.unfused import Unfused
from maskfield.fields.voxel import VoxelField
from maskfield.geometry.rays import Rays
from maskfield.rendering.field import Field, RaySamples
from maskfield.rendering.samplers import draw_noise, samples_at


@dataclass(frozen=True, kw_only=True)
class VoxelMarch:
    """The sampler a VoxelField is fitted and shown with; other fields cannot use it.

    Sample k covers [t, t + dt) with dt = step * stretch; a ray's first step is shortened to
    half (jitter: to a random share), so samples lie in the middle of equal steps.

    Attributes:
        jitter: one random offset per ray (needs a generator at the call).
    """

    jitter: bool = False

    @property
    def noise_per_ray(self) -> int:
        """How many uniform numbers a ray takes."""
        return 1 if self.jitter else 0

    def __call__(
        self, rays: Rays, field: Field, generator: torch.Generator | None = None
    ) -> RaySamples:
        noise = draw_noise(rays, self.noise_per_ray, generator)
        return self.place(rays, field, None if noise is None else noise[:, 0])

    def place(
        self, rays: Rays, field: Field, offset: Float[Tensor, " ray"] | None = None
    ) -> RaySamples:
        """Samples for given shares of the first step; None: half of it."""
        field = field.field if isinstance(field, Unfused) else field
        if not isinstance(field, VoxelField):
            raise TypeError(f"VoxelMarch marches through a VoxelField, not {type(field).__name__}")
        offset = torch.full_like(rays.near, 0.5) if offset is None else offset.to(rays.near)
        with torch.no_grad():
            if rays.origins.device.type == "cpu":
                t, delta = _march_numba(field, rays, offset)
            else:
                t, delta = march_torch(field, rays, offset)
        return samples_at(rays, t, delta.clamp_min(0), delta > 0)


def _march_numba(field: VoxelField, rays: Rays, offset: Tensor) -> tuple[Tensor, Tensor]:
    from maskfield.fields.voxel_fused import packed_lines, packed_settings
    from maskfield.fields.voxel_kernels import march_rays

    lines, spans = packed_lines(field, rays, offset)
    steps = np.full((len(rays), 2, field.settings.max_samples), -1, lines.dtype)
    counts = np.zeros(len(rays), np.int64)
    settings = packed_settings(field)
    march_rays(field.occupancy.numpy(), settings, lines, spans, 0, len(rays), steps, counts)
    kept = steps[..., : max(1, int(counts.max(initial=0)))]
    return torch.from_numpy(kept[:, 0].copy()), torch.from_numpy(kept[:, 1].copy())


def march_torch(
    field: VoxelField, rays: Rays, offset: Float[Tensor, " ray"]
) -> tuple[Float[Tensor, "ray sample"], Float[Tensor, "ray sample"]]:
    """The march in torch, all rays abreast; padding has t = near and delta = -1."""
    from maskfield.fields.voxel_march import REACH

    rays = rays if field.contracted else rays.clipped(field.box.to(rays.origins))
    t, limit = rays.near.clone(), field.settings.max_samples
    times, deltas = [], []
    count = torch.zeros_like(t, dtype=torch.long)
    first = True
    while True:
        points = rays.origins + t[:, None] * rays.directions
        coordinates, longer = field.voxel_coordinates(points)
        alive = (t < rays.far) & (count < limit) & (longer <= REACH * REACH)
        if not bool(alive.any()):
            break
        dt = field.step * longer.clamp_min(1)
        if first:
            t, first = t + dt * offset, False
            continue
        keep = alive & _occupied(field, coordinates)
        count += keep
        times.append(torch.where(keep, t, torch.inf))
        deltas.append(torch.where(keep, dt, -torch.ones_like(dt)))
        t = t + dt
    return _packed(times, deltas, rays, count)


def _occupied(field: VoxelField, coordinates: Tensor) -> Tensor:
    shape = field.occupancy.shape
    size, cells = coordinates.new_tensor(field.resolution), coordinates.new_tensor(shape)
    index = torch.minimum((coordinates / size * cells).long().clamp_min(0), (cells - 1).long())
    return field.occupancy[index[:, 0], index[:, 1], index[:, 2]] != 0


def _packed(
    times: list[Tensor], deltas: list[Tensor], rays: Rays, count: Tensor
) -> tuple[Tensor, Tensor]:
    """Kept samples to the front of each row."""
    longest = max(1, int(count.max()) if len(count) else 1)
    if not times:
        return rays.near[:, None].clone(), torch.full_like(rays.near, -1.0)[:, None]
    t, order = torch.stack(times, 1).sort(dim=1, stable=True)
    delta = torch.stack(deltas, 1).gather(1, order)[:, :longest]
    t = torch.where(delta > 0, t[:, :longest], rays.near[:, None])
    return t, delta
