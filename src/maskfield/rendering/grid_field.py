"""A RadianceGrid as a Field: what the renderer shows of extracted, masked and reconstructed grids."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from maskfield.data.radiance_grid import RadianceGrid
from maskfield.geometry.grids import grid_from_world
from maskfield.ops.trilinear import trilinear
from maskfield.rendering.field import FieldOutput, FusedRender, RaySamples
from maskfield.rendering.renderer import Compositing
from maskfield.rendering.samplers import Sampler

_OPAQUE = 1 - 1e-4  # alpha above this would be an infinite density
_TINY = 1e-8


class GridField:
    """Answers samples by trilinear look-up; empty outside the grid's box.

    Colours are looked up weighted by density, so that the (meaningless) colour of empty voxels does
    not bleed into the edges of objects.
    """

    def __init__(self, grid: RadianceGrid) -> None:
        self.box = grid.box.float()
        self.resolution = grid.resolution
        sigma = density_per_unit(grid)
        volume = torch.cat([grid.colour() * sigma, sigma], dim=0)
        self.volume = volume.permute(1, 2, 3, 0).contiguous()  # [x, y, z, 4] channels last

    def __call__(self, samples: RaySamples) -> FieldOutput:
        points = samples.points.reshape(-1, 3)
        inside = ((points >= self.box[0]) & (points <= self.box[1])).all(-1)
        values = trilinear(self.volume, grid_from_world(points, self.box, self.resolution))
        values = values.reshape(*samples.t.shape, 4)
        density = values[..., 3] * inside.reshape(samples.t.shape)
        colour = values[..., :3] / values[..., 3:].clamp_min(_TINY)
        return FieldOutput(colour=colour.clamp(0, 1), density=density)

    def prepare(self, views: object | None = None) -> GridField:
        return self

    def fused(self, sampler: Sampler, compositing: Compositing) -> FusedRender | None:
        return None


def density_per_unit(grid: RadianceGrid) -> Float[Tensor, "1 x y z"]:
    """Density in 1 / scene unit of any kind of grid.

    Alpha stands for a step of ``delta`` instant-ngp units; where the scale is not known, the step is
    taken to be one voxel (which it nearly is at the official resolution of 160).
    """
    voxel = float(((grid.box[1] - grid.box[0]) / torch.tensor(grid.resolution)).mean())
    scale = grid.ngp_scale
    if grid.density_kind == "alpha":
        step = voxel if scale is None else grid.delta / scale
        return -torch.log1p(-grid.to_alpha().clamp(0, _OPAQUE)) / step
    sigma = grid.sigma()
    if grid.density_kind == "raw":  # raw grids are in instant-ngp units
        return sigma * (grid.delta / voxel if scale is None else scale)
    return sigma
