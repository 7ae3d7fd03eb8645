"""From the outputs of the anchor-based head to proposals (spec nerf_rpn 6.6)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from maskfield.methods.nerf_rpn.anchors import all_anchors, anchor_validity
from maskfield.methods.nerf_rpn.batches import GridBatch
from maskfield.methods.nerf_rpn.coders.aligned import decode_aligned
from maskfield.methods.nerf_rpn.coders.midpoint import decode_midpoint
from maskfield.methods.nerf_rpn.config import AnchorConfig
from maskfield.methods.nerf_rpn.geometry import centre_inside
from maskfield.methods.nerf_rpn.model.outputs import (
    AnchorOutput,
    Proposals,
    cells_of,
    joined,
    rows_of,
)
from maskfield.ops.nms import clip_aabb, nms, remove_small


def anchor_proposals(
    outputs: Sequence[AnchorOutput], batch: GridBatch, config: AnchorConfig
) -> list[Proposals]:
    """Proposals of every scene: suppression per level, levels merged by score."""
    cells = cells_of([out.logits for out in outputs])
    anchors = all_anchors(batch.shape, cells, batch.sizes.device)
    valid = anchor_validity(batch.shape, cells, batch.sizes) if batch.masked else None
    scenes = []
    for scene in range(len(batch.sizes)):
        parts = [
            _level(out, anchors[i], None if valid is None else valid[i][scene], scene, i, config)
            for i, out in enumerate(outputs)
        ]
        clipped = _clipped(joined(parts), batch, scene, config)
        clipped = clipped[remove_small(clipped.boxes, config.min_size)]
        clipped = clipped[clipped.scores >= config.score_threshold]
        scenes.append(_suppressed(clipped, config))
    return scenes


def _level(
    output: AnchorOutput,
    anchors: Float[Tensor, "n 6"],
    valid: Bool[Tensor, " n"] | None,
    scene: int,
    level: int,
    config: AnchorConfig,
) -> Proposals:
    """The best anchors of a level, decoded."""
    width = 8 if config.rotated else 6
    logits = rows_of(output.logits[scene : scene + 1], 1)[0, :, 0]
    deltas = rows_of(output.deltas[scene : scene + 1], width)[0]
    if valid is not None:
        logits = logits.masked_fill(~valid, -torch.inf)
    best, index = logits.topk(min(config.pre_nms_count, len(logits)))
    if config.compat == "maskfield":  # quirk Q14: padded anchors stay, with score 0
        best, index = best[best.isfinite()], index[best.isfinite()]
    decode = decode_midpoint if config.rotated else decode_aligned
    boxes = decode(deltas[index], anchors[index].to(deltas))
    return Proposals(boxes=boxes, scores=best.sigmoid(), levels=torch.full_like(index, level))


def _clipped(proposals: Proposals, batch: GridBatch, scene: int, config: AnchorConfig) -> Proposals:
    """Axis-aligned boxes cut to the grid; oriented ones with their centre outside dropped."""
    official = config.compat == "official"  # quirk Q14: the padded size
    size = batch.sizes.new_tensor(batch.shape) if official else batch.sizes[scene]
    if not config.rotated:
        x, y, z = size.tolist()
        boxes = clip_aabb(proposals.boxes, (x, y, z))
        return Proposals(boxes=boxes, scores=proposals.scores, levels=proposals.levels)
    inside = centre_inside(proposals.boxes, size)
    if not official:
        return proposals[inside]
    boxes = proposals.boxes[inside]  # quirk Q1: scores and levels stay where they were
    count = len(boxes)
    return Proposals(boxes=boxes, scores=proposals.scores[:count], levels=proposals.levels[:count])


def _suppressed(proposals: Proposals, config: AnchorConfig) -> Proposals:
    kept = nms(proposals.boxes, proposals.scores, config.nms_threshold, groups=proposals.levels)
    return proposals[kept[: config.post_nms_count]]
