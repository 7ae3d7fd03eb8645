"""The box of a fitted field: where it starts, and where the surfaces turn out to be."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from maskfield.data.scene import Scene
from maskfield.fields.config import VoxelFitConfig
from maskfield.fields.photos import Photographs
from maskfield.fields.sampler import VoxelMarch
from maskfield.fields.voxel import VoxelField
from maskfield.rendering.compositing import Compositing
from maskfield.rendering.renderer import render

_PIXELS = 20000
_BOUNDED_TAIL = 1e-3
_SEEN = 0.5  # opacity above which a ray has met a surface


def is_contracted(scene: Scene, config: VoxelFitConfig) -> bool:
    """Whether the field shall reach beyond its box."""
    return scene.unbounded if config.contraction == "auto" else config.contraction == "on"


def first_box(scene: Scene, config: VoxelFitConfig) -> Float[Tensor, "2 3"]:
    """The scene's box; for a contracted field the cube around it and all cameras."""
    box = scene.box.double()
    centre, half = box.mean(0), (box[1] - box[0]) / 2
    if is_contracted(scene, config):
        cameras = scene.cameras.centres.double()
        low, high = torch.minimum(box[0], cameras.amin(0)), torch.maximum(box[1], cameras.amax(0))
        centre, half = (low + high) / 2, ((high - low) / 2).max().expand(3)
    half = half * config.box_scale
    return torch.stack([centre - half, centre + half])


def surface_box(
    field: VoxelField, photographs: Photographs, tail: float, generator: np.random.Generator
) -> Float[Tensor, "2 3"] | None:
    """Box of what the photographs show: per axis between two quantiles of the surface points.

    Matter outside a bounded field's box is lost, so there the quantiles are extreme ones.

    Returns:
        None when hardly any ray meets a surface yet.
    """
    tail = tail if field.contracted else min(tail, _BOUNDED_TAIL)
    rays = photographs.draw(_PIXELS, generator).rays
    with torch.no_grad():
        out = render(field, rays, VoxelMarch(), Compositing(early_stop=field.settings.stop))
    points = (rays.origins + out.depth[:, None] * rays.directions)[out.opacity > _SEEN]
    if len(points) < _PIXELS // 50:
        return None
    ordered = points.double().sort(dim=0).values
    last = len(points) - 1
    low, high = ordered[round(tail * last)], ordered[round((1 - tail) * last)]
    grow = 0.05 * (high - low).max()
    return torch.stack([low - grow, high + grow])


@torch.no_grad()
def view_shares(field: VoxelField, scene: Scene, longest: int = 48) -> np.ndarray:
    """Share of the training cameras that have each voxel in their image, relative to the most seen.

    Counted on a grid of at most ``longest`` voxels a side and interpolated; at least 0.02.
    """
    shape = [max(2, round(n * min(1, longest / max(field.resolution)))) for n in field.resolution]
    points = field.world_of_grid((shape[0], shape[1], shape[2])).reshape(-1, 3).float()
    count = torch.zeros(len(points))
    for index in scene.indices("train"):
        camera = scene.cameras[index]
        uv, depth = camera.project(points)
        inside = (uv >= 0).all(-1) & (uv[..., 0] < camera.width) & (uv[..., 1] < camera.height)
        count += (inside & (depth > field.settings.near))[0]
    share = (count / count.max().clamp_min(1)).clamp_min(0.02).reshape(1, 1, *shape)
    size = list(field.resolution)
    return F.interpolate(share, size=size, mode="trilinear")[0, 0].numpy()
