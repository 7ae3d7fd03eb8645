"""The space of a voxel field: a frame whose box is [-1, 1] per axis, and beyond it, contracted.

Outside the box (r = max |p| > 1) an L-infinity form of mip-NeRF 360's contraction (eq. 10) fills a
cube, as grids do. Its shell has thickness b: |q| = 1 + b - b^2 / (r - 1 + b), so all of
space lies in |q| < 1 + b; b = 1 is the paper's 2 - 1 / r, smaller b leaves more voxels to the box.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def contract(points: Float[Tensor, "*n 3"], shell: float) -> Float[Tensor, "*n 3"]:
    """p of all space to q in [-1 - shell, 1 + shell]; identity in [-1, 1]."""
    r = points.abs().amax(-1, keepdim=True).clamp_min(1)
    return points * ((1 + shell - shell**2 / (r - 1 + shell)) / r)


def uncontract(points: Float[Tensor, "*n 3"], shell: float) -> Float[Tensor, "*n 3"]:
    """Inverse of :func:`contract`; the outermost shell goes to a large finite distance."""
    r = points.abs().amax(-1, keepdim=True)
    far = 1 - shell + shell**2 / (1 + shell - r).clamp_min(1e-6)
    return torch.where(r > 1, points * (far / r.clamp_min(1)), points)


def stretch(points: Float[Tensor, "*n 3"], shell: float) -> Float[Tensor, "*n"]:
    """1 / (d|q| / dr): how much longer than inside the box a step along a radial ray may be."""
    r = points.abs().amax(-1).clamp_min(1)
    return ((r - 1 + shell) / shell).square()


def frame_of_box(box: Float[Tensor, "2 3"]) -> Float[Tensor, "4 4"]:
    """``field_from_world`` that takes a world box to [-1, 1] per axis, float64."""
    low, high = box.double()
    matrix = torch.eye(4, dtype=torch.float64, device=box.device)
    matrix[:3, :3] = torch.diag(2 / (high - low))
    matrix[:3, 3] = -(high + low) / (high - low)
    return matrix
