"""Which anchors and regions belong to which ground truth, and which take part in the loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor

from maskfield.core.errors import DataError
from maskfield.ops.box_iou import aabb_iou, rotated_iou

NEGATIVE, BETWEEN = -1, -2
Permute = Callable[[int], Int[Tensor, " n"]]
Uniform = Callable[[int], Float[Tensor, " n"]]


def permutation_from(generator: torch.Generator | None) -> Permute:
    """Random permutations of an explicit generator."""

    def permute(count: int) -> Int[Tensor, " n"]:
        device = None if generator is None else generator.device
        return torch.randperm(count, generator=generator, device=device)

    return permute


def uniform_from(generator: torch.Generator | None) -> Uniform:
    """Uniform numbers in [0, 1) of an explicit generator."""

    def uniform(count: int) -> Float[Tensor, " n"]:
        device = None if generator is None else generator.device
        return torch.rand(count, generator=generator, device=device)

    return uniform


def match(
    quality: Float[Tensor, "gt a"], foreground: float, background: float, *, rescue: bool = True
) -> Int[Tensor, " a"]:
    """Best ground truth of every candidate, or -1 (below background), -2 (between) (spec 6.4).

    Args:
        quality: IoU; -1 for candidates that cannot match.
        rescue: also match, for every ground truth, all candidates that attain its best quality.
    """
    best, index = quality.max(dim=0)
    matches = index.masked_fill(best < foreground, BETWEEN).masked_fill(best < background, NEGATIVE)
    if rescue:
        attained = (quality == quality.amax(dim=1, keepdim=True)).any(dim=0)
        matches = torch.where(attained, index, matches)
    return matches


def balanced_sample(
    labels: Num[Tensor, " a"], count: int, positive_fraction: float, permute: Permute
) -> tuple[Bool[Tensor, " a"], Bool[Tensor, " a"]]:
    """Masks of the sampled positives (label >= 1) and negatives (label 0).

    Args:
        count: at most this many; positives at most their fraction of it, negatives fill up.
        permute: called for the positives, then for the negatives.
    """
    positive = (labels >= 1).nonzero()[:, 0]
    negative = (labels == 0).nonzero()[:, 0]
    kept_positive = min(len(positive), int(count * positive_fraction))
    kept_negative = min(len(negative), count - kept_positive)
    masks = []
    for index, kept in ((positive, kept_positive), (negative, kept_negative)):
        chosen = index[permute(len(index)).to(index.device)[:kept]]
        masks.append(torch.zeros_like(labels, dtype=torch.bool).index_fill(0, chosen, True))
    return masks[0], masks[1]


@dataclass(frozen=True, kw_only=True)
class RegionTargets:
    """The best ground truth of every region of one scene (spec nerf_rpn 8).

    Attributes:
        overlap: IoU with it. boxes: that ground truth.
    """

    overlap: Float[Tensor, " roi"]
    boxes: Float[Tensor, "roi k"]

    @classmethod
    def of(cls, regions: Float[Tensor, "roi k"], boxes: Float[Tensor, "gt k"]) -> RegionTargets:
        """Assign by IoU; axis-aligned (6 columns) or oriented (7)."""
        iou = aabb_iou if boxes.shape[1] == 6 else rotated_iou
        best, index = iou(regions, boxes.to(regions)).max(dim=1)
        return cls(overlap=best, boxes=boxes[index])

    def sample(
        self,
        count: int,
        foreground: float,
        background: float,
        positive_fraction: float,
        permute: Permute,
        uniform: Uniform,
    ) -> tuple[Int[Tensor, " k"], Int[Tensor, " k"]]:
        """Rows that take part, and their labels (1 foreground).

        Foreground is drawn without replacement, background (below its threshold) with; if one
        kind is missing the other fills every place, with replacement.

        Raises:
            DataError: no region is foreground or background.
        """
        positive = (self.overlap >= foreground).nonzero()[:, 0]
        negative = (self.overlap < background).nonzero()[:, 0]
        if len(positive) + len(negative) == 0:
            raise DataError(
                "no region is foreground and none is background",
                field="regions",
                value=len(self.overlap),
                remedy="give more regions, or move foreground_iou and background_iou closer",
            )
        if len(negative) == 0:
            return _with_replacement(positive, count, uniform), positive.new_ones(count)
        kept = min(int(positive_fraction * count), len(positive))
        order = permute(len(positive)) if len(positive) else positive
        first = positive[order.to(positive.device)[:kept]]
        second = _with_replacement(negative, count - kept, uniform)
        labels = torch.cat([torch.ones_like(first), torch.zeros_like(second)])
        return torch.cat([first, second]), labels


def _with_replacement(index: Int[Tensor, " n"], count: int, uniform: Uniform) -> Int[Tensor, " k"]:
    drawn = (uniform(count).to(index.device) * len(index)).floor().long()
    return index[drawn.clamp(max=len(index) - 1)]
