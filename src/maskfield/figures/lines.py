"""World-frame lines drawn into a camera's picture: clipped at the near plane, bent by the lens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from maskfield.figures.pictures import Picture
from maskfield.geometry.cameras import Cameras

_PIECES = 12  # of a line, so that a lens can bend it
_SMOOTH = 3  # lines are drawn this many times larger, then reduced
_HALO = "#ffffff"
_BEYOND = 2.0  # image sizes outside the picture beyond which nothing is drawn
_SAME_RAY = 1 - 1e-5  # cosine


@dataclass(frozen=True, kw_only=True)
class Stroke:
    """Lines [line, 2, 3] of one colour and width (pixels)."""

    lines: Float[Tensor, "line 2 3"]
    colour: str
    width: float = 2.0


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A short text at a world point."""

    point: Float[Tensor, " 3"]
    text: str
    colour: str


def draw_lines(
    picture: Picture,
    camera: Cameras,
    strokes: Sequence[Stroke],
    marks: Sequence[Mark] = (),
    *,
    near: float,
) -> Picture:
    """A picture with strokes and marks over it.

    Args:
        camera: one camera, of the picture's size.
        near: depth along camera z below which nothing is drawn.
    """
    height, width = picture.shape[:2]
    scale = _SMOOTH
    ink = Image.new("RGBA", (width * scale, height * scale), (255, 255, 255, 0))
    draw = ImageDraw.Draw(ink)
    pieces = [(s, visible_pieces(camera, s.lines, near).numpy() * scale) for s in strokes]
    for halo in (True, False):
        for stroke, segments in pieces:
            wide = round((stroke.width + (1.6 if halo else 0.0)) * scale)
            for (x0, y0), (x1, y1) in segments.tolist():
                draw.line((x0, y0, x1, y1), _HALO if halo else stroke.colour, wide)
    _draw_marks(draw, camera, marks, near, scale)
    small = ink.resize((width, height), Image.Resampling.BOX)
    return np.asarray(Image.alpha_composite(_opaque(picture), small).convert("RGB")).copy()


def visible_pieces(
    camera: Cameras, lines: Float[Tensor, "line 2 3"], near: float
) -> Float[Tensor, "piece 2 2"]:
    """Image segments (u, v) of what lies in front of the near plane and near the picture."""
    kept = _clipped(camera, lines, near)
    count = len(kept)
    steps = torch.linspace(0, 1, _PIECES + 1)[:, None]
    points = kept[:, :1] * (1 - steps) + kept[:, 1:] * steps  # [line, step, 3]
    flat = points.reshape(-1, 3)
    pixels = camera.project(flat)[0][0]
    shown = _in_reach(camera, pixels) & _sees(camera, flat, pixels)
    shown = shown.reshape(count, _PIECES + 1)
    pixels = pixels.reshape(count, _PIECES + 1, 2)
    both = shown[:, :-1] & shown[:, 1:]
    return torch.stack([pixels[:, :-1], pixels[:, 1:]], dim=2)[both]


def _clipped(
    camera: Cameras, lines: Float[Tensor, "line 2 3"], near: float
) -> Float[Tensor, "kept 2 3"]:
    """Lines cut where they pass the plane of depth ``near``; those behind it are gone."""
    depth = ((lines - camera.centres[0]) @ camera.forward_axes[0]) - near  # [line, 2]
    kept = (depth > 0).any(1)
    lines, depth = lines[kept], depth[kept]
    crossing = (depth <= 0).any(1)
    share = depth[:, 0] / torch.where(crossing, depth[:, 0] - depth[:, 1], torch.ones(len(depth)))
    cut = lines[:, 0] + share[:, None] * (lines[:, 1] - lines[:, 0])
    return torch.where((depth <= 0)[..., None], cut[:, None], lines)


def _in_reach(camera: Cameras, pixels: Float[Tensor, "n 2"]) -> Bool[Tensor, " n"]:
    size = pixels.new_tensor([camera.width, camera.height])
    return ((pixels > -_BEYOND * size) & (pixels < (1 + _BEYOND) * size)).all(1)


def _sees(
    camera: Cameras, points: Float[Tensor, "n 3"], pixels: Float[Tensor, "n 2"]
) -> Bool[Tensor, " n"]:
    """Whether the lens maps the point there and back; far outside the picture it folds over."""
    if camera.distortion is None:
        return torch.ones(len(points), dtype=torch.bool)
    rays = camera.rays(torch.zeros(len(points), dtype=torch.long), pixels)
    towards = torch.nn.functional.normalize(points - camera.centres[0], dim=-1)
    return (rays.directions * towards).sum(-1) > _SAME_RAY


def _draw_marks(
    draw: ImageDraw.ImageDraw, camera: Cameras, marks: Sequence[Mark], near: float, scale: int
) -> None:
    font = ImageFont.load_default(size=11 * scale)
    for mark in marks:
        pixels, depth = camera.project(mark.point[None])
        if float(depth[0, 0]) > near and bool(_sees(camera, mark.point[None], pixels[0])[0]):
            u, v = (float(c) * scale for c in pixels[0, 0])
            draw.text(
                (u, v),
                mark.text,
                mark.colour,
                font,
                anchor="mm",
                stroke_width=scale,
                stroke_fill=_HALO,
            )


def _opaque(picture: Picture) -> Image.Image:
    return Image.fromarray(picture).convert("RGBA")
