"""Midpoint offsets of an oriented box from an axis-aligned anchor (spec nerf_rpn 6.3).

An oriented box is described by its outer box and by where two of its corners touch that box:
alpha on the side y = ymin, beta on the side x = xmax. Polygons here are those of -theta (quirk Q4);
encoding and decoding mirror alike, so boxes keep the sign of theta.

Legend: w along the box's own x, d along its own y; polygon [n, 4, 2].
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from maskfield.methods.nerf_rpn.coders.aligned import centre_and_side

MAX_LOG = abs(math.log(16 / 1000))
TOUCH = 0.1  # voxels within which a corner counts as touching a side (quirk Q5)
EPS = 1e-7
Compat = Literal["official", "exact"]
Polygon = Float[Tensor, "n 4 2"]


def encode_midpoint(
    boxes: Float[Tensor, "n 7"], anchors: Float[Tensor, "n 6"], compat: Compat = "official"
) -> Float[Tensor, "n 8"]:
    """(dx, dy, dz, log dw, log dl, log dh, alpha, beta).

    Args:
        compat: "official" takes corners within 0.1 voxel of a side as touching it, which makes
            a sliver of some boxes with a small negative angle; "exact" takes the touching one.
    """
    poly = mirrored_polygon(boxes)
    outer = outer_box(boxes)
    centre, side = centre_and_side(outer)
    a_centre, a_side = centre_and_side(anchors)
    touch = TOUCH if compat == "official" else EPS
    x, y = poly[..., 0], poly[..., 1]
    touches_low = (y - outer[:, 1:2]).abs() <= touch
    touches_right = (x - outer[:, 3:4]).abs() <= touch
    alpha_x = x.masked_fill(~touches_low, -math.inf).amax(1)
    beta_y = y.masked_fill(~touches_right, -math.inf).amax(1)
    offsets = (torch.stack([alpha_x, beta_y], dim=1) - centre[:, :2]) / side[:, :2]
    return torch.cat([(centre - a_centre) / a_side, (side / a_side).log(), offsets], dim=1)


def decode_midpoint(
    deltas: Float[Tensor, "n 8"], anchors: Float[Tensor, "n 6"]
) -> Float[Tensor, "n 7"]:
    """Inverse of :func:`encode_midpoint`: w >= l and theta in [-pi/2, pi/2)."""
    a_centre, a_side = (anchors[:, :3] + anchors[:, 3:]) / 2, anchors[:, 3:] - anchors[:, :3]
    centre = a_centre + a_side * deltas[:, :3]
    side = a_side * deltas[:, 3:6].clamp(-MAX_LOG, MAX_LOG).exp()
    offset = deltas[:, 6:].clamp(-0.5, 0.5) * side[:, :2]
    half = side[:, :2] / 2
    (cx, cy), (hx, hy), (ox, oy) = (t.unbind(1) for t in (centre[:, :2], half, offset))
    # absolute corners, then relative: slivers depend on this rounding
    x = torch.stack([cx + ox, cx + hx, cx - ox, cx - hx], dim=1)
    y = torch.stack([cy - hy, cy + oy, cy + hy, cy - oy], dim=1)
    poly = _equal_diagonals(torch.stack([x, y], dim=-1), centre[:, None, :2])
    flat = rectangle_of(poly)
    return torch.cat([flat[:, :2], centre[:, 2:], flat[:, 2:4], side[:, 2:], flat[:, 4:]], dim=1)


def mirrored_polygon(boxes: Float[Tensor, "n 7"]) -> Polygon:
    """Corners of the box turned by -theta."""
    cos, sin = boxes[:, 6].cos(), boxes[:, 6].sin()
    w, d = boxes[:, 3] / 2, boxes[:, 4] / 2
    v1 = torch.stack([w * cos, -w * sin], dim=1)
    v2 = torch.stack([-d * sin, -d * cos], dim=1)
    corners = torch.stack([v1 + v2, v1 - v2, -v1 - v2, v2 - v1], dim=1)
    return corners + boxes[:, None, :2]


def mirrored_prism(boxes: Float[Tensor, "n 7"]) -> Float[Tensor, "n 8 3"]:
    """The mirrored polygon at the bottom, then at the top."""
    poly = mirrored_polygon(boxes)
    half = boxes[:, 5] / 2
    heights = [boxes[:, 2] - half, boxes[:, 2] + half]
    faces = [torch.cat([poly, z[:, None, None].expand(-1, 4, 1)], dim=2) for z in heights]
    return torch.cat(faces, dim=1)


def outer_box(boxes: Float[Tensor, "n 7"]) -> Float[Tensor, "n 6"]:
    """Outer box by half extents, as the official encoder computes it."""
    cos, sin = boxes[:, 6].cos().abs(), boxes[:, 6].sin().abs()
    w, d = boxes[:, 3] / 2, boxes[:, 4] / 2
    half = torch.stack([w * cos + d * sin, w * sin + d * cos, boxes[:, 5] / 2], dim=1)
    return torch.cat([boxes[:, :3] - half, boxes[:, :3] + half], dim=1)


def rectangle_of(poly: Polygon) -> Float[Tensor, "n 5"]:
    """(x, y, w, l, theta) of a rectangle given by corners in the mirrored order."""
    edge = poly[:, 1] - poly[:, 0]
    theta = torch.atan2(-edge[:, 1], edge[:, 0] + EPS)
    centre = poly.mean(1)
    cos, sin = theta.cos()[:, None], theta.sin()[:, None]
    x, y = (poly - centre[:, None]).unbind(-1)
    along, across = cos * x - sin * y, sin * x + cos * y
    w, d = along.amax(1) - along.amin(1), across.amax(1) - across.amin(1)
    return regular(torch.cat([centre, torch.stack([w, d, theta], dim=1)], dim=1))


def regular(rectangles: Float[Tensor, "n 5"]) -> Float[Tensor, "n 5"]:
    """The same rectangles with w >= l and theta in [-pi/2, pi/2)."""
    x, y, w, d, theta = rectangles.unbind(1)
    longer = w > d
    theta = torch.where(longer, theta, theta + math.pi / 2)
    theta = (theta + math.pi / 2) % math.pi - math.pi / 2
    return torch.stack([x, y, torch.where(longer, w, d), torch.where(longer, d, w), theta], dim=1)


def _equal_diagonals(poly: Polygon, centre: Float[Tensor, "n 1 2"]) -> Polygon:
    """Corners stretched away from the centre to the longest distance: a rectangle."""
    arms = poly - centre
    length = arms.norm(dim=-1, keepdim=True)
    longest = length.amax(dim=1, keepdim=True)
    return arms * (longest / length.clamp(min=torch.finfo(poly.dtype).tiny)) + centre


def collapses(deltas: Float[Tensor, "n 8"]) -> Bool[Tensor, " n"]:
    """Whether both offsets are cut to ends of one diagonal: the polygon is a segment.

    Its angle, and the gradient, are then rounding noise.
    """
    alpha, beta = deltas[:, 6].clamp(-0.5, 0.5), deltas[:, 7].clamp(-0.5, 0.5)
    return (alpha * beta) == -0.25
