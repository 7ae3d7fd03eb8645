"""Colour and density on a voxel grid as a Field: how extracted and predicted grids are drawn."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from maskfield.geometry.grids import grid_from_world
from maskfield.ops.trilinear import trilinear
from maskfield.rendering.field import FieldOutput, FusedRender, RaySamples
from maskfield.rendering.renderer import Compositing
from maskfield.rendering.samplers import Sampler

_TINY = 1e-8


class GridField:
    """Answers samples by trilinear look-up; empty outside the grid's box.

    Colours are looked up weighted by density, so that the (meaningless) colour of empty voxels does
    not bleed into the edges of objects.

    Args:
        colour: [3, x, y, z] in [0, 1]; voxel centres at (index + 0.5) / n of the box.
        density: [1, x, y, z] sigma in 1 / scene unit, >= 0.
        box: [2, 3] world-frame min and max.
    """

    def __init__(
        self,
        colour: Float[Tensor, "3 x y z"],
        density: Float[Tensor, "1 x y z"],
        box: Float[Tensor, "2 3"],
    ) -> None:
        self.box = box.float()
        volume = torch.cat([colour * density, density], dim=0)
        self.volume = volume.permute(1, 2, 3, 0).contiguous()  # [x, y, z, 4] channels last

    @property
    def resolution(self) -> tuple[int, int, int]:
        x, y, z, _ = self.volume.shape
        return x, y, z

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
