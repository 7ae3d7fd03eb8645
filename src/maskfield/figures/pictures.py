"""Pictures as arrays: conversion, files, labelled rows and tables of images, depth in colours.

A picture is a uint8 array [height, width, 3].
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from maskfield.core.files import StrPath, atomic_path

Picture = UInt8[np.ndarray, "height width 3"]

_WHITE = (255, 255, 255)
_INK = (40, 44, 52)
_GAP = 6
_TITLE_HEIGHT = 24
_LABEL_WIDTH = 92


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


def beside(pictures: Sequence[Picture], titles: Sequence[str] = ()) -> Picture:
    """Pictures in one row on white, each with an optional title above it."""
    return table_of([list(pictures)], titles=titles)


def table_of(
    rows: Sequence[Sequence[Picture]],
    *,
    titles: Sequence[str] = (),
    labels: Sequence[str] = (),
) -> Picture:
    """Pictures in rows, a title per column, a label per row; cells as large as the largest."""
    height = max(p.shape[0] for row in rows for p in row)
    width = max(p.shape[1] for row in rows for p in row)
    columns = max(len(row) for row in rows)
    top, left = (_TITLE_HEIGHT if titles else 0), (_LABEL_WIDTH if labels else 0)
    xs = [left + c * (width + _GAP) for c in range(columns)]
    ys = [top + r * (height + _GAP) for r in range(len(rows))]
    sheet = Image.new("RGB", (xs[-1] + width, ys[-1] + height), _WHITE)
    for row, y in zip(rows, ys, strict=True):
        for picture, x in zip(row, xs, strict=False):
            sheet.paste(Image.fromarray(picture), (x, y))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=14)
    for text, x in zip(titles, xs, strict=False):
        draw.text((x + width / 2, 4), text, _INK, font, anchor="ma")
    for text, y in zip(labels, ys, strict=False):
        draw.text((4, y + height / 2), text.replace(" ", "\n"), _INK, font, anchor="lm")
    return np.asarray(sheet).copy()


def stacked(pictures: Sequence[Picture]) -> Picture:
    """Pictures one below the other on white, left edges aligned."""
    width = max(p.shape[1] for p in pictures)
    gap = np.full((_GAP, width, 3), 255, np.uint8)
    parts = []
    for picture in pictures:
        missing = ((0, 0), (0, width - picture.shape[1]), (0, 0))
        parts += [np.pad(picture, missing, constant_values=255), gap]
    return np.concatenate(parts[:-1])


def resized(picture: Picture, *, height: int) -> Picture:
    """Scaled to a height, proportions kept; enlarged pixels stay square."""
    width = max(1, round(picture.shape[1] * height / picture.shape[0]))
    how = Image.Resampling.NEAREST if height >= picture.shape[0] else Image.Resampling.BOX
    return np.asarray(Image.fromarray(picture).resize((width, height), how))


def trimmed(picture: Picture, *, margin: int = 8) -> Picture:
    """Without the white border, but for ``margin`` pixels of it."""
    ink = (picture < 255).any(-1)
    rows, columns = np.any(ink, axis=1), np.any(ink, axis=0)
    if not rows.any():
        return picture
    top, bottom = np.flatnonzero(rows)[[0, -1]]
    left, right = np.flatnonzero(columns)[[0, -1]]
    return picture[
        max(0, top - margin) : bottom + margin + 1, max(0, left - margin) : right + margin + 1
    ].copy()


def depth_picture(depth: Float[np.ndarray, "h w"], far: float | None = None) -> Picture:
    """Depth in colours, near bright and far dark; unknown (0 or not finite) is white.

    Args:
        far: the depth that is darkest; the 98th percentile unless given.
    """
    from matplotlib import colormaps

    known = np.isfinite(depth) & (depth > 0)
    if not known.any():
        return np.full((*depth.shape, 3), 255, np.uint8)
    near, limit = float(depth[known].min()), far or float(np.percentile(depth[known], 98))
    scaled = 1 - (np.nan_to_num(depth) - near) / max(limit - near, 1e-9)
    colours = colormaps["magma"](scaled.clip(0, 1))[..., :3]
    return to_picture(np.where(known[..., None], colours, 1.0))


def heat_picture(values: Float[np.ndarray, "h w"]) -> Picture:
    """The least value black, over red and yellow, the greatest white: OpenCV's "hot"."""
    return _hot_colours()[spread_bytes(values)]


def spread_bytes(values: Float[np.ndarray, "*n"]) -> UInt8[np.ndarray, "*n"]:
    """The least value to 0, the greatest to 255, cut off to whole numbers; all 0 without spread."""
    low, high = values.min(), values.max()
    span = high - low if high > low else 1
    return ((values - low) / span * 255).astype(np.uint8)


@cache
def _hot_colours() -> UInt8[np.ndarray, "256 3"]:
    """64 knots with straight lines between them, in single precision as OpenCV's table."""
    knots = np.arange(64) / 63
    ramps = (2.5 * knots, 2.5 * knots - 1, 5 * knots - 4)
    curves = np.stack([ramp.clip(0, 1) for ramp in ramps], axis=1).astype(np.float32)
    x = np.arange(64, dtype=np.float32) * (np.float32(1) / np.float32(63))
    at = np.arange(256, dtype=np.float32) * (np.float32(1) / np.float32(255))
    low = (np.searchsorted(x, at) - 1).clip(0, 62)
    rise = (at - x[low])[:, None] * (curves[low + 1] - curves[low]) / (x[low + 1] - x[low])[:, None]
    return np.rint((curves[low] + rise) * np.float32(255)).astype(np.uint8)
