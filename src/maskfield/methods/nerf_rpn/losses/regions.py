"""Losses of the second stage (spec nerf_rpn 8)."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from maskfield.methods.nerf_rpn.coders.aligned import encode_aligned
from maskfield.methods.nerf_rpn.coders.regions import encode_in_region
from maskfield.methods.nerf_rpn.losses.boxes import SMOOTH_BETA, smooth_l1
from maskfield.methods.nerf_rpn.model.region_head import RegionOutput


def region_losses(
    outputs: RegionOutput, labels: Int[Tensor, " n"], boxes: Float[Tensor, "n k"]
) -> dict[str, Float[Tensor, ""]]:
    """loss_objectness and loss_rpn_box_reg, not weighted.

    Args:
        labels: class of every region, 0 for background.
        boxes: ground truth of every region; used where the label is positive.
    """
    positive = labels > 0
    encode = encode_in_region if boxes.shape[1] == 7 else encode_aligned
    wanted = encode(boxes[positive], outputs.boxes[positive])
    errors = smooth_l1(outputs.deltas[positive], wanted, SMOOTH_BETA).sum()
    return {
        "loss_objectness": F.cross_entropy(outputs.logits, labels),
        "loss_rpn_box_reg": errors / max(int(positive.sum()), 1),
    }
