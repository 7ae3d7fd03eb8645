"""Targets and losses of the anchor-based head (spec nerf_rpn 6.4, 6.5).

Legend: n anchors of all levels of one scene; flat rows are ordered scene, level, location, anchor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from maskfield.methods.nerf_rpn.anchors import all_anchors, anchor_validity
from maskfield.methods.nerf_rpn.coders.aligned import decode_aligned, encode_aligned
from maskfield.methods.nerf_rpn.coders.midpoint import (
    decode_midpoint,
    encode_midpoint,
    outer_box,
)
from maskfield.methods.nerf_rpn.config import AnchorConfig
from maskfield.methods.nerf_rpn.losses.boxes import SMOOTH_BETA, overlap_loss, smooth_l1
from maskfield.methods.nerf_rpn.matching import BETWEEN, Permute, balanced_sample, match
from maskfield.methods.nerf_rpn.model.outputs import AnchorOutput, rows_of
from maskfield.methods.nerf_rpn.projection import projected_diagonals
from maskfield.ops.box_iou import aabb_iou

POSITIVE, BACKGROUND, IGNORED = 1, 0, -1
Sample = tuple[Int[Tensor, " p"], Int[Tensor, " q"]]


@dataclass(frozen=True, kw_only=True)
class AnchorTargets:
    """What every anchor of a batch should answer.

    Attributes:
        anchors: of one scene.
        valid: anchors whose cell begins inside the scene.
        labels: 1 positive, 0 background, -1 ignored.
        matched: the box of every anchor's best ground truth (row 0 for background).
    """

    anchors: Float[Tensor, "n 6"]
    valid: Bool[Tensor, "b n"]
    labels: Int[Tensor, "b n"]
    matched: Float[Tensor, "b n k"]

    def sample(self, config: AnchorConfig, permute: Permute) -> Sample:
        """Flat rows of the positives and negatives that take part in the losses."""
        masks = [
            balanced_sample(row, config.samples, config.positive_fraction, permute)
            for row in self.labels
        ]
        positive = torch.cat([m[0] for m in masks]).nonzero()[:, 0]
        return positive, torch.cat([m[1] for m in masks]).nonzero()[:, 0]

    def anchors_of(self, rows: Int[Tensor, " p"]) -> Float[Tensor, "p 6"]:
        """Anchors of flat rows."""
        return self.anchors[rows % len(self.anchors)]


@dataclass(frozen=True, kw_only=True)
class _Positives:
    """Deltas predicted and wanted, boxes decoded and wanted, of the sampled positives."""

    deltas: Float[Tensor, "p d"]
    target_deltas: Float[Tensor, "p d"]
    boxes: Float[Tensor, "p k"]
    target_boxes: Float[Tensor, "p k"]


def anchor_targets(
    boxes: Sequence[Float[Tensor, "_m k"]],
    grid: tuple[int, int, int],
    cells: Sequence[tuple[int, int, int]],
    sizes: Int[Tensor, "b 3"],
    config: AnchorConfig,
) -> AnchorTargets:
    """Labels and matched boxes of all anchors.

    Args:
        boxes: ground truth of each scene.
        grid: padded size. sizes: sizes before padding (the padded one where nothing is masked).
    """
    anchors = torch.cat(all_anchors(grid, cells, sizes.device))
    valid = torch.cat(anchor_validity(grid, cells, sizes), dim=1)
    scenes = [_scene(b, anchors, v, config) for b, v in zip(boxes, valid, strict=True)]
    labels, matched = (torch.stack(t) for t in zip(*scenes, strict=True))
    return AnchorTargets(anchors=anchors, valid=valid, labels=labels, matched=matched)


def _scene(
    boxes: Float[Tensor, "m k"],
    anchors: Float[Tensor, "n 6"],
    valid: Bool[Tensor, " n"],
    config: AnchorConfig,
) -> tuple[Int[Tensor, " n"], Float[Tensor, "n k"]]:
    labels = torch.full(valid.shape, BACKGROUND, device=valid.device)
    matched = boxes.new_zeros(len(anchors), boxes.shape[1])
    if len(boxes):
        outer = outer_box(boxes) if config.rotated else boxes
        quality = aabb_iou(outer, anchors.to(outer)).masked_fill(~valid, -1.0)
        matches = match(quality, config.foreground_iou, config.background_iou)
        labels = torch.where(matches >= 0, POSITIVE, labels)
        labels = labels.masked_fill(matches == BETWEEN, IGNORED)
        matched = boxes[matches.clamp(min=0)]
    return labels.masked_fill(~valid, IGNORED), matched


def flat_rows(
    outputs: Sequence[AnchorOutput], config: AnchorConfig
) -> tuple[Float[Tensor, " n"], Float[Tensor, "n d"]]:
    """Logits and deltas of all anchors, ordered scene, level, location, anchor."""
    logits = torch.cat([rows_of(out.logits, 1) for out in outputs], dim=1)
    width = 8 if config.rotated else 6
    deltas = torch.cat([rows_of(out.deltas, width) for out in outputs], dim=1)
    return logits.flatten(), deltas.flatten(0, 1)


def anchor_losses(
    outputs: Sequence[AnchorOutput],
    targets: AnchorTargets,
    sample: Sample,
    config: AnchorConfig,
    longest: int | float,
) -> dict[str, Float[Tensor, ""]]:
    """loss_objectness, loss_rpn_box_reg and, if weighted, loss_rpn_box_reg_2d; not weighted.

    Args:
        sample: from :meth:`AnchorTargets.sample`.
        longest: longest side of the padded grid in voxels.
    """
    logits, deltas = flat_rows(outputs, config)
    chosen = torch.cat(sample)
    labels = (targets.labels.flatten()[chosen] == POSITIVE).to(logits.dtype)
    positives = _positives(deltas, targets, sample[0], config)
    losses = {
        "loss_objectness": F.binary_cross_entropy_with_logits(logits[chosen], labels),
        "loss_rpn_box_reg": _regression(positives, config) / max(len(chosen), 1),
    }
    if config.projection_weight > 0:
        losses["loss_rpn_box_reg_2d"] = _projection(positives, longest)
    return losses


def _positives(
    deltas: Float[Tensor, "n d"],
    targets: AnchorTargets,
    rows: Int[Tensor, " p"],
    config: AnchorConfig,
) -> _Positives:
    anchors, wanted = targets.anchors_of(rows), targets.matched.flatten(0, 1)[rows]
    encode = encode_midpoint if config.rotated else encode_aligned
    decode = decode_midpoint if config.rotated else decode_aligned
    return _Positives(
        deltas=deltas[rows],
        target_deltas=encode(wanted, anchors.to(wanted)),
        boxes=decode(deltas[rows], anchors),
        target_boxes=wanted,
    )


def _regression(rows: _Positives, config: AnchorConfig) -> Float[Tensor, ""]:
    if config.box_loss == "smooth_l1":
        return smooth_l1(rows.deltas, rows.target_deltas, SMOOTH_BETA).sum()
    return overlap_loss(rows.boxes, rows.target_boxes, config.box_loss).sum()


def _projection(rows: _Positives, longest: int | float) -> Float[Tensor, ""]:
    """Pixel error of two corners in four views, per positive, over the grid's side."""
    a = projected_diagonals(rows.boxes, longest)
    b = projected_diagonals(rows.target_boxes, longest)
    return smooth_l1(a, b, SMOOTH_BETA).sum() / max(len(rows.boxes), 1) / longest
