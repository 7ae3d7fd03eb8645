"""Metrics and losses of voxel labelling (spec nerf_mae 5.3 and 7). Class 0 is void: not labelled.

Logits are [b, class, *voxel], targets [b, *voxel].
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from maskfield.core.errors import DataError

VOID = 0
SOFT_EPS = 1e-8
HARD_EPS = 1e-10


@dataclass(frozen=True, kw_only=True)
class ClassCounts:
    """Voxels per class 1 ... C-1, summed over labelled voxels; batches and processes add up."""

    intersection: Float[Tensor, " class"]
    union: Float[Tensor, " class"]
    target: Float[Tensor, " class"]

    def __add__(self, other: ClassCounts) -> ClassCounts:
        return ClassCounts(
            intersection=self.intersection + other.intersection,
            union=self.union + other.union,
            target=self.target + other.target,
        )

    def summary(self, *, absent: str = "official") -> dict[str, float]:
        """mIoU, mAcc and allAcc in [0, 1].

        Args:
            absent: "official" counts classes that never occur as 0 (quirk B14); "skip" leaves out
                classes without target voxels.
        """
        kept = slice(None) if absent == "official" else self.target > 0
        inter, target = self.intersection.double(), self.target.double()
        iou = (inter / (self.union.double() + HARD_EPS))[kept]
        accuracy = (inter / (target + HARD_EPS))[kept]
        return {
            "mIoU": float(iou.mean()) if iou.numel() else 0.0,
            "mAcc": float(accuracy.mean()) if accuracy.numel() else 0.0,
            "allAcc": float(inter.sum() / (target.sum() + HARD_EPS)),
        }


def class_counts(
    prediction: Int[Tensor, "*v"], target: Int[Tensor, "*v"], classes: int
) -> ClassCounts:
    """Hard counts on labelled voxels; a void prediction there counts as a miss only."""
    prediction, target = _labelled(prediction, target, classes)
    pairs = torch.bincount(target * classes + prediction, minlength=classes**2)
    confusion = pairs.view(classes, classes).float()
    inter, truth, guessed = confusion.diagonal(), confusion.sum(1), confusion.sum(0)
    return ClassCounts(
        intersection=inter[1:], union=(truth + guessed - inter)[1:], target=truth[1:]
    )


def class_weights(labels: Iterable[Int[Tensor, "*v"]], classes: int) -> Float[Tensor, " class"]:
    """w = 1 / ln(1.02 + f), f the share of a class among labelled voxels; 0 for void; float64.

    Raises:
        DataError: no labelled voxel, or an id outside 0 ... classes - 1.
    """
    counts = torch.zeros(classes, dtype=torch.float64)
    for grid in labels:
        _check_range(grid, classes)
        counts += torch.bincount(grid.long().flatten().cpu(), minlength=classes)
    counts[VOID] = 0
    if counts.sum() == 0:
        raise DataError(
            "no voxel is labelled",
            field="labels",
            remedy="check that label grids are not all 0 (void)",
        )
    weights = 1 / torch.log(1.02 + counts / counts.sum())
    weights[VOID] = 0
    return weights


def cross_entropy(
    logits: Float[Tensor, "b class *v"],
    target: Int[Tensor, " b *v"],
    weights: Float[Tensor, " class"] | None = None,
) -> Float[Tensor, ""]:
    """The official loss: cross-entropy over all voxels after zeroing the logits of void voxels.

    With a void weight of 0 this is the weighted mean over labelled voxels, and only those are
    computed. Without weights void voxels count ln(classes) each, as in the official log.
    """
    labelled = target != VOID
    chosen = logits.movedim(1, -1)[labelled]
    truth = target[labelled].long()
    if weights is not None and float(weights[VOID]) == 0:
        return F.cross_entropy(chosen, truth, weights.to(chosen.dtype))
    weights = logits.new_ones(logits.shape[1]) if weights is None else weights.to(logits.dtype)
    void = (target == VOID).sum() * weights[VOID]
    total = F.cross_entropy(chosen, truth, weights, reduction="sum")
    total = total + void * torch.log(logits.new_tensor(float(logits.shape[1])))
    return total / (weights[truth].sum() + void)


def soft_iou(
    logits: Float[Tensor, "b class *v"], target: Int[Tensor, " b *v"]
) -> Float[Tensor, "b class_without_void"]:
    """Soft IoU of classes 1 ... C-1 over labelled voxels: sum p t / (sum (p + t - p t) + 1e-8)."""
    rows = [_soft_iou(x.flatten(1), t.flatten()) for x, t in zip(logits, target, strict=True)]
    return torch.stack(rows)


def _soft_iou(logits: Float[Tensor, "class v"], target: Int[Tensor, " v"]) -> Tensor:
    labelled = target != VOID
    p = logits[:, labelled].softmax(0)[1:]
    t = F.one_hot(target[labelled].long(), logits.shape[0]).T[1:].to(p.dtype)
    both = (p * t).sum(1)
    return both / ((p + t - p * t).sum(1) + SOFT_EPS)


def voxel_accuracy(prediction: Int[Tensor, "*v"], target: Int[Tensor, "*v"]) -> Float[Tensor, ""]:
    """Share of labelled voxels that are right; 0 where nothing is labelled."""
    labelled = target != VOID
    right = (prediction[labelled] == target[labelled]).sum()
    return right / labelled.sum().clamp_min(1)


def _labelled(
    prediction: Tensor, target: Tensor, classes: int
) -> tuple[Int[Tensor, " v"], Int[Tensor, " v"]]:
    labelled = target != VOID
    prediction, target = prediction[labelled].long(), target[labelled].long()
    _check_range(target, classes)
    _check_range(prediction, classes)
    return prediction, target


def _check_range(ids: Tensor, classes: int) -> None:
    if ids.numel() and (int(ids.min()) < 0 or int(ids.max()) >= classes):
        raise DataError(
            f"class ids must lie in 0 ... {classes - 1}",
            field="labels",
            value=(int(ids.min()), int(ids.max())),
            remedy="set num_classes (void included), or map the ids to a contiguous range",
        )
