"""Further helpers of the official evaluation, kept so that its old tables can be recomputed.

They are not comparable with :mod:`maskfield.metrics.detection`: the precision-recall sweep leaves
out detections that match nothing, which inflates it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from maskfield.metrics.detection import AveragePrecision, SceneDetections, matched

CONFIDENCES = 99


def swept_precision(scenes: Sequence[SceneDetections], threshold: float) -> AveragePrecision:
    """Precision and recall at 99 confidence thresholds; only matched detections have a score."""
    overlaps, confidences = _matches(scenes)
    sweep = torch.linspace(0.01, 0.99, CONFIDENCES)
    taken = confidences >= sweep[:, None]
    hits = (taken & (overlaps >= threshold)).sum(1).float()
    precisions = hits / taken.sum(1).clamp(min=1)
    recalls = hits / max(len(overlaps), 1)
    area = float(((recalls[:-1] - recalls[1:]) * precisions[:-1]).sum())
    return AveragePrecision(ap=area, precisions=precisions, recalls=recalls)


def _matches(
    scenes: Sequence[SceneDetections],
) -> tuple[Float[Tensor, " g"], Float[Tensor, " g"]]:
    """IoU and score of the detection matched to every ground truth (0 where there is none)."""
    overlaps, confidences = [torch.zeros(0)], [torch.zeros(0)]
    for scene in scenes:
        order = scene.best(None)
        found, rows = matched(scene.iou[order])
        overlaps.append(found)
        confidences.append(torch.cat([scene.scores[order], torch.zeros(1)])[rows])
    return torch.cat(overlaps), torch.cat(confidences)


def confident_precision(
    scenes: Sequence[SceneDetections],
    thresholds: Float[Tensor, " t"],
    confidence: float,
    limit: int,
) -> tuple[Float[Tensor, " t"], Float[Tensor, " d"]]:
    """Precision of detections above a confidence, at most ``limit`` per scene, one-to-one.

    Returns:
        Precision at each IoU threshold, and the IoU of every detection, ascending (0: unmatched).
    """
    overlaps = [torch.zeros(0)]
    for scene in scenes:
        rows = scene.best(None)
        rows = rows[scene.scores[rows] > confidence][:limit]
        found, matched_rows = matched(scene.iou[rows])
        own = torch.zeros(len(rows))
        own[matched_rows[matched_rows >= 0]] = found[matched_rows >= 0]
        overlaps.append(own)
    every = torch.cat(overlaps).sort().values
    precisions = (every >= thresholds[:, None]).float().sum(1) / max(len(every), 1)
    return precisions, every


def detection_labels(scene: SceneDetections, threshold: float) -> Int[Tensor, " p"]:
    """1 for detections that overlap some ground truth by at least ``threshold``."""
    return (scene.iou.amax(dim=1) >= threshold).int()


def label_accuracy(
    scores: Sequence[Float[Tensor, " _p"]],
    labels: Sequence[Int[Tensor, " _p"]],
    confidence: float = 0.5,
) -> float:
    """Share of detections whose score is on the right side of ``confidence``; mean over scenes."""
    pairs = zip(scores, labels, strict=True)
    return _mean([((s > confidence) == (y == 1)).float().mean() for s, y in pairs])


def label_precision(
    scores: Sequence[Float[Tensor, " _p"]],
    labels: Sequence[Int[Tensor, " _p"]],
    confidence: float = 0.5,
) -> float:
    """Share of detections above ``confidence`` that are labelled 1; mean over scenes."""
    pairs = zip(scores, labels, strict=True)
    return _mean([y[s > confidence].float().mean() for s, y in pairs])


def label_precision_at(
    scores: Sequence[Float[Tensor, " _p"]], labels: Sequence[Int[Tensor, " _p"]], count: int
) -> float:
    """Share of the ``count`` best detections that are labelled 1; mean over scenes."""
    pairs = zip(scores, labels, strict=True)
    return _mean([y[s.argsort(descending=True)[:count]].float().mean() for s, y in pairs])


def _mean(values: list[Tensor]) -> float:
    return float(torch.stack(values).mean()) if values else 0.0
