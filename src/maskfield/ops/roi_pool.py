"""RoI pooling of 3-D feature maps: boxes of any size become blocks of one size. No loop over RoIs.

A RoI is cut into cells, one sample each (:mod:`maskfield.ops.roi_pool_blocks`). Samples lie on
feature cells counted from 0, not on their centres, as in the networks this was made for.

Gradients flow to the features, not to the boxes. Maps are [channel, x, y, z], one per level.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from maskfield.core.errors import DataError
from maskfield.ops.box_iou import AABB, OBB, check_columns, product, sides
from maskfield.ops.roi_pool_blocks import (
    Features,
    Mode,
    SampleBlocks,
    Triple,
    map_sizes,
    pool_blocks,
)


def rotated_roi_pool(
    features: Features,
    boxes: Float[Tensor, "roi 7"],
    levels: Int[Tensor, " roi"],
    *,
    output: Triple,
    strides: Sequence[float],
    mode: Mode = "max",
) -> Float[Tensor, "roi channel _ _ _"]:
    """Pool OBBs (grid coordinates) of one scene; samples outside a map are 0.

    Args:
        levels: the feature map each RoI reads. strides: grid voxels per cell, one per map.

    Raises:
        DataError: columns, lengths or levels that do not fit, NaN. ConfigError: unknown mode.
    """
    _check(OBB, features, boxes, levels, strides)
    boxes = boxes.detach()
    stride = _per_roi(strides, levels, boxes)
    blocks = SampleBlocks(
        centre=boxes[:, :3] / stride,
        cells=(boxes[:, 3:6] / stride).ceil().clamp_min(1).long(),
        theta=boxes[:, 6],
        level=levels,
    )
    return pool_blocks(features, blocks, output, mode)


def aabb_roi_pool(
    features: Features,
    boxes: Float[Tensor, "roi 6"],
    levels: Int[Tensor, " roi"],
    *,
    output: Triple,
    strides: Sequence[float],
    mode: Mode = "max",
) -> Float[Tensor, "roi channel _ _ _"]:
    """Pool AABBs (grid coordinates): all cells from that of the low to that of the high corner.

    Cells outside the map are left out; a RoI wholly outside gives zeros.

    Raises:
        DataError: columns, lengths or levels that do not fit, NaN. ConfigError: unknown mode.
    """
    _check(AABB, features, boxes, levels, strides)
    boxes = boxes.detach()
    stride = _per_roi(strides, levels, boxes)
    last = map_sizes(features, boxes.device)[levels] - 1
    low = (boxes[:, :3] / stride).floor().long().clamp_min(0)
    high = torch.minimum((boxes[:, 3:] / stride).floor().long(), last)
    cells = (high - low + 1).clamp_min(0)
    blocks = SampleBlocks(
        centre=low + (cells - 1).to(boxes) / 2,
        cells=cells,
        theta=boxes.new_zeros(len(boxes)),
        level=levels,
    )
    return pool_blocks(features, blocks, output, mode)


def enlarged(boxes: Float[Tensor, "roi k"], share: float) -> Float[Tensor, "roi k"]:
    """Boxes whose sides are longer by ``share`` around the same centre, as a new tensor."""
    if boxes.shape[-1] == OBB:
        return torch.cat([boxes[:, :3], boxes[:, 3:6] * (1 + share), boxes[:, 6:]], dim=1)
    check_columns(AABB, boxes)
    return _scaled_aabb(boxes, 1 + share)


def enlarged_aabb_official(boxes: Float[Tensor, "roi 6"], share: float) -> Float[Tensor, "roi 6"]:
    """What the original enlargement of AABBs does: sides become (1 + share) / 2 of what they were.

    For its checkpoints only.
    """
    check_columns(AABB, boxes)
    return _scaled_aabb(boxes, (1 + share) / 2)


def fpn_levels(
    boxes: Float[Tensor, "roi k"],
    *,
    canonical_size: float,
    canonical_level: int = 4,
    lowest: int = 2,
    highest: int = 5,
) -> Int[Tensor, " roi"]:
    """Feature map of each box, counted from 0, by the cube root of its volume.

    A cube of side ``canonical_size`` belongs to pyramid level ``canonical_level``; map 0 is level
    ``lowest`` (arXiv 1612.03144, equation 1, in three dimensions).
    """
    check_columns(AABB if boxes.shape[-1] == AABB else OBB, boxes)
    volume = product(sides(boxes))
    level = canonical_level + torch.log2(volume ** (1 / 3) / canonical_size) + 1e-6
    return level.floor().clamp(lowest, highest).long() - lowest


def _scaled_aabb(boxes: Tensor, factor: float) -> Tensor:
    centre, half = (boxes[:, :3] + boxes[:, 3:]) / 2, (boxes[:, 3:] - boxes[:, :3]) / 2 * factor
    return torch.cat([centre - half, centre + half], dim=1)


def _per_roi(strides: Sequence[float], levels: Tensor, boxes: Tensor) -> Tensor:
    return boxes.new_tensor(list(strides))[levels][:, None]


def _check(
    columns: int, features: Features, boxes: Tensor, levels: Tensor, strides: Sequence[float]
) -> None:
    check_columns(columns, boxes)
    good = boxes.ndim == 2 and levels.shape == boxes.shape[:1]
    good = good and len(strides) == len(features) > 0 and all(f.ndim == 4 for f in features)
    if not good:
        raise DataError(
            "RoI pooling takes boxes [roi, k], levels [roi], and per level a stride and a map",
            field="features, boxes, levels, strides",
            value=([tuple(f.shape) for f in features], tuple(boxes.shape), tuple(levels.shape)),
            remedy="pass one scene at a time, feature maps [channel, x, y, z] without a batch axis",
        )
    wrong = ~torch.isfinite(boxes).all(-1) | (levels < 0) | (levels >= len(features))
    if wrong.any():
        row = int(wrong.nonzero()[0])
        raise DataError(
            "a RoI is not finite or belongs to a level without a feature map",
            field=f"RoI {row} (level, box)",
            value=(int(levels[row]), boxes[row].tolist()),
            remedy=f"levels run from 0 to {len(features) - 1}",
        )
