"""The second stage: pool, classify and refine regions (spec nerf_rpn 8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from maskfield.methods.nerf_rpn.coders.aligned import decode_aligned
from maskfield.methods.nerf_rpn.coders.regions import decode_in_region
from maskfield.methods.nerf_rpn.config import STRIDES, ObjectnessConfig
from maskfield.nn.conv3d import Conv3d
from maskfield.ops.roi_pool import (
    aabb_roi_pool,
    enlarged,
    enlarged_aabb_official,
    rotated_roi_pool,
)

Maps = Sequence[Float[Tensor, "c _x _y _z"]]


@dataclass(frozen=True, kw_only=True)
class RegionOutput:
    """What the head says about regions.

    Attributes:
        boxes: the enlarged regions; deltas are relative to these (quirk Q10).
        logits: per class, 0 is background.
        deltas: to the refined boxes.
    """

    boxes: Float[Tensor, "n k"]
    logits: Float[Tensor, "n class"]
    deltas: Float[Tensor, "n k"]

    @property
    def probabilities(self) -> Float[Tensor, "n class"]:
        """Softmax of the logits."""
        return self.logits.softmax(dim=1)

    def refined(self) -> Float[Tensor, "n k"]:
        """Boxes after refinement."""
        oriented = self.boxes.shape[1] == 7
        return (decode_in_region if oriented else decode_aligned)(self.deltas, self.boxes)


class RegionHead(nn.Module):
    """Regions of a pyramid to class logits and box deltas.

    Args:
        config: see :class:`ObjectnessConfig`.
    """

    def __init__(self, config: ObjectnessConfig) -> None:
        super().__init__()
        self.config = config
        c = config.channels
        self.layer: nn.Sequential | None = None
        if config.extra_layers:
            convs = [Conv3d(c, c, 3, padding=1), nn.ReLU(), Conv3d(c, c, 3, padding=1)]
            self.layer = nn.Sequential(*convs, nn.ReLU())
        width = c * prod(config.output_size) if config.flatten else c
        self.bbox_pred = nn.Linear(width, 7 if config.rotated else 6)
        self.cls_score = nn.Linear(width, config.classes)

    def forward(
        self, maps: Maps, boxes: Float[Tensor, "n k"], levels: Int[Tensor, " n"]
    ) -> RegionOutput:
        """Answer for regions of one scene.

        Args:
            maps: pyramid levels of the scene. boxes: regions in voxels.
            levels: which level each region is pooled from.
        """
        larger = self._enlarged(boxes)
        pool = rotated_roi_pool if self.config.rotated else aabb_roi_pool
        x = pool(maps, larger, levels, output=self.config.output_size, strides=STRIDES)
        x = x if self.layer is None else self.layer(x)
        x = x.flatten(1) if self.config.flatten else x.mean(dim=(2, 3, 4))
        return RegionOutput(boxes=larger, logits=self.cls_score(x), deltas=self.bbox_pred(x))

    def _enlarged(self, boxes: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        if self.config.compat == "official" and not self.config.rotated:
            return enlarged_aabb_official(boxes, self.config.enlarge)
        return enlarged(boxes, self.config.enlarge)


def joined_regions(parts: Sequence[RegionOutput]) -> RegionOutput:
    """Regions of several scenes, one after the other."""
    return RegionOutput(
        boxes=torch.cat([p.boxes for p in parts]),
        logits=torch.cat([p.logits for p in parts]),
        deltas=torch.cat([p.deltas for p in parts]),
    )
