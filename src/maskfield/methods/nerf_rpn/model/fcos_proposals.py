"""From the outputs of the anchor-free head to proposals (spec nerf_rpn 7.5)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from maskfield.methods.nerf_rpn.batches import GridBatch
from maskfield.methods.nerf_rpn.coders.fcos import decode_distances, decode_oriented
from maskfield.methods.nerf_rpn.config import FCOSConfig
from maskfield.methods.nerf_rpn.locations import level_locations, level_validity
from maskfield.methods.nerf_rpn.model.outputs import (
    FCOSOutput,
    Proposals,
    cells_of,
    joined,
    rows_of,
)
from maskfield.ops.nms import clip_aabb, nms, remove_small


def fcos_candidates(
    outputs: Sequence[FCOSOutput],
    regressions: Sequence[Float[Tensor, "b d _x _y _z"]],
    batch: GridBatch,
    config: FCOSConfig,
) -> list[Proposals]:
    """Per scene, the best locations of every level, decoded, before suppression.

    Args:
        regressions: distances in voxels.
    """
    points = level_locations(cells_of(list(regressions)), batch.sizes.device)
    valid = level_validity(points, batch.sizes) if batch.masked else [None] * len(points)
    scenes = []
    for scene in range(len(batch.sizes)):
        parts = [
            _level(
                rows_of(out.logits, 1)[scene, :, 0].sigmoid(),
                rows_of(out.centerness, 1)[scene, :, 0].sigmoid(),
                rows_of(reg, reg.shape[1])[scene],
                where,
                None if inside is None else inside[scene],
                config,
            )
            for out, reg, where, inside in zip(outputs, regressions, points, valid, strict=True)
        ]
        levels = [p.levels + i for i, p in enumerate(parts)]
        parts = [
            Proposals(boxes=p.boxes, scores=p.scores, levels=n)
            for p, n in zip(parts, levels, strict=True)
        ]
        scenes.append(_finished(joined(parts), batch.sizes[scene], config))
    return scenes


def suppressed(candidates: Proposals, config: FCOSConfig) -> Proposals:
    """Greedy suppression over all levels, then the best ``post_nms_count`` (and their ties)."""
    kept = candidates[nms(candidates.boxes, candidates.scores, config.nms_threshold)]
    if len(kept) <= config.post_nms_count:
        return kept
    return kept[kept.scores >= kept.scores.topk(config.post_nms_count).values[-1]]


def _level(
    cls: Float[Tensor, " n"],
    centerness: Float[Tensor, " n"],
    regression: Float[Tensor, "n d"],
    points: Float[Tensor, "n 3"],
    valid: Bool[Tensor, " n"] | None,
    config: FCOSConfig,
) -> Proposals:
    """The best locations of a level; scores are still cls * centerness."""
    allowed = cls > config.pre_nms_score
    if valid is not None:
        allowed = allowed & valid
    index = allowed.nonzero()[:, 0]
    product = (cls * centerness)[index]
    best, order = product.topk(min(len(index), config.pre_nms_count))
    index = index[order]
    decode = decode_oriented if config.rotated else decode_distances
    boxes = decode(points[index].to(regression), regression[index])
    return Proposals(boxes=boxes, scores=best, levels=torch.zeros_like(index))


def _finished(proposals: Proposals, size: Tensor, config: FCOSConfig) -> Proposals:
    boxes = proposals.boxes
    if not config.rotated:
        x, y, z = size.tolist()
        boxes = clip_aabb(boxes, (x, y, z))
    final = Proposals(boxes=boxes, scores=proposals.scores.sqrt(), levels=proposals.levels)
    return final[remove_small(boxes, config.min_size)]
