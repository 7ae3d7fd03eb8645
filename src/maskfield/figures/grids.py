"""Pictures of radiance grids: seen from outside (by the one renderer) and in slices."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from maskfield.data.radiance_grid import RadianceGrid
from maskfield.figures.pictures import Picture, beside, resized, to_picture
from maskfield.geometry.camera_paths import overview
from maskfield.geometry.cameras import Cameras
from maskfield.rendering.grid_field import GridField
from maskfield.rendering.renderer import Compositing, render
from maskfield.rendering.samplers import StratifiedSampler

Named = Literal["corner", "top", "side"]
View = Named | tuple[float, float]  # or azimuth and elevation in degrees

_ANGLES: dict[Named, tuple[float, float]] = {  # azimuth, elevation in degrees
    "corner": (-125.0, 42.0),
    "top": (-90.0, 89.9),
    "side": (-90.0, 8.0),
}
_ON_WHITE = Compositing(background=(1.0, 1.0, 1.0))
_CHUNK_MB = 24  # what the caches hold; large chunks are twice as slow
_OPAQUE = 1 - 1e-4  # alpha above this would be an infinite density
_EMPTY_RAW = -1e4  # any activation but "none" makes nothing of it


def grid_picture(
    grid: RadianceGrid,
    *,
    view: View = "corner",
    width: int = 320,
    height: int = 240,
    cutaway: bool = True,
) -> Picture:
    """A radiance grid seen from outside on white.

    Args:
        cutaway: leave out the ceiling and the walls that face the camera, as a doll's house is
            shown; only what lies behind them is of interest in a room.
    """
    camera, box = view_camera(grid.box.float(), view, width, height, cutaway=cutaway)
    return to_picture(_rendered(grid, camera, box).reshape(height, width, 3))


def view_camera(
    box: Float[Tensor, "2 3"], view: View, width: int, height: int, *, cutaway: bool = True
) -> tuple[Cameras, Float[Tensor, "2 3"]]:
    """The camera of :func:`grid_picture`, and the part of the box that is shown."""
    azimuth, elevation = _ANGLES[view] if isinstance(view, str) else view
    angles = {"azimuth_degrees": azimuth, "elevation_degrees": elevation}
    camera = overview(box, width, height, **angles)
    if not cutaway:
        return camera, box
    inner = _cut_box(box, camera.forward_axes[0])
    return overview(inner, width, height, **angles), inner


def _rendered(
    grid: RadianceGrid, camera: Cameras, box: Float[Tensor, "2 3"]
) -> Float[Tensor, "ray 3"]:
    """Colours on white of one camera's rays within ``box``."""
    rays = camera.image_rays(0).clipped(box)
    hit = rays.far > rays.near
    colour = torch.ones(len(rays), 3)
    if not hit.any():
        return colour
    field = GridField(grid.colour(), density_per_unit(grid), grid.box.float())
    sampler = StratifiedSampler(count=round(1.5 * max(grid.resolution)), jitter=False)
    with torch.no_grad():
        out = render(field, rays[hit], sampler, _ON_WHITE, memory_mb=_CHUNK_MB)
    colour[hit] = out.colour
    return colour


def grid_slices(grid: RadianceGrid, *, size: int = 240) -> Picture:
    """Cuts through the middle of a grid, normal to x, y and z: colour on white by opacity."""
    opacity = voxel_opacity(grid)
    shown = grid.colour() * opacity + 1 - opacity
    cuts = []
    for axis in (1, 2, 3):
        cut = shown.select(axis, shown.shape[axis] // 2)  # [3, a, b]; b shall point upwards
        cuts.append(resized(to_picture(cut.permute(2, 1, 0).flip(0)), height=size))
    return beside(cuts)


def hidden_removed(grid: RadianceGrid, hidden: Bool[Tensor, "x y z"]) -> RadianceGrid:
    """The grid with the hidden voxels empty: what a masked autoencoder is shown."""
    density = grid.density
    if density.dtype == torch.uint8:
        density = density.float() / 255
    empty = _EMPTY_RAW if grid.density_kind == "raw" and grid.activation != "none" else 0.0
    return replace(grid, density=density.float().masked_fill(hidden[None], empty))


def unit_grid(rgba: Float[Tensor, "4 x y z"]) -> RadianceGrid:
    """A network's input or output as a grid in a box of unit voxels (for drawing)."""
    size = torch.tensor(rgba.shape[1:], dtype=torch.float32)
    box = torch.stack([torch.zeros(3), size])
    return RadianceGrid(rgb=rgba[:3], density=rgba[3:], box=box, density_kind="alpha")


def density_per_unit(grid: RadianceGrid) -> Float[Tensor, "1 x y z"]:
    """Density in 1 / scene unit of any kind of grid, for drawing.

    Alpha stands for a step of ``delta`` instant-ngp units; where the scale is not known, the step
    is taken to be one voxel (which it nearly is at the official resolution of 160).
    """
    step = _voxel_edge(grid) if grid.ngp_scale is None else grid.delta / grid.ngp_scale
    if grid.density_kind == "alpha":
        return -torch.log1p(-grid.to_alpha().clamp(0, _OPAQUE)) / step
    if grid.density_kind == "raw":  # raw grids are in instant-ngp units
        return grid.sigma() * grid.delta / step
    return grid.sigma()


def voxel_opacity(grid: RadianceGrid) -> Float[Tensor, "1 x y z"]:
    """Opacity of one voxel's edge length, whatever the grid stores."""
    return 1 - torch.exp(-density_per_unit(grid) * _voxel_edge(grid))


def _voxel_edge(grid: RadianceGrid) -> float:
    return float(((grid.box[1] - grid.box[0]) / torch.tensor(grid.resolution)).mean())


def _cut_box(box: Float[Tensor, "2 3"], forward: Float[Tensor, " 3"]) -> Float[Tensor, "2 3"]:
    """The box without its top and without the sides that face the camera."""
    extent = box[1] - box[0]
    low, high = box[0].clone(), box[1].clone()
    high[2] -= 0.22 * extent[2]
    for axis in (0, 1):
        if float(forward[axis]) > 0.3:
            low[axis] += 0.08 * extent[axis]
        elif float(forward[axis]) < -0.3:
            high[axis] -= 0.08 * extent[axis]
    return torch.stack([low, high])
