"""The detector: backbone, pyramid, head. Grids in, proposals or losses out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from maskfield.methods.nerf_rpn.batches import GridBatch, pad_grids
from maskfield.methods.nerf_rpn.config import AnchorConfig, FCOSConfig, NerfRPNConfig
from maskfield.methods.nerf_rpn.model.anchor_head import AnchorHead
from maskfield.methods.nerf_rpn.model.backbones import build_backbone
from maskfield.methods.nerf_rpn.model.fcos_head import FCOSHead
from maskfield.methods.nerf_rpn.model.outputs import Proposals, widened


class Detector(nn.Module):
    """Finds boxes in radiance grids.

    Grids hold red, green, blue and alpha in [0, 1]; they may differ in size. Boxes are in voxels
    of each grid's own frame.
    """

    def __init__(self, config: NerfRPNConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = build_backbone(config.backbone, config.channels)
        self.head = build_head(config.head, config.channels)

    def forward(self, grids: Sequence[Float[Tensor, "4 _x _y _z"]]) -> list[Proposals]:
        """Proposals of every grid, by descending score."""
        batch = self.batch(grids)
        outputs = widened(self.head(self.backbone(batch.grids)))
        with _exact(batch):
            return self.head.proposals(outputs, batch)

    def losses(
        self,
        grids: Sequence[Float[Tensor, "4 _x _y _z"]],
        boxes: Sequence[Float[Tensor, "_m k"]],
        generator: torch.Generator | None = None,
    ) -> dict[str, Float[Tensor, ""]]:
        """Weighted parts of the loss; train on their sum.

        Args:
            boxes: ground truth of each grid, 6 or 7 columns as the head's ``rotated`` says.
            generator: draws stochastic depth and the anchors that take part.
        """
        batch = self.batch(grids)
        outputs = widened(self.head(self.backbone(batch.grids, generator)))
        with _exact(batch):
            return self.head.losses(outputs, batch, boxes, generator)

    def batch(self, grids: Sequence[Float[Tensor, "4 _x _y _z"]]) -> GridBatch:
        """Grids padded as this detector wants them."""
        return pad_grids(grids, self.config.resolution)


def _exact(batch: GridBatch) -> torch.autocast:
    """Geometry is computed in full precision, whatever the networks run in."""
    return torch.autocast(batch.grids.device.type, enabled=False)


def build_head(config: FCOSConfig | AnchorConfig, channels: int = 256) -> FCOSHead | AnchorHead:
    """The head of a config, freshly initialised."""
    if isinstance(config, FCOSConfig):
        return FCOSHead(config, channels)
    return AnchorHead(config, channels)
