"""Deltas of a box in the frame of a region of interest (spec nerf_rpn 8)."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

MAX_LOG = math.log(2000.0)


def encode_in_region(
    boxes: Float[Tensor, "n 7"], regions: Float[Tensor, "n 7"]
) -> Float[Tensor, "n 7"]:
    """(centre in the region's frame over its sides, log ratio of sides, angle over 2 pi)."""
    offset = turned(boxes[:, :3] - regions[:, :3], -regions[:, 6]) / regions[:, 3:6]
    logs = (boxes[:, 3:6] / regions[:, 3:6]).log()
    return torch.cat([offset, logs, (boxes[:, 6:] - regions[:, 6:]) / (2 * math.pi)], dim=1)


def decode_in_region(
    deltas: Float[Tensor, "n 7"], regions: Float[Tensor, "n 7"]
) -> Float[Tensor, "n 7"]:
    """Inverse of :func:`encode_in_region`; theta in (-pi/2, pi/2]."""
    centre = turned(deltas[:, :3] * regions[:, 3:6], regions[:, 6]) + regions[:, :3]
    side = deltas[:, 3:6].clamp(max=MAX_LOG).exp() * regions[:, 3:6]
    theta = deltas[:, 6:] * (2 * math.pi) + regions[:, 6:]
    theta = math.pi / 2 - (math.pi / 2 - theta) % math.pi
    return torch.cat([centre, side, theta], dim=1)


def turned(points: Float[Tensor, "n 3"], angle: Float[Tensor, " n"]) -> Float[Tensor, "n 3"]:
    """Points turned about z, counter-clockwise."""
    cos, sin = angle.cos(), angle.sin()
    x, y, z = points.unbind(1)
    return torch.stack([cos * x - sin * y, sin * x + cos * y, z], dim=1)
