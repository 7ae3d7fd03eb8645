"""Area of the intersection of two rotated rectangles: exact, differentiable, without sorting.

In the frame of rectangle b (centred, aligned with the axes, half sizes h) the intersection is
bounded at every x in [-hx, hx] by the top and bottom of rectangle a, cut to [-hy, hy]. Its length
there is cut(top) - cut(bottom), so by Green's theorem

    area = -sum over the four edges of a (counter-clockwise) of  ∫ cut(y(x), -hy, hy) dx,

each integral over the part of the edge with |x| <= hx. Along an edge the integrand is linear
between at most two break points, so trapezoids are exact. Nothing here is decided by comparing
almost equal numbers: coincident edges, shared corners and identical rectangles are as accurate as
any other pair.

Legend: a rectangle is (cx, cy, w, l, theta), theta counter-clockwise in radians, w along its own x;
t in [0, 1] is the position on an edge, c and s cosine and sine of the angle between a and b.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

SIGNS = ((1.0, 1.0), (-1.0, 1.0), (-1.0, -1.0), (1.0, -1.0))  # order of the corners, both axes
_FLAT = 1e-12  # an edge this flat, relative to its surroundings, is not divided by its slope


def rectangle_corners(boxes: Float[Tensor, "*#n 5"]) -> Float[Tensor, "*#n 4 2"]:
    """Corners (+,+), (-,+), (-,-), (+,-) of the half sizes, turned and moved."""
    x, y = _turned(_half_corners(boxes[..., 2:4]), boxes[..., 4, None])
    return torch.stack([x + boxes[..., 0, None], y + boxes[..., 1, None]], dim=-1)


def rectangle_overlap(a: Float[Tensor, "*#n 5"], b: Float[Tensor, "*#n 5"]) -> Float[Tensor, "*#n"]:
    """Area of a ∩ b, rectangle by rectangle; leading axes broadcast.

    Exactly 0 for rectangles that are apart or only touch. First and second derivatives exist
    wherever the area is smooth; elsewhere a one-sided or mean slope comes out, always finite.
    """
    between = a[..., 4] - b[..., 4]
    offset = a[..., :2] - b[..., :2]
    in_b = torch.stack(_turned(offset[..., None, :], -b[..., 4, None]), dim=-1)[..., 0, :]
    x, y = _turned(_half_corners(a[..., 2:4]), between[..., None])
    start = torch.stack([x + in_b[..., 0, None], y + in_b[..., 1, None]], dim=-1)
    area = _cut_area(start, b[..., None, 2:4] / 2).clamp_min(0)
    area = torch.minimum(area, torch.minimum(a[..., 2] * a[..., 3], b[..., 2] * b[..., 3]))
    return torch.where(_apart(a, b, offset, in_b, between), torch.zeros_like(area), area)


def _half_corners(size: Tensor) -> Tensor:
    """[..., 4, 2] corners of a centred, unturned rectangle."""
    return size.new_tensor(SIGNS) * (size[..., None, :] / 2)


def _turned(points: Tensor, angle: Tensor) -> tuple[Tensor, Tensor]:
    """x and y of ``points`` turned counter-clockwise."""
    c, s = torch.cos(angle), torch.sin(angle)
    x, y = points[..., 0], points[..., 1]
    return c * x - s * y, s * x + c * y


def _cut_area(start: Tensor, half: Tensor) -> Tensor:
    """Area of the polygon ``start`` [..., 4, 2] cut to the box of half sizes [..., 1, 2]."""
    x, y = start.unbind(-1)
    dx, dy = (start.roll(-1, dims=-2) - start).unbind(-1)
    hx, hy = half.unbind(-1)
    first, last = _crossings(x, dx, hx)
    first, last = first.clamp(0, 1), last.clamp(0, 1)
    low, high = _crossings(y, dy, hy)
    low = torch.minimum(torch.maximum(low, first), last)
    high = torch.minimum(torch.maximum(high, first), last)
    heights = [torch.minimum(torch.maximum(y + t * dy, -hy), hy) for t in (first, low, high, last)]
    twice = (low - first) * (heights[0] + heights[1])
    twice = twice + (high - low) * (heights[1] + heights[2])
    twice = twice + (last - high) * (heights[2] + heights[3])
    return -(dx * twice).sum(-1) / 2


def _crossings(start: Tensor, step: Tensor, half: Tensor) -> tuple[Tensor, Tensor]:
    """The t at which start + t step meets -half and +half, ascending; any t where it is flat."""
    flat = step.abs() <= _FLAT * (half + start.abs())
    step = torch.where(flat, torch.ones_like(step), step)
    one, two = (-half - start) / step, (half - start) / step
    return torch.minimum(one, two), torch.maximum(one, two)


def _apart(a: Tensor, b: Tensor, offset: Tensor, in_b: Tensor, between: Tensor) -> Tensor:
    """Whether an axis of a or b separates the two (touching counts as apart)."""
    c, s = torch.cos(between).abs(), torch.sin(between).abs()
    in_a = torch.stack(_turned(offset[..., None, :], -a[..., 4, None]), dim=-1)[..., 0, :]
    answer = torch.zeros_like(c, dtype=torch.bool)
    for centre, own, other in ((in_b, b, a), (in_a, a, b)):
        w, length = other[..., 2], other[..., 3]
        answer = answer | (2 * centre[..., 0].abs() >= own[..., 2] + c * w + s * length)
        answer = answer | (2 * centre[..., 1].abs() >= own[..., 3] + s * w + c * length)
    return answer
