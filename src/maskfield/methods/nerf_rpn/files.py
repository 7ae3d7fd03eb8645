"""The files the official programs write: proposals, voxel scores, eval.json (spec nerf_rpn 2.4)."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from maskfield.core.errors import DataError
from maskfield.core.files import StrPath, atomic_path, read_json, write_json
from maskfield.metrics.detection import (
    AP_THRESHOLDS,
    RECALL_COUNTS,
    AveragePrecision,
    Compat,
    Recall,
    SceneDetections,
    average_precision,
    iou_thresholds,
    recall,
)

AABB, OBB = 6, 7
_NAMES = {  # ours and run_fcos's plural names first, then run_rpn's singular ones
    "boxes": ("proposals", "proposal"),
    "scores": ("scores", "score"),
    "levels": ("level_indices", "level_index"),
}


@dataclass(frozen=True, kw_only=True)
class Proposals:
    """Proposals of one scene, in voxels.

    Attributes:
        boxes: [n, 6] (min, max) or [n, 7] (centre, w, l, h, yaw).
        scores: [n] in [0, 1], or None where the file has none (run_rpn --save_results).
        levels: [n] pyramid level of each, or None.
    """

    boxes: Float[Tensor, "n k"]
    scores: Float[Tensor, " n"] | None
    levels: Int[Tensor, " n"] | None = None


def write_proposals(proposals: Proposals, path: StrPath) -> Path:
    """Write ``proposals/SCENE.npz`` with the plural names of run_fcos.

    Raises:
        DataError: another number of columns, NaN, negative sizes, or lengths that differ.
    """
    arrays = {"boxes": proposals.boxes, "scores": proposals.scores, "levels": proposals.levels}
    _check(proposals, path)
    return _write_npz(
        path,
        {
            _NAMES[name][0]: value.detach().cpu().numpy()
            for name, value in arrays.items()
            if value is not None
        },
    )


def read_proposals(path: StrPath) -> Proposals:
    """Read ``proposals/SCENE.npz``, with plural or singular names.

    Raises:
        DataError: missing or damaged, no proposals in it, or rows that are not boxes.
    """
    data = _read_npz(path)
    found = {k: next((data[n] for n in v if n in data), None) for k, v in _NAMES.items()}
    if found["boxes"] is None:
        raise DataError(
            "the file holds no proposals",
            file=path,
            field=" or ".join(_NAMES["boxes"]),
            value=sorted(data),
            remedy="give a proposals/SCENE.npz of run_rpn, run_fcos or "
            "`maskfield evaluate --answers`",
        )
    scores, levels = found["scores"], found["levels"]
    proposals = Proposals(
        boxes=torch.from_numpy(found["boxes"].astype(np.float32)),
        scores=None if scores is None else torch.from_numpy(scores.astype(np.float32)),
        levels=None if levels is None else torch.from_numpy(levels.astype(np.int64)),
    )
    _check(proposals, path)
    return proposals


def write_voxel_scores(levels: Sequence[Float[Tensor, "w l h"]], path: StrPath) -> Path:
    """Write ``voxel_scores/SCENE.npz``: keys "0", "1", ... from the finest level."""
    return _write_npz(path, {str(i): level.cpu().numpy() for i, level in enumerate(levels)})


def read_voxel_scores(path: StrPath) -> list[Float[Tensor, "w l h"]]:
    """Read ``voxel_scores/SCENE.npz``; a leading axis of one, as some tools write, is dropped.

    Raises:
        DataError: missing, damaged, not one volume for each of the levels 0, 1, ...
    """
    data = _read_npz(path)
    levels = [data[str(i)] for i in range(len(data)) if str(i) in data]
    levels = [v[0] if v.ndim == 4 and len(v) == 1 else v for v in levels]
    if not levels or len(levels) != len(data) or any(v.ndim != 3 for v in levels):
        raise DataError(
            "the file does not hold one score volume a level",
            file=path,
            field="keys 0, 1, ...",
            value={k: v.shape for k, v in data.items()},
            remedy="give a voxel_scores/SCENE.npz",
        )
    return [torch.from_numpy(v.astype(np.float32)) for v in levels]


def official_evaluation(
    scenes: Sequence[SceneDetections],
    *,
    post_nms: int = RECALL_COUNTS[-1],
    compat: Compat = "maskfield",
) -> dict[str, dict[str, Any]]:
    """What the official eval.json holds: every figure with its curve, as plain numbers.

    ``recall_50_top_N``, ``recall_25_top_N``, ``recall_ar_top_N`` for N in 300, 1000 and
    ``post_nms``; ``ap_25``, ``ap_50``, ``ap_75``. The ``thresholds`` of an AP are the scores of the
    detections its curve is drawn over, best first.

    Args:
        post_nms: proposals left after suppression; recall at a larger count is left out.
        compat: "official" leaves scenes without detections out of the recall (quirk Q11).
    """
    counts = sorted({c for c in (*RECALL_COUNTS, post_nms) if c <= post_nms})
    found: dict[str, dict[str, Any]] = {}
    for count in counts:
        for name, first, last in (("50", 0.5, 0.5), ("25", 0.25, 0.25), ("ar", 0.25, 0.95)):
            measured = recall(scenes, iou_thresholds(first, last), count, compat)
            found[f"recall_{name}_top_{count}"] = _recall_entry(measured)
    scores = torch.cat([s.scores for s in scenes]) if scenes else torch.zeros(0)
    best_first = scores.sort(descending=True, stable=True).values
    for threshold in AP_THRESHOLDS:
        measured = average_precision(scenes, threshold)
        found[f"ap_{round(100 * threshold)}"] = _precision_entry(measured, best_first)
    return found


def write_evaluation(evaluation: dict[str, dict[str, Any]], path: StrPath) -> Path:
    """Write ``eval.json``."""
    write_json(path, evaluation)
    return Path(path)


def read_evaluation(path: StrPath) -> dict[str, dict[str, Any]]:
    """Read an ``eval.json``, ours or official.

    Raises:
        DataError: missing, not JSON, or not a table of figures with ``ar`` or ``ap``.
    """
    value = read_json(path)
    known = isinstance(value, dict) and value
    if not known or not all(
        isinstance(v, dict) and ("ar" in v or "ap" in v) for v in value.values()
    ):
        raise DataError(
            "not an eval.json of a detector",
            file=path,
            field="ar, ap",
            value=value if not isinstance(value, dict) else sorted(value),
            remedy="give the file that an evaluation wrote",
        )
    return value


def evaluation_figures(evaluation: dict[str, dict[str, Any]]) -> dict[str, float]:
    """The figures alone, without their curves."""
    return {name: float(v["ar"] if "ar" in v else v["ap"]) for name, v in evaluation.items()}


def _recall_entry(found: Recall) -> dict[str, Any]:
    return {
        "ar": found.average,
        "recalls": found.recalls.tolist(),
        "thresholds": found.thresholds.tolist(),
        "gt_overlaps": found.overlaps.tolist(),
        "num_pos": found.positives,
    }


def _precision_entry(found: AveragePrecision, scores: Float[Tensor, " d"]) -> dict[str, Any]:
    return {
        "ap": found.ap,
        "precisions": found.precisions.tolist(),
        "recalls": found.recalls.tolist(),
        "thresholds": scores.tolist(),
        "num_det": list(range(1, len(scores) + 1)),
    }


def _check(proposals: Proposals, path: StrPath) -> None:
    boxes = proposals.boxes
    if boxes.ndim != 2 or boxes.shape[1] not in (AABB, OBB):
        raise DataError(
            "proposals have 7 columns (oriented) or 6 (axis-aligned)",
            file=path,
            field="proposals",
            value=tuple(boxes.shape),
            remedy="give rows x, y, z, w, l, h, theta or x1, y1, z1, x2, y2, z2",
        )
    for name, column in (("scores", proposals.scores), ("level_indices", proposals.levels)):
        if column is not None and column.shape != boxes.shape[:1]:
            raise DataError(
                "one entry per proposal is needed",
                file=path,
                field=name,
                value=(tuple(column.shape), len(boxes)),
                remedy="write both from the same detections",
            )
    _check_rows(proposals, path)


def _check_rows(proposals: Proposals, path: StrPath) -> None:
    boxes = proposals.boxes
    size = boxes[:, 3:6] if boxes.shape[1] == OBB else boxes[:, 3:] - boxes[:, :3]
    wrong = ~torch.isfinite(boxes).all(1) | (size < 0).any(1)
    if proposals.scores is not None:
        wrong |= ~torch.isfinite(proposals.scores)
    if wrong.any():
        row = int(wrong.nonzero()[0])
        raise DataError(
            "a proposal has a negative size or a value that is not finite",
            file=path,
            field=f"row {row}",
            value=boxes[row].tolist(),
            remedy="detect again; a NaN points to weights that diverged",
        )


def _read_npz(path: StrPath) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, AttributeError, TypeError) as cause:
        raise DataError(
            f"cannot read the file: {cause}",
            file=path,
            remedy="check the path; write the file again if it is damaged",
        ) from cause


def _write_npz(path: StrPath, arrays: dict[str, np.ndarray]) -> Path:
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
    return Path(path)
