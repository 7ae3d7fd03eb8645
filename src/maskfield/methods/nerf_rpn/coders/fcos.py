"""Distances and corner offsets of a box from a location: the anchor-free coder (spec nerf_rpn 7.2).

Legend: (x0, y0, z0, x1, y1, z1) distances to the outer box; alpha where a corner touches the side
y = ymax, beta where one touches x = xmax, both over the side's length, from its middle.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from maskfield.methods.nerf_rpn.geometry import corners_2d, outer_aligned

TOUCH = 0.1  # voxels within which a corner counts as touching a side (quirk Q5)
EPS = 1e-7
SEGMENT = 1e-3  # voxels: a thinner box has no direction
Compat = Literal["official", "exact"]


def encode_distances(
    locations: Float[Tensor, "n 3"], boxes: Float[Tensor, "n 6"]
) -> Float[Tensor, "n 6"]:
    """Distances of a location to the low and high sides."""
    return torch.cat([locations - boxes[:, :3], boxes[:, 3:] - locations], dim=1)


def decode_distances(
    locations: Float[Tensor, "n 3"], distances: Float[Tensor, "n 6"]
) -> Float[Tensor, "n 6"]:
    """Inverse of :func:`encode_distances`."""
    return torch.cat([locations - distances[:, :3], locations + distances[:, 3:]], dim=1)


def encode_oriented(
    locations: Float[Tensor, "n 3"], boxes: Float[Tensor, "n 7"], compat: Compat = "official"
) -> Float[Tensor, "n 8"]:
    """Distances to the outer box, then alpha and beta.

    Args:
        compat: "official" takes corners within 0.1 voxel of a side as touching it, which makes
            a sliver of some boxes with a small negative angle; "exact" takes the touching one.
    """
    offsets = corner_offsets(boxes, compat)
    return torch.cat([encode_distances(locations, outer_aligned(boxes)), offsets], dim=1)


def corner_offsets(
    boxes: Float[Tensor, "n 7"], compat: Compat = "official"
) -> Float[Tensor, "n 2"]:
    """(alpha, beta) of oriented boxes."""
    touch = TOUCH if compat == "official" else EPS
    corners = corners_2d(boxes)
    low, high = corners.amin(1), corners.amax(1)
    x, y = corners.unbind(-1)
    vx = x.masked_fill(high[:, 1:] - y > touch, -math.inf).amax(1)
    vy = y.masked_fill(high[:, :1] - x > touch, math.inf).amin(1)
    return (torch.stack([vx, vy], dim=1) - boxes[:, :2]) / (high - low)


def decode_oriented(
    locations: Float[Tensor, "n 3"], regression: Float[Tensor, "n 8"]
) -> Float[Tensor, "n 7"]:
    """Oriented boxes; the parallelogram of the two offsets is stretched to a rectangle."""
    outer = decode_distances(locations, regression[:, :6])
    centre, half = (outer[:, :3] + outer[:, 3:]) / 2, (outer[:, 3:] - outer[:, :3]) / 2
    flat = half[:, :2]
    vx, vy = (2 * regression[:, 6:] * flat).clamp(-flat, flat).unbind(1)
    v0 = torch.stack([vx, flat[:, 1]], dim=1)
    v1 = torch.stack([flat[:, 0], vy], dim=1)
    v0, v1 = _same_length(v0, v1)
    middle = (v0 + v1) / 2  # of the side that faces the box's own x axis
    w, length = 2 * _length(middle), _length(v0 - v1)
    theta = _direction(middle)
    return torch.cat([centre, w, length, 2 * half[:, 2:], theta], dim=1)


def _same_length(
    a: Float[Tensor, "n 2"], b: Float[Tensor, "n 2"]
) -> tuple[Float[Tensor, "n 2"], Float[Tensor, "n 2"]]:
    length_a, length_b = _length(a), _length(b)
    longest = torch.maximum(length_a, length_b)
    return _stretched(a, length_a, longest), _stretched(b, length_b, longest)


def _stretched(
    v: Float[Tensor, "n 2"], length: Float[Tensor, "n 1"], wanted: Float[Tensor, "n 1"]
) -> Float[Tensor, "n 2"]:
    """v at the wanted length. The gradient of next to nothing is that of v, not 1e7 times it:
    one collapsed box (all distances along an axis 0) would drown every other in a batch."""
    stretched = v * (wanted / (length + EPS))
    return torch.where(length < SEGMENT, stretched.detach() + v - v.detach(), stretched)


def _length(v: Float[Tensor, "n 2"]) -> Float[Tensor, "n 1"]:
    return v.norm(dim=1, keepdim=True)


def _direction(v: Float[Tensor, "n 2"]) -> Float[Tensor, "n 1"]:
    """Angle of a vector; 0 for the null vector. Next to nothing has no gradient."""
    null = (v == 0).all(dim=1, keepdim=True)
    short = (v.detach().abs() < SEGMENT).all(dim=1, keepdim=True)
    v = torch.where(short, v.detach(), v)
    return torch.atan2(v[:, 1:], torch.where(null, EPS, v[:, :1]))


def collapses(boxes: Float[Tensor, "n 7"]) -> Bool[Tensor, " n"]:
    """Whether a decoded box is a segment: its angle, and the gradient, are rounding noise."""
    return (boxes[:, 3:5] < SEGMENT).any(dim=1)
