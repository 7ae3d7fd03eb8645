"""Colours of rays with their derivatives by a left twist of the camera, for any field.

Voxel fields have a kernel for it, and coarser copies for the first stages; of other fields torch
forms the derivatives, one backward pass per colour channel.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from maskfield.fields.pooling import pooled
from maskfield.fields.voxel import VoxelField
from maskfield.geometry.rays import Rays
from maskfield.methods.inerf.view import FieldView, View, frozen_weights

Moved = tuple[Float[Tensor, "ray 3"], Float[Tensor, "ray 3 6"]]


class MotionView(Protocol):
    """What Gauss-Newton needs of a field."""

    pivot: Float[Tensor, " 3"]

    def rays(
        self, poses: Float[Tensor, "pose r 4"], directions: Float[Tensor, "pose ray 3"]
    ) -> Rays:
        """World rays, pose after pose."""
        ...

    def moved(self, rays: Rays, pool: int = 1) -> Moved:
        """Colours, and their derivatives by a left twist (v, w) about the world origin.

        Args:
            pool: how much coarser the field may be; 1: as it is.
        """
        ...


class VoxelMotionView:
    """A voxel field and its coarser copies, made when they are asked for first.

    Attributes:
        pivot: the middle of the field's box, about which steps turn the camera.
    """

    def __init__(self, view: FieldView) -> None:
        if not isinstance(view.field, VoxelField):
            raise TypeError(f"a VoxelField is needed, not {type(view.field).__name__}")
        self.view, self.field = view, view.field
        self.pivot = self.field.box.mean(0).float()
        self.copy = lru_cache(maxsize=None)(lambda pool: pooled(self.field, pool))

    def rays(
        self, poses: Float[Tensor, "pose r 4"], directions: Float[Tensor, "pose ray 3"]
    ) -> Rays:
        return self.view.rays(poses, directions)

    def moved(self, rays: Rays, pool: int = 1) -> Moved:
        return self.copy(pool).motion(rays, self.view.compositing)


class TorchMotionView:
    """Any other field: its derivatives come from torch.

    Attributes:
        pivot: the world origin unless given.
    """

    def __init__(self, view: View, pivot: Float[Tensor, " 3"] | None = None) -> None:
        self.view = view
        self.pivot = torch.zeros(3) if pivot is None else pivot

    def rays(
        self, poses: Float[Tensor, "pose r 4"], directions: Float[Tensor, "pose ray 3"]
    ) -> Rays:
        return self.view.rays(poses, directions)

    def moved(self, rays: Rays, pool: int = 1) -> Moved:
        origins = rays.origins.detach().requires_grad_()
        directions = rays.directions.detach().requires_grad_()
        field = getattr(self.view, "field", None)
        with torch.enable_grad(), frozen_weights(field):
            colours = self.view.colours(replace(rays, origins=origins, directions=directions))
            rows = [
                torch.autograd.grad(colours[:, c].sum(), (origins, directions), retain_graph=c < 2)
                for c in range(3)
            ]
        by_origin = torch.stack([row[0] for row in rows], dim=1)
        by_direction = torch.stack([row[1] for row in rows], dim=1)
        turn = torch.linalg.cross(rays.origins[:, None], by_origin)
        turn = turn + torch.linalg.cross(rays.directions[:, None], by_direction)
        return colours.detach(), torch.cat([by_origin, turn], dim=-1)


def motion_view(view: FieldView) -> MotionView:
    """The kernel's view of a voxel field on the CPU, torch's of anything else."""
    field = view.field
    if isinstance(field, VoxelField) and field.density.device.type == "cpu":
        return VoxelMotionView(view)
    return TorchMotionView(view)
