"""The numba path of a VoxelField behind ``Field.fused``, with gradients for its volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from maskfield.fields.gradients import CompactGradient, row_width
from maskfield.fields.motion import MovingPixels
from maskfield.fields.threads import Workers
from maskfield.geometry.rays import Rays
from maskfield.geometry.sh import sh_basis
from maskfield.rendering.compositing import Compositing
from maskfield.rendering.field import FusedRender

if TYPE_CHECKING:
    from maskfield.fields.voxel import VoxelField
    from maskfield.rendering.renderer import RenderOutput
    from maskfield.rendering.samplers import Sampler

Lines = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]
_AT_ONCE = 1 << 16  # rays of other samplers are sampled in chunks of this many samples * 64


def packed_settings(field: VoxelField, strength: float = 0.0) -> np.ndarray:
    """The ``settings`` array of the kernels (see ``voxel_march``)."""
    s = field.settings
    values = [field.unit, field.step, s.shift, s.stop, s.w_min, s.shell, field.length, strength]
    return np.array(values, field.density.detach().cpu().numpy().dtype)


def packed_volume(field: VoxelField) -> tuple[Any, ...]:
    """The ``volume`` tuple of the kernels: views, nothing is copied."""
    density, colour = field.density.detach().numpy(), field.colour.detach().numpy()
    return _volume(density, colour, field.occupancy.numpy())


def _volume(density: np.ndarray, colour: np.ndarray, occupancy: np.ndarray) -> tuple[Any, ...]:
    channels = colour.shape[-1]
    widths = (0,) * channels, (0,) * row_width(channels)
    return density.reshape(-1), colour.reshape(-1, channels), density.shape, occupancy, *widths


def packed_lines(
    field: VoxelField, rays: Rays, offset: Tensor | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Rays in the field's frame [ray, 6] and their spans [ray, 3] = near, far, offset.

    Computed by NumPy: after a matrix product torch's threads go on spinning for some milliseconds,
    on the cores that the kernels are about to use.
    """
    kind = field.density.detach().numpy().dtype
    matrix = field.field_from_world.numpy().astype(np.float64)
    lines = np.empty((len(rays), 6), kind)
    lines[:, :3] = rays.origins.detach().numpy() @ matrix[:3, :3].T + matrix[:3, 3]
    lines[:, 3:] = rays.directions.detach().numpy() @ matrix[:3, :3].T
    spans = np.full((len(rays), 3), 0.5, kind)
    spans[:, 0], spans[:, 1] = rays.near.detach().numpy(), rays.far.detach().numpy()
    if offset is not None:
        spans[:, 2] = offset.detach().numpy()
    return lines, spans


def fused_render(
    field: VoxelField, sampler: Sampler, compositing: Compositing
) -> FusedRender | None:
    """A renderer of rays with this sampler and compositing, or None where numba cannot help."""
    plain = compositing.last_interval == "far" and not compositing.norm_in_delta
    plain = plain and not compositing.keep_weights and compositing.depth != "median"
    noisy = getattr(sampler, "noise_per_ray", 0) > 0
    on_cpu = field.density.device.type == "cpu"
    if not (plain and on_cpu) or noisy or compositing.backend == "torch":
        return None

    def draw(rays: Rays) -> RenderOutput:
        return _draw(field, rays, sampler, compositing)

    return draw


def _draw(
    field: VoxelField, rays: Rays, sampler: Sampler, compositing: Compositing
) -> RenderOutput:
    from maskfield.fields.unfused import Unfused
    from maskfield.rendering.renderer import render

    moving = rays.origins.requires_grad or rays.directions.requires_grad
    if moving and (field.density.requires_grad or field.colour.requires_grad):
        return render(Unfused(field), rays, sampler, compositing)
    if moving and torch.is_grad_enabled():
        moved = rays.origins, rays.directions
        return _shown(MovingPixels.apply(*moved, field, rays, sampler, compositing), compositing)
    background = torch.tensor(compositing.background or (0.0, 0.0, 0.0), dtype=torch.float64)
    lines = ray_lines(field, rays, sampler, background)
    settings = packed_settings(field)
    settings[3] = compositing.early_stop
    if torch.is_grad_enabled():
        settings[4] = -1.0  # exact gradients for every sample
    pixels = _FusedPixels.apply(field.density, field.colour, field, lines, settings)
    return _shown(pixels, compositing)


def _shown(pixels: Tensor, compositing: Compositing) -> RenderOutput:
    from maskfield.rendering.renderer import RenderOutput

    colour, depth, opacity = pixels[:, :3], pixels[:, 3], pixels[:, 4]
    if compositing.depth == "expected":
        depth = torch.where(opacity > 0, depth / opacity.clamp_min(1e-10), torch.zeros_like(depth))
    return RenderOutput(colour=colour, depth=depth, opacity=opacity)


def ray_lines(field: VoxelField, rays: Rays, sampler: Sampler, background: Tensor) -> Lines:
    """The ``lines`` tuple of the kernels for rays sampled in this way."""
    from maskfield.fields.sampler import VoxelMarch

    packed, spans = packed_lines(field, rays)
    kind = field.density.dtype
    basis = sh_basis(rays.directions.detach().to(kind), field.settings.degree).numpy()
    given = torch.zeros(len(rays), 2, 0, dtype=kind)
    if not isinstance(sampler, VoxelMarch):
        with torch.no_grad():
            samples = sampler(rays, field, None)
        delta = torch.where(samples.mask, samples.delta, -torch.ones_like(samples.delta))
        given = torch.stack([samples.t, delta], dim=1).to(kind)
    behind = background.to(kind).expand(len(rays), 3).contiguous().numpy()
    return packed, basis, spans, given.contiguous().numpy(), behind


class _FusedPixels(torch.autograd.Function):
    """[ray, 5] = r, g, b, sum of w t, opacity; gradients for density and colour volumes."""

    @staticmethod
    def forward(
        ctx: Any,
        density: Tensor,
        colour: Tensor,
        field: VoxelField,
        lines: Lines,
        settings: np.ndarray,
    ) -> Tensor:
        from maskfield.fields.voxel_kernels import render_rays, scratch_space

        count = len(lines[0])
        out = np.zeros((count, 5), settings.dtype)
        volume, limit = _volume_of(density, colour, field), step_limit(field, lines)
        with Workers(torch.get_num_threads()) as workers:
            workers.run(
                lambda _, a, b: render_rays(
                    volume, settings, lines, a, b, scratch_space(volume, limit), out
                ),
                count,
            )
        ctx.save_for_backward(density, colour)
        ctx.rest = (field, lines, settings)
        return torch.from_numpy(out)

    @staticmethod
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, upstream: Tensor
    ) -> tuple[Tensor, Tensor, None, None, None]:
        from maskfield.fields.voxel_kernels import render_rays_gradient, scratch_space
        from maskfield.fields.voxel_update import spread

        field, lines, settings = ctx.rest
        density, colour = ctx.saved_tensors
        volume, limit = _volume_of(density, colour, field), step_limit(field, lines)
        g = upstream.contiguous().numpy().astype(settings.dtype, copy=False)
        to_density, to_colour = torch.zeros_like(density), torch.zeros_like(colour)
        flat = to_density.numpy().reshape(-1), to_colour.numpy().reshape(-1, colour.shape[-1])
        with Workers(torch.get_num_threads()) as workers:
            table = CompactGradient(workers, density.numel(), colour.shape[-1], settings.dtype.type)
            table.accumulate(
                len(lines[0]),
                lambda _, a, b, own, n: render_rays_gradient(
                    volume, settings, lines, a, b, scratch_space(volume, limit), g, own, n
                ),
            )
            table.merge()
            table.each(lambda touched, rows, a, b: spread(touched, rows, a, b, *flat))
        return to_density, to_colour, None, None, None


def _volume_of(density: Tensor, colour: Tensor, field: VoxelField) -> tuple[Any, ...]:
    return _volume(density.detach().numpy(), colour.detach().numpy(), field.occupancy.numpy())


def step_limit(field: VoxelField, lines: Lines) -> int:
    """The most steps that a ray of ``lines`` takes."""
    return max(field.settings.max_samples, lines[3].shape[2])
