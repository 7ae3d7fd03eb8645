"""Targets and losses of the anchor-free head (spec nerf_rpn 7.3, 7.4).

Legend: n locations of all levels of one scene, m ground-truth boxes, p positive locations;
rows of several scenes are ordered level, scene, location.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from maskfield.methods.nerf_rpn.coders.fcos import (
    corner_offsets,
    decode_distances,
    decode_oriented,
)
from maskfield.methods.nerf_rpn.config import STRIDES, FCOSConfig
from maskfield.methods.nerf_rpn.geometry import aligned
from maskfield.methods.nerf_rpn.locations import level_locations, level_validity
from maskfield.methods.nerf_rpn.losses.boxes import SMOOTH_BETA, overlap_loss, smooth_l1
from maskfield.methods.nerf_rpn.model.outputs import FCOSOutput, cells_of, rows_of
from maskfield.methods.nerf_rpn.projection import projected_diagonals

DISTANCES = 6  # channels of distances; those of the two corner offsets follow
FAR = 1e8
SIZE_RANGES = ((-1.0, 16.0), (16.0, 32.0), (32.0, 64.0), (64.0, FAR))  # both ends inclusive (Q6)
FOCAL_ALPHA, FOCAL_GAMMA = 0.25, 2.0
PROJECTION_SIDE = 160.0


@dataclass(frozen=True, kw_only=True)
class FCOSTargets:
    """What every location should answer, ordered level, scene, location.

    Attributes:
        labels: 1 positive, 0 background.
        regression: distances (units of the config), then corner offsets; 0 for background.
    """

    labels: Int[Tensor, " n"]
    regression: Float[Tensor, "n d"]


def fcos_targets(
    boxes: Sequence[Float[Tensor, "_m k"]],
    cells: Sequence[tuple[int, int, int]],
    config: FCOSConfig,
) -> list[FCOSTargets]:
    """Targets per level.

    Args:
        boxes: ground truth of each scene, 6 or 7 columns.
        cells: cells of each level.
    """
    points = level_locations(cells, boxes[0].device)
    counts = [len(p) for p in points]
    scenes = [_scene_targets(b, points, config) for b in boxes]
    labels = zip(*(s.labels.split(counts) for s in scenes), strict=True)
    regression = zip(*(s.regression.split(counts) for s in scenes), strict=True)
    return [
        FCOSTargets(labels=torch.cat(a), regression=torch.cat(b))
        for a, b in zip(labels, regression, strict=True)
    ]


def _scene_targets(
    boxes: Float[Tensor, "m k"], points: list[Float[Tensor, "_n 3"]], config: FCOSConfig
) -> FCOSTargets:
    locations = torch.cat(points)
    width = 8 if config.rotated else 6
    regression = locations.new_zeros((len(locations), width), dtype=boxes.dtype)
    labels = torch.zeros(len(locations), dtype=torch.long, device=locations.device)
    if len(boxes) == 0:
        return FCOSTargets(labels=labels, regression=regression)
    strides = torch.cat([p.new_full((len(p),), s) for p, s in zip(points, STRIDES, strict=True)])
    pairs = zip(points, SIZE_RANGES, strict=True)
    ranges = torch.cat([p.new_tensor(r).expand(len(p), 2) for p, r in pairs])
    outer = aligned(boxes)
    candidates = _candidates(locations, outer, strides, ranges, config.radius)
    volume = (outer[:, 3:] - outer[:, :3]).prod(dim=1)
    smallest, owner = torch.where(candidates, volume, FAR).min(dim=1)
    positive = (smallest < FAR).nonzero()[:, 0]
    owner = owner[positive]
    labels[positive] = 1
    low, high = outer[owner, :3], outer[owner, 3:]
    distances = torch.cat([locations[positive] - low, high - locations[positive]], dim=1)
    if config.norm_targets:
        distances = distances / strides[positive, None]
    regression[positive, :DISTANCES] = distances
    if config.rotated:
        regression[positive, DISTANCES:] = corner_offsets(boxes)[owner]
    return FCOSTargets(labels=labels, regression=regression)


def _candidates(
    locations: Float[Tensor, "n 3"],
    outer: Float[Tensor, "m 6"],
    strides: Float[Tensor, " n"],
    ranges: Float[Tensor, "n 2"],
    radius: float,
) -> Bool[Tensor, "n m"]:
    """Locations in the centre region of a box whose largest distance suits their level."""
    low, high = outer[:, :3], outer[:, 3:]
    to_low, to_high = locations[:, None] - low, high - locations[:, None]
    largest = torch.maximum(to_low, to_high).amax(dim=-1)
    suits = (largest >= ranges[:, :1]) & (largest <= ranges[:, 1:])
    if radius > 0:
        reach = (radius * strides)[:, None, None]
        centre = (low + high) / 2
        to_low = locations[:, None] - torch.maximum(centre - reach, low)
        to_high = torch.minimum(centre + reach, high) - locations[:, None]
    inside = torch.minimum(to_low, to_high).amin(dim=-1) > 0
    return inside & suits


def centerness_targets(regression: Float[Tensor, "p d"]) -> Float[Tensor, " p"]:
    """Square root of the product over axes of min / max of opposite distances (quirk Q6)."""
    low, high = regression[:, :3], regression[:, 3:6]
    return (torch.minimum(low, high) / torch.maximum(low, high)).prod(dim=1).sqrt()


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """Predictions and targets of all locations that take part, one row each."""

    logits: Float[Tensor, " n"]
    regression: Float[Tensor, "n d"]
    centerness: Float[Tensor, " n"]
    labels: Int[Tensor, " n"]
    targets: Float[Tensor, "n d"]


def fcos_losses(
    outputs: Sequence[FCOSOutput],
    boxes: Sequence[Float[Tensor, "_m k"]],
    config: FCOSConfig,
    sizes: Int[Tensor, "b 3"] | None = None,
) -> dict[str, Float[Tensor, ""]]:
    """loss_cls, loss_reg and loss_centerness, not weighted.

    Args:
        boxes: ground truth of each scene.
        sizes: of the scenes before padding; None uses every location.
    """
    rows = _rows(outputs, boxes, config, sizes)
    positive = rows.labels > 0
    count = max(int(positive.sum()), 1)
    cls = focal_loss(rows.logits, rows.labels).sum() / count
    prediction, target = rows.regression[positive], rows.targets[positive]
    wanted = centerness_targets(target)
    centerness = F.binary_cross_entropy_with_logits(
        rows.centerness[positive].to(wanted.dtype), wanted, reduction="sum"
    )
    return {
        "loss_cls": cls,
        "loss_reg": _regression_loss(prediction, target, wanted, config),
        "loss_centerness": centerness / count,
    }


def _rows(
    outputs: Sequence[FCOSOutput],
    boxes: Sequence[Tensor],
    config: FCOSConfig,
    sizes: Int[Tensor, "b 3"] | None,
) -> _Rows:
    cells = cells_of([out.logits for out in outputs])
    targets = fcos_targets(boxes, cells, config)
    device = outputs[0].logits.device
    if sizes is None:
        kept = torch.ones(sum(len(t.labels) for t in targets), dtype=torch.bool, device=device)
    else:
        valid = level_validity(level_locations(cells, device), sizes)
        kept = torch.cat([v.flatten() for v in valid])
    return _Rows(
        logits=_flat([out.logits for out in outputs])[kept, 0],
        regression=_flat([out.regression for out in outputs])[kept],
        centerness=_flat([out.centerness for out in outputs])[kept, 0],
        labels=torch.cat([t.labels for t in targets])[kept],
        targets=torch.cat([t.regression for t in targets])[kept],
    )


def focal_loss(logits: Float[Tensor, " n"], labels: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Sigmoid focal loss, alpha 0.25, gamma 2, not reduced."""
    wanted = labels.to(logits.dtype)
    p = logits.sigmoid()
    bce = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    missed = torch.where(labels > 0, 1 - p, p)
    alpha = torch.where(labels > 0, FOCAL_ALPHA, 1 - FOCAL_ALPHA)
    return alpha * missed**FOCAL_GAMMA * bce


def _regression_loss(
    prediction: Float[Tensor, "p d"],
    target: Float[Tensor, "p d"],
    centerness: Float[Tensor, " p"],
    config: FCOSConfig,
) -> Float[Tensor, ""]:
    """Centerness-weighted mean; the empty sum (with its graph) when nothing is positive."""
    if len(target) == 0:
        return prediction.sum()
    total = centerness.sum()
    if config.box_loss == "smooth_l1":
        per_row = smooth_l1(prediction, target, 1.0).sum(dim=1)
    else:
        per_row = overlap_loss(_boxes(prediction), _boxes(target), config.box_loss)
    if config.additional_l1 and config.rotated:
        offsets = smooth_l1(prediction[:, DISTANCES:], target[:, DISTANCES:], 1.0)
        per_row = per_row + offsets.sum(dim=1)
    if config.projection_weight > 0:
        projected = _projection_loss(_boxes(prediction), _boxes(target))
        per_row = per_row + config.projection_weight * projected
    return (per_row * centerness).sum() / total


def _projection_loss(
    prediction: Float[Tensor, "p k"], target: Float[Tensor, "p k"]
) -> Float[Tensor, " p"]:
    """Mean over 4 views, 2 corners and 2 coordinates of the pixel error, over the grid's side."""
    a = projected_diagonals(prediction, PROJECTION_SIDE)
    b = projected_diagonals(target, PROJECTION_SIDE)
    return smooth_l1(a, b, SMOOTH_BETA).mean(dim=(0, 1, 3)) / PROJECTION_SIDE


def _boxes(regression: Float[Tensor, "p d"]) -> Float[Tensor, "p k"]:
    """Boxes around location 0."""
    origin = regression.new_zeros(len(regression), 3)
    decode = decode_oriented if regression.shape[1] == 8 else decode_distances
    return decode(origin, regression)


def _flat(maps: list[Float[Tensor, "b d _x _y _z"]]) -> Float[Tensor, "n d"]:
    """Rows ordered level, scene, location."""
    return torch.cat([rows_of(m, m.shape[1]).flatten(0, 1) for m in maps])
