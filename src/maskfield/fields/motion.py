"""What the pixels of a VoxelField do when their rays move: derivatives by ray and by camera.

Sample distances stay fixed, as in the renderer, whose samplers place samples without gradient.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from maskfield.fields.threads import Workers
from maskfield.geometry.rays import Rays
from maskfield.geometry.sh import sh_slopes

if TYPE_CHECKING:
    from maskfield.fields.voxel import VoxelField
    from maskfield.rendering.compositing import Compositing
    from maskfield.rendering.samplers import Sampler


@dataclass(frozen=True, kw_only=True)
class RayMotion:
    """Pixels and their derivatives by the rays that show them.

    Attributes:
        numbers: [ray, 5] = r, g, b, sum of w t, opacity.
        by_origin, by_direction: [ray, 5, 3] derivatives by a ray's origin and direction, world
            frame.
    """

    numbers: Float[Tensor, "ray 5"]
    by_origin: Float[Tensor, "ray 5 3"]
    by_direction: Float[Tensor, "ray 5 3"]

    def by_twist(self, rays: Rays) -> Float[Tensor, "ray 5 6"]:
        """Derivatives by a left twist (v, w) of the camera: exp(v, w) moves all of the ray."""
        moment = torch.linalg.cross(rays.origins[:, None].to(self.by_origin), self.by_origin)
        turn = torch.linalg.cross(rays.directions[:, None].to(self.by_origin), self.by_direction)
        return torch.cat([self.by_origin, moment + turn], dim=-1)


@torch.no_grad()
def ray_motion(
    field: VoxelField, rays: Rays, sampler: Sampler, compositing: Compositing
) -> RayMotion:
    """Render rays together with their derivatives.

    On the CPU, for samplers and compositing that ``VoxelField.fused`` supports.
    """
    from maskfield.fields.voxel_fused import packed_settings, ray_lines

    background = torch.tensor(compositing.background or (0.0, 0.0, 0.0), dtype=torch.float64)
    settings = packed_settings(field)
    settings[3] = compositing.early_stop
    numbers, slopes, views = _moved(field, settings, ray_lines(field, rays, sampler, background))
    frame = field.field_from_world[:3, :3].to(slopes)
    by_origin, by_direction = slopes[..., :3] @ frame, slopes[..., 3:] @ frame
    terms = views.shape[-1] // 3
    seen = torch.stack([views[:, c, c * terms : (c + 1) * terms] for c in range(3)], dim=1)
    by_direction[:, :3] += seen @ sh_slopes(rays.directions.to(slopes), field.settings.degree)
    return RayMotion(numbers=numbers, by_origin=by_origin, by_direction=by_direction)


def _moved(field: VoxelField, settings: np.ndarray, lines: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Numbers [ray, 5], slopes [ray, 5, 6] in the field's frame, views [ray, 3, channel]."""
    from maskfield.fields.voxel_fused import packed_volume, step_limit
    from maskfield.fields.voxel_kernels import scratch_space
    from maskfield.fields.voxel_motion import NUMBERS, move_rays

    count, channels = len(lines[0]), field.colour.shape[-1]
    numbers = np.zeros((count, NUMBERS), settings.dtype)
    slopes = np.zeros((count, NUMBERS, 6), settings.dtype)
    views = np.zeros((count, 3, channels), settings.dtype)
    volume, limit = packed_volume(field), step_limit(field, lines)
    with Workers(torch.get_num_threads()) as workers:
        workers.run(
            lambda _, a, b: move_rays(
                volume, settings, lines, a, b, scratch_space(volume, limit), numbers, slopes, views
            ),
            count,
        )
    return torch.from_numpy(numbers), torch.from_numpy(slopes), torch.from_numpy(views)


class MovingPixels(torch.autograd.Function):
    """[ray, 5] = r, g, b, sum of w t, opacity; gradients for ray origins and directions."""

    @staticmethod
    def forward(
        ctx: Any,
        origins: Tensor,
        directions: Tensor,
        field: VoxelField,
        rays: Rays,
        sampler: Sampler,
        compositing: Compositing,
    ) -> Tensor:
        found = ray_motion(field, rays, sampler, compositing)
        ctx.save_for_backward(found.by_origin, found.by_direction)
        ctx.kinds = origins.dtype, directions.dtype
        return found.numbers

    @staticmethod
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, upstream: Tensor
    ) -> tuple[Tensor, Tensor, None, None, None, None]:
        by_origin, by_direction = ctx.saved_tensors
        weight = upstream[:, :, None].to(by_origin)
        to_origins, to_directions = (weight * by_origin).sum(1), (weight * by_direction).sum(1)
        return to_origins.to(ctx.kinds[0]), to_directions.to(ctx.kinds[1]), None, None, None, None
