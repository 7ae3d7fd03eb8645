"""The second stage: classify and refine pooled regions (spec nerf_rpn 8)."""

from __future__ import annotations

from math import prod

from jaxtyping import Float
from torch import Tensor, nn

from maskfield.methods.nerf_rpn.config import ObjectnessConfig


class RegionHead(nn.Module):
    """Pooled regions to class logits and box deltas.

    Args:
        config: see :class:`ObjectnessConfig`.
    """

    def __init__(self, config: ObjectnessConfig) -> None:
        super().__init__()
        self.config = config
        c = config.channels
        self.layer: nn.Sequential | None = None
        if config.extra_layers:
            convs = [nn.Conv3d(c, c, 3, padding=1), nn.ReLU(), nn.Conv3d(c, c, 3, padding=1)]
            self.layer = nn.Sequential(*convs, nn.ReLU())
        width = c * prod(config.output_size) if config.flatten else c
        self.bbox_pred = nn.Linear(width, 7 if config.rotated else 6)
        self.cls_score = nn.Linear(width, config.classes)

    def forward(
        self, pooled: Float[Tensor, "n c x y z"]
    ) -> tuple[Float[Tensor, "n class"], Float[Tensor, "n d"]]:
        """Class logits (0 is background) and deltas from the region each was pooled from."""
        x = pooled if self.layer is None else self.layer(pooled)
        x = x.flatten(1) if self.config.flatten else x.mean(dim=(2, 3, 4))
        return self.cls_score(x), self.bbox_pred(x)
