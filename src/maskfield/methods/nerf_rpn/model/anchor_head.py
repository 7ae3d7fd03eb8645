"""The anchor-based head (spec nerf_rpn 6.2). Module names follow the official state dict."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from maskfield.methods.nerf_rpn.anchors import ANCHORS_PER_CELL
from maskfield.methods.nerf_rpn.batches import GridBatch
from maskfield.methods.nerf_rpn.config import AnchorConfig
from maskfield.methods.nerf_rpn.losses.anchor import anchor_losses, anchor_targets
from maskfield.methods.nerf_rpn.matching import permutation_from
from maskfield.methods.nerf_rpn.model.anchor_proposals import anchor_proposals
from maskfield.methods.nerf_rpn.model.outputs import AnchorOutput, Proposals, cells_of
from maskfield.nn.conv3d import Conv3d


class AnchorHead(nn.Module):
    """Convolutions shared by all levels and two 1x1x1 predictions."""

    def __init__(self, config: AnchorConfig, channels: int = 256) -> None:
        super().__init__()
        self.config = config
        self.width = 8 if config.rotated else 6
        layers: list[nn.Module] = []
        for _ in range(config.convs):
            layers += [Conv3d(channels, channels, 3, padding=1), nn.ReLU()]
        self.conv = nn.Sequential(*layers)
        self.cls_logits = Conv3d(channels, ANCHORS_PER_CELL, 1)
        self.bbox_pred = Conv3d(channels, ANCHORS_PER_CELL * self.width, 1)
        self.apply(_initialise)

    def forward(self, levels: list[Float[Tensor, "b c _x _y _z"]]) -> list[AnchorOutput]:
        """Predictions per level."""
        shared = [self.conv(x) for x in levels]
        return [AnchorOutput(logits=self.cls_logits(x), deltas=self.bbox_pred(x)) for x in shared]

    def losses(
        self,
        outputs: list[AnchorOutput],
        batch: GridBatch,
        boxes: Sequence[Float[Tensor, "_m k"]],
        generator: torch.Generator | None = None,
    ) -> dict[str, Float[Tensor, ""]]:
        """Weighted losses of one batch.

        Args:
            generator: draws the anchors that take part.
        """
        cells = cells_of([out.logits for out in outputs])
        sizes = batch.sizes if batch.masked else batch.sizes.new_tensor([batch.shape])
        targets = anchor_targets(boxes, batch.shape, cells, sizes, self.config)
        sample = targets.sample(self.config, permutation_from(generator))
        parts = anchor_losses(outputs, targets, sample, self.config, max(batch.shape))
        return {name: self.weight(name) * loss for name, loss in parts.items()}

    def weight(self, name: str) -> float:
        """Weight of a part of the loss."""
        weights = {
            "loss_rpn_box_reg": self.config.box_weight,
            "loss_rpn_box_reg_2d": self.config.projection_weight,
        }
        return weights.get(name, 1.0)

    def proposals(self, outputs: list[AnchorOutput], batch: GridBatch) -> list[Proposals]:
        """Proposals of every scene."""
        return anchor_proposals(outputs, batch, self.config)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv3d):
        nn.init.normal_(module.weight, std=0.01)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
