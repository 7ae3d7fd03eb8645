"""Box regression losses both heads offer (spec nerf_rpn 5.2, 6.5, 7.4), per row.

The IoU of "iou" and "linear_iou" is (I + 1) / (U + 1), volumes in the boxes' own unit (quirk Q6).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from maskfield.methods.nerf_rpn.config import BoxLoss
from maskfield.ops.box_iou import aabb_overlap
from maskfield.ops.box_iou_losses import box_loss

SMOOTH_BETA = 1 / 9
Boxes = Float[Tensor, "n d"]


def smooth_l1(
    prediction: Float[Tensor, "*n"], target: Float[Tensor, "*n"], beta: float
) -> Float[Tensor, "*n"]:
    """Quadratic below ``beta``, linear above; not reduced."""
    return F.smooth_l1_loss(prediction, target, beta=beta, reduction="none")


def overlap_loss(prediction: Boxes, target: Boxes, kind: BoxLoss) -> Float[Tensor, " n"]:
    """One of the losses on the overlap of boxes, axis-aligned (6 columns) or oriented (7)."""
    if kind == "giou" and prediction.shape[1] == 6:
        return _aligned_giou_loss(prediction, target)
    if kind == "smooth_l1":
        raise ValueError("smooth L1 compares targets, not boxes")
    return box_loss(kind, prediction, target)


def _aligned_giou_loss(a: Float[Tensor, "n 6"], b: Float[Tensor, "n 6"]) -> Float[Tensor, " n"]:
    """1 - (I + 1) / (U + 1) + (C - U) / C, C the volume of the box around both plus 1e-7."""
    shared, union = aabb_overlap(a, b)
    sides = torch.maximum(a[:, 3:], b[:, 3:]) - torch.minimum(a[:, :3], b[:, :3])
    around = sides.prod(dim=1) + 1e-7
    return 1 - (shared + 1) / (union + 1) + (around - union) / around
