"""nerf_rpn: recall, average precision and the helpers of the official evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from golden.by_name import ByName
from golden.case import Case
from golden.registry import golden
from maskfield.metrics import detection, detection_legacy
from maskfield.metrics.detection import SceneDetections

# which thresholds a name stands for
RECALLS = {"25": (0.25, 0.25), "50": (0.5, 0.5), "ar": (0.25, 0.95), "default": (0.5, 0.95)}
PRECISION_CONFIDENCE, PRECISION_LIMIT, PRECISION_IOU = 0.3, 20, (0.25, 0.5)
CLASSIFIED_IOU = "25"


@golden("nerf_rpn/metrics")
def metrics(case: Case) -> Mapping[str, Any]:
    scenes = scenes_of(case)

    def recalls(name: str, count: str, part: str) -> Any:
        thresholds = detection.iou_thresholds(*RECALLS[name])
        found = detection.recall(scenes, thresholds, int(count), compat="official")
        parts = {"ar": found.average, "recalls": found.recalls, "num_pos": found.positives}
        return parts[part]

    def overlaps(count: str) -> Tensor:
        thresholds = detection.iou_thresholds(*RECALLS["50"])
        return detection.recall(scenes, thresholds, int(count), compat="official").overlaps

    def ap(iou: str, count: str, part: str | None) -> Any:
        limit = None if count == "None" else int(count)
        return curve(detection.average_precision(scenes, float(iou), limit), part)

    def legacy(iou: str, part: str | None) -> Any:
        return curve(detection_legacy.swept_precision(scenes, float(iou)), part)

    def labels(percent: str, scene: str) -> Tensor:
        return detection_legacy.detection_labels(scenes[int(scene)], int(percent) / 100)

    return ByName(
        precision(scenes),
        {
            r"recall_(\w+?)_top(\d+)_(ar|recalls|num_pos)": recalls,
            r"recall_top(\d+)_gt_overlaps": overlaps,
            r"ap_([\d.]+)_topk(\d+|None)(?:_(\w+))?": ap,
            r"legacy_ap_([\d.]+)(?:_(\w+))?": legacy,
            r"labels(\d+)_(\d+)": labels,
            r"classification_(accuracy|accurcy|precision)(?:_([\d.]+))?": classification(scenes),
        },
    )


def scenes_of(case: Case) -> list[SceneDetections]:
    """All scenes of a case."""
    count = sum(k.startswith("gt_") for k in case.inputs)
    return [
        SceneDetections(
            boxes=case.inputs[f"proposals_{i}"],
            scores=case.inputs[f"scores_{i}"],
            truth=case.inputs[f"gt_{i}"],
        )
        for i in range(count)
    ]


def curve(found: detection.AveragePrecision, part: str | None) -> Any:
    """A part of a precision-recall curve by its official name."""
    if part is None:
        return found.ap
    count = torch.arange(1, len(found.recalls) + 1)
    return {"precisions": found.precisions, "recalls": found.recalls, "num_det": count}[part]


def precision(scenes: list[SceneDetections]) -> dict[str, Any]:
    """Precision at a score threshold."""
    found, overlaps = detection_legacy.confident_precision(
        scenes, torch.tensor(PRECISION_IOU), PRECISION_CONFIDENCE, PRECISION_LIMIT
    )
    return {
        "precision_ap": found.mean(),
        "precision_precisions": found,
        "precision_box_overlaps": overlaps,
        "precision_num_det": len(overlaps),
    }


def classification(scenes: list[SceneDetections]) -> Any:
    """Accuracy at a confidence, precision at 0.5 or of the best N detections."""
    scores = [s.scores for s in scenes]

    def compute(kind: str, option: str | None) -> float:
        labels = [detection_legacy.detection_labels(s, int(CLASSIFIED_IOU) / 100) for s in scenes]
        if kind.startswith("accur"):
            return detection_legacy.label_accuracy(scores, labels, float(option or 0.5))
        if option is None:
            return detection_legacy.label_precision(scores, labels)
        return detection_legacy.label_precision_at(scores, labels, int(option))

    return compute
