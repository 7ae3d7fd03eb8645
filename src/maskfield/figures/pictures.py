"""Pictures as arrays: radiance grids seen from outside, slices, labelled rows of images.

A picture is a uint8 array [height, width, 3]. Radiance grids are drawn by the one renderer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from maskfield.core.files import StrPath, atomic_path
from maskfield.data.radiance_grid import RadianceGrid
from maskfield.geometry.camera_paths import overview
from maskfield.rendering.grid_field import GridField
from maskfield.rendering.renderer import Compositing, render
from maskfield.rendering.samplers import StratifiedSampler

Picture = UInt8[np.ndarray, "height width 3"]
View = Literal["corner", "top", "side"]

_ANGLES: dict[View, tuple[float, float]] = {  # azimuth, elevation in degrees
    "corner": (-125.0, 42.0),
    "top": (-90.0, 89.9),
    "side": (-90.0, 8.0),
}
_WHITE = (255, 255, 255)
_INK = (40, 44, 52)
_GAP = 6


def to_picture(image: Float[Tensor, "h w 3"] | np.ndarray) -> Picture:
    """Colours in [0, 1] (or uint8 already) to a picture; NaN becomes black."""
    array = image.detach().cpu().numpy() if isinstance(image, Tensor) else np.asarray(image)
    if array.dtype == np.uint8:
        return array
    return (np.nan_to_num(array).clip(0, 1) * 255 + 0.5).astype(np.uint8)


def save_picture(picture: Picture, path: StrPath) -> None:
    """Write a PNG or JPEG atomically (the suffix says which).

    Raises:
        StorageError: the folder cannot be written.
    """
    jpeg = str(path).lower().endswith((".jpg", ".jpeg"))
    with atomic_path(path) as temporary:
        Image.fromarray(picture).save(temporary, format="JPEG" if jpeg else "PNG", quality=92)


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
    azimuth, elevation = _ANGLES[view]
    box = grid.box.float()
    camera = overview(box, width, height, azimuth_degrees=azimuth, elevation_degrees=elevation)
    inner = _cut_box(box, camera.forward_axes[0]) if cutaway else box
    sampler = StratifiedSampler(count=2 * max(grid.resolution), jitter=False)
    rays = camera.image_rays(0).clipped(inner)
    with torch.no_grad():
        out = render(GridField(grid), rays, sampler, Compositing(background=(1.0, 1.0, 1.0)))
    return to_picture(out.colour.reshape(height, width, 3))


def grid_slices(grid: RadianceGrid, *, size: int = 240) -> Picture:
    """Cuts through the middle of a grid, normal to x, y and z: colour on white by opacity."""
    rgb, alpha = grid.colour(), _opacity(grid)
    shown = rgb * alpha + 1 - alpha
    cuts = []
    for axis in range(3):
        cut = shown.select(axis + 1, shown.shape[axis + 1] // 2)  # [3, a, b], last axis upwards
        cut = cut.permute(2, 1, 0).flip(0)
        cuts.append(resized(to_picture(cut), height=size))
    return beside(cuts)


def beside(pictures: Sequence[Picture], titles: Sequence[str] = ()) -> Picture:
    """Pictures in one row on white, each with an optional title above it."""
    return table_of([list(pictures)], titles=titles)


def table_of(
    rows: Sequence[Sequence[Picture]],
    *,
    titles: Sequence[str] = (),
    labels: Sequence[str] = (),
) -> Picture:
    """A table of pictures: one title per column, one label per row; cells as large as the largest."""
    height = max(p.shape[0] for row in rows for p in row)
    width = max(p.shape[1] for row in rows for p in row)
    columns = max(len(row) for row in rows)
    top, left = (24 if titles else 0), (92 if labels else 0)
    size = (left + columns * (width + _GAP) - _GAP, top + len(rows) * (height + _GAP) - _GAP)
    sheet = Image.new("RGB", size, _WHITE)
    for r, row in enumerate(rows):
        for c, picture in enumerate(row):
            sheet.paste(
                Image.fromarray(picture), (left + c * (width + _GAP), top + r * (height + _GAP))
            )
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=14)
    for c, text in enumerate(titles):
        draw.text((left + c * (width + _GAP) + width / 2, 4), text, _INK, font, anchor="ma")
    for r, text in enumerate(labels):
        at = (4, top + r * (height + _GAP) + height / 2)
        draw.text(at, text.replace(" ", "\n"), _INK, font, anchor="lm")
    return np.asarray(sheet).copy()


def resized(picture: Picture, *, height: int) -> Picture:
    """Scaled to a height, proportions kept; enlarged voxels stay square."""
    width = max(1, round(picture.shape[1] * height / picture.shape[0]))
    how = Image.Resampling.NEAREST if height >= picture.shape[0] else Image.Resampling.BOX
    return np.asarray(Image.fromarray(picture).resize((width, height), how))


def depth_picture(depth: Float[np.ndarray, "h w"], far: float | None = None) -> Picture:
    """Depth in colours, near bright and far dark; unknown (0 or not finite) is white."""
    from matplotlib import colormaps

    known = np.isfinite(depth) & (depth > 0)
    if not known.any():
        return np.full((*depth.shape, 3), 255, np.uint8)
    near, limit = float(depth[known].min()), far or float(np.percentile(depth[known], 98))
    scaled = 1 - (depth - near) / max(limit - near, 1e-9)
    colours = colormaps["magma"](np.nan_to_num(scaled).clip(0, 1))[..., :3]
    return to_picture(np.where(known[..., None], colours, 1.0))


def without(grid: RadianceGrid, hidden: Tensor) -> RadianceGrid:
    """The grid with the voxels in ``hidden`` (bool [x, y, z]) made empty."""
    empty = 0.0 if grid.density_kind != "raw" else -1e4
    density = grid.density.float().masked_fill(hidden[None], empty)
    if grid.density.dtype == torch.uint8:
        density = density / 255
    return replace(grid, density=density)


def _opacity(grid: RadianceGrid) -> Float[Tensor, "1 x y z"]:
    """Opacity of one voxel, whatever the grid stores."""
    from maskfield.rendering.grid_field import density_per_unit

    voxel = float(((grid.box[1] - grid.box[0]) / torch.tensor(grid.resolution)).mean())
    return 1 - torch.exp(-density_per_unit(grid) * voxel)


def _cut_box(box: Float[Tensor, "2 3"], forward: Float[Tensor, " 3"]) -> Float[Tensor, "2 3"]:
    """The box without its top tenth-and-a-bit and without the sides that face the camera."""
    extent = box[1] - box[0]
    low, high = box[0].clone(), box[1].clone()
    high[2] -= 0.22 * extent[2]
    for axis in (0, 1):
        if float(forward[axis]) > 0.3:
            low[axis] += 0.08 * extent[axis]
        elif float(forward[axis]) < -0.3:
            high[axis] -= 0.08 * extent[axis]
    return torch.stack([low, high])
