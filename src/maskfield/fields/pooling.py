"""Coarser copies of a VoxelField, which show a blurred picture of the same scene."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from maskfield.core.errors import ConfigError
from maskfield.fields.voxel import CELL, VoxelField

_FAINT = 1e-8
_LINEAR = 20.0  # softplus is the identity from here on
_ALPHA = 1e-3  # steps less opaque than this are skipped


def raw_density(optical: Float[Tensor, "*n"], shift: float) -> Float[Tensor, "*n"]:
    """Raw density whose softplus (after ``shift``) is ``optical``, sigma in a field's units."""
    small = torch.log(torch.expm1(optical.clamp(_FAINT, _LINEAR)))
    return torch.where(optical > _LINEAR, optical, small) - shift


@torch.no_grad()
def pooled(field: VoxelField, factor: int) -> VoxelField:
    """The field on voxels ``factor`` times as large: mean density, colour by what it covers.

    Marching steps grow with the voxels. The copy has no gradients.

    Raises:
        ConfigError: an axis is too short for the factor.
    """
    x, y, z = field.resolution
    shape = (x // factor, y // factor, z // factor)
    if min(shape) < 2:
        raise ConfigError(
            "a field cannot be pooled so far",
            field="factor",
            value=(factor, field.resolution),
            remedy="leave at least 2 voxels along each axis",
        )
    if factor == 1:
        return field
    shift = field.settings.shift
    optical = F.softplus(field.density.detach() + shift)[..., None]
    weight = -torch.expm1(-optical * field.step / field.unit) + _FAINT
    colour = _mean(field.colour.detach() * weight, shape) / _mean(weight, shape)
    return with_volumes(field, raw_density(_mean(optical, shape)[..., 0], shift), colour)


def with_volumes(
    field: VoxelField, density: Float[Tensor, "x y z"], colour: Float[Tensor, "x y z channel"]
) -> VoxelField:
    """A field like ``field`` with other volumes, of any resolution; empty cells are marked."""
    other = VoxelField(field.box, 4, field.settings).to(field.background)
    other.field_from_world.copy_(field.field_from_world)
    other.background.copy_(field.background)
    other.density = nn.Parameter(density.contiguous(), requires_grad=False)
    other.colour = nn.Parameter(colour.contiguous(), requires_grad=False)
    cells = [n // CELL if n % CELL == 0 else n for n in density.shape]
    other.occupancy = torch.ones(cells, dtype=torch.uint8, device=density.device)
    other.update_occupancy(_ALPHA)
    return other


def filled(
    values: Float[Tensor, "x y z channel"], known: Bool[Tensor, "x y z"], times: int
) -> Float[Tensor, "x y z channel"]:
    """Unknown voxels take the mean of their known neighbours, ``times`` layers deep; others 0."""
    planes = values.permute(3, 0, 1, 2) * known
    share = known[None].to(values)
    for _ in range(times):
        near, count = F.avg_pool3d(planes, 3, 1, 1), F.avg_pool3d(share, 3, 1, 1)
        planes = torch.where(share > 0, planes, near / count.clamp_min(_FAINT))
        share = (count > 0).to(values)
    return planes.permute(1, 2, 3, 0)


def _mean(values: Float[Tensor, "x y z channel"], shape: tuple[int, int, int]) -> Tensor:
    """Means over boxes of voxels; where an axis does not divide, boxes overlap by a voxel."""
    planes = values.permute(3, 0, 1, 2)
    return F.adaptive_avg_pool3d(planes, shape).permute(1, 2, 3, 0)
