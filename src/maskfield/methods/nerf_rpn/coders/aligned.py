"""Deltas of an axis-aligned box from an axis-aligned anchor (spec nerf_rpn 6.3)."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

MAX_LOG = math.log(2000.0)


def encode_aligned(
    boxes: Float[Tensor, "n 6"], anchors: Float[Tensor, "n 6"]
) -> Float[Tensor, "n 6"]:
    """(centre difference over anchor side, log of the ratio of sides)."""
    centre, side = centre_and_side(boxes)
    anchor_centre, anchor_side = centre_and_side(anchors)
    return torch.cat([(centre - anchor_centre) / anchor_side, (side / anchor_side).log()], dim=1)


def decode_aligned(
    deltas: Float[Tensor, "n 6"], anchors: Float[Tensor, "n 6"]
) -> Float[Tensor, "n 6"]:
    """Inverse of :func:`encode_aligned`; logarithms above log 2000 are cut."""
    anchor_centre, anchor_side = centre_and_side(anchors)
    centre = deltas[:, :3] * anchor_side + anchor_centre
    half = deltas[:, 3:].clamp(max=MAX_LOG).exp() * anchor_side / 2
    return torch.cat([centre - half, centre + half], dim=1)


def centre_and_side(
    boxes: Float[Tensor, "n 6"],
) -> tuple[Float[Tensor, "n 3"], Float[Tensor, "n 3"]]:
    """Centres and side lengths of axis-aligned boxes."""
    side = boxes[:, 3:] - boxes[:, :3]
    return boxes[:, :3] + side / 2, side
