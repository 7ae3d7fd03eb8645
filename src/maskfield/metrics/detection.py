"""Detection metrics as the official evaluation computes them (spec nerf_rpn 9).

One class, scores in [0, 1]; boxes with 6 columns (axis-aligned) or 7 (oriented).

Legend: p detections and g ground-truth boxes of one scene, d all detections.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from maskfield.ops.box_iou import AABB, aabb_iou, rotated_iou

Compat = Literal["official", "maskfield"]
RECALL_COUNTS = (300, 1000, 2500)
AP_THRESHOLDS = (0.25, 0.5, 0.75)


@dataclass(frozen=True, kw_only=True)
class SceneDetections:
    """Detections and ground truth of one scene.

    Attributes:
        boxes: [p, 6 or 7]. scores: [p]. truth: [g, 6 or 7].
    """

    boxes: Float[Tensor, "p k"]
    scores: Float[Tensor, " p"]
    truth: Float[Tensor, "g k"]

    @cached_property
    def iou(self) -> Float[Tensor, "p g"]:
        """IoU of every detection with every ground truth; computed once for all metrics."""
        pairwise = aabb_iou if self.truth.shape[-1] == AABB else rotated_iou
        with torch.no_grad():
            return pairwise(self.boxes, self.truth.to(self.boxes)).nan_to_num(0.0)

    def best(self, count: int | None) -> Int[Tensor, " k"]:
        """Rows of the ``count`` best scores, best first; None for all."""
        return self.scores.argsort(descending=True, stable=True)[:count]


@dataclass(frozen=True, kw_only=True)
class Recall:
    """Recall at several IoU thresholds.

    Attributes:
        thresholds, recalls: IoU thresholds and the share of ground truth found at each.
        overlaps: IoU each ground truth was found with, ascending; 0 where it was not.
        positives: number of ground-truth boxes counted.
    """

    thresholds: Float[Tensor, " t"]
    recalls: Float[Tensor, " t"]
    overlaps: Float[Tensor, " g"]
    positives: int

    @property
    def average(self) -> float:
        """Mean over the thresholds."""
        return float(self.recalls.mean())


@dataclass(frozen=True, kw_only=True)
class AveragePrecision:
    """Area under the precision envelope, and the curve by falling score.

    Attributes:
        ap: the area.
        precisions, recalls: after 1, 2, ... detections.
    """

    ap: float
    precisions: Float[Tensor, " d"]
    recalls: Float[Tensor, " d"]


def iou_thresholds(first: float, last: float = 0.95, step: float = 0.05) -> Float[Tensor, " t"]:
    """``first``, ``first + step``, ... up to ``last``."""
    return torch.arange(first, last + 1e-5, step)


def recall(
    scenes: Sequence[SceneDetections],
    thresholds: Float[Tensor, " t"],
    limit: int | None = None,
    compat: Compat = "maskfield",
) -> Recall:
    """Greedy one-to-one recall of the ``limit`` best detections of each scene.

    Args:
        compat: "official" leaves out scenes without detections together with their ground truth
            (quirk Q11); otherwise they count as not found.
    """
    found = [
        matched(scene.iou[scene.best(limit)])[0]
        for scene in scenes
        if compat == "maskfield" or len(scene.scores)
    ]
    overlaps = torch.cat(found).sort().values if found else torch.zeros(0)
    hits = (overlaps >= thresholds[:, None]).float().sum(1)
    return Recall(
        thresholds=thresholds,
        recalls=hits / max(len(overlaps), 1),
        overlaps=overlaps,
        positives=len(overlaps),
    )


def matched(iou: Float[Tensor, "p g"]) -> tuple[Float[Tensor, " g"], Int[Tensor, " g"]]:
    """Greedy one-to-one matching: take the best pair left, again and again.

    Returns:
        IoU of every ground truth with its detection, and that detection's row (0 and -1: none).
    """
    left = iou.clone()
    overlaps = iou.new_zeros(iou.shape[1])
    rows = torch.full((iou.shape[1],), -1)
    for _ in range(min(iou.shape)):
        per_truth, best = left.max(dim=0)
        truth = int(per_truth.argmax())
        overlaps[truth], rows[truth] = per_truth[truth], best[truth]
        left[rows[truth]] = -1
        left[:, truth] = -1
    return overlaps, rows


def average_precision(
    scenes: Sequence[SceneDetections], threshold: float, limit: int | None = None
) -> AveragePrecision:
    """VOC-style average precision over all scenes together.

    A detection is right if the ground truth it overlaps most does so by more than ``threshold``
    and no better detection claimed it.

    Args:
        limit: detections of each scene that take part, the best ones; None for all.
    """
    total = sum(len(scene.truth) for scene in scenes)
    right = _right(scenes, threshold, limit)
    hits = right.float().cumsum(0)
    precisions = hits / torch.arange(1, len(right) + 1)
    recalls = hits / max(total, 1)
    envelope = precisions.flip(0).cummax(0).values.flip(0) if len(right) else precisions
    steps = torch.diff(recalls.double(), prepend=torch.zeros(1, dtype=torch.float64))
    area = float((steps * envelope.double()).sum())
    return AveragePrecision(ap=area, precisions=precisions, recalls=recalls)


def _right(
    scenes: Sequence[SceneDetections], threshold: float, limit: int | None
) -> Bool[Tensor, " d"]:
    """Whether each detection is right, by falling score over all scenes."""
    scores, hits, owners, first = [], [], [], 0
    for scene in scenes:
        rows = scene.best(limit)
        scores.append(scene.scores[rows])
        if len(scene.truth):
            overlap, index = scene.iou[rows].max(dim=1)
        else:
            overlap, index = torch.zeros(len(rows)), torch.zeros(len(rows), dtype=torch.long)
        hits.append(overlap > threshold)
        owners.append(index + first)
        first += len(scene.truth)
    if not scores:
        return torch.zeros(0, dtype=torch.bool)
    order = torch.cat(scores).argsort(descending=True, stable=True)
    hit, owner = torch.cat(hits)[order], torch.cat(owners)[order]
    place = torch.arange(len(order)).masked_fill(~hit, len(order))
    earliest = torch.full((first + 1,), len(order)).scatter_reduce(0, owner, place, "amin")
    return hit & (earliest[owner] == place)


def scene_report(scene: SceneDetections, threshold: float = 0.5) -> dict[str, int | float]:
    """What happened in one scene: found, missed, wrong, and the mean IoU of what was found."""
    overlaps, _ = matched(scene.iou)
    found = overlaps >= threshold
    return {
        "truth": len(scene.truth),
        "detections": len(scene.scores),
        "found": int(found.sum()),
        "missed": int((~found).sum()),
        "mean_iou": float(overlaps[found].mean()) if found.any() else 0.0,
    }


def evaluate(
    scenes: Sequence[SceneDetections],
    counts: Sequence[int] = RECALL_COUNTS,
    compat: Compat = "maskfield",
) -> dict[str, float]:
    """The reported figures: recall at 0.5 and 0.25, average recall, AP at .25, .5 and .75.

    Args:
        counts: numbers of best detections recall is measured for.
    """
    figures: dict[str, float] = {}
    for count in counts:
        for name, first, last in (("50", 0.5, 0.5), ("25", 0.25, 0.25), ("ar", 0.25, 0.95)):
            found = recall(scenes, iou_thresholds(first, last), count, compat)
            figures[f"recall_{name}_top_{count}"] = found.average
    for threshold in AP_THRESHOLDS:
        ap = average_precision(scenes, threshold).ap
        figures[f"ap_{round(100 * threshold)}"] = ap
    return figures
