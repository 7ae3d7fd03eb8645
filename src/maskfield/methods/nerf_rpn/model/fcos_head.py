"""The anchor-free head (spec nerf_rpn 7.1). Module names follow the official state dict."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from maskfield.methods.nerf_rpn.batches import GridBatch
from maskfield.methods.nerf_rpn.config import STRIDES, FCOSConfig
from maskfield.methods.nerf_rpn.losses.fcos import DISTANCES, fcos_losses
from maskfield.methods.nerf_rpn.model.fcos_proposals import fcos_candidates, suppressed
from maskfield.methods.nerf_rpn.model.outputs import FCOSOutput, Proposals
from maskfield.nn.conv3d import Conv3d

PRIOR = 0.01  # class score of every location at the start
SCALES = 5  # the official head owns five, four of which are used


class Scale(nn.Module):
    """One learned factor."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return x * self.scale


class FCOSHead(nn.Module):
    """Two towers shared by all levels and three predictions.

    Regression channels: distances to (xmin, ymin, zmin, xmax, ymax, zmax) of the outer box, then,
    for oriented boxes, the two corner offsets.
    """

    def __init__(self, config: FCOSConfig, channels: int = 256) -> None:
        super().__init__()
        self.config = config
        self.cls_tower = _tower(channels, config.convs)
        self.bbox_tower = _tower(channels, config.convs)
        self.cls_logits = Conv3d(channels, 1, 3, padding=1)
        self.bbox_pred = Conv3d(channels, 8 if config.rotated else 6, 3, padding=1)
        self.centerness = Conv3d(channels, 1, 3, padding=1)
        self.scales = nn.ModuleList(Scale() for _ in range(SCALES))
        self.apply(_initialise)
        nn.init.constant_(self.cls_logits.bias, -math.log((1 - PRIOR) / PRIOR))  # pyright: ignore

    def forward(self, levels: list[Float[Tensor, "b c _x _y _z"]]) -> list[FCOSOutput]:
        """Predictions per level; distances in units of the stride if targets are normalised."""
        return [self._level(x, scale) for x, scale in zip(levels, self.scales, strict=False)]

    def in_voxels(self, outputs: list[FCOSOutput]) -> list[Float[Tensor, "b d _x _y _z"]]:
        """Regressions with distances in voxels."""
        if not self.config.norm_targets:
            return [out.regression for out in outputs]
        return [
            torch.cat([r[:, :DISTANCES] * stride, r[:, DISTANCES:]], dim=1)
            for r, stride in zip((out.regression for out in outputs), STRIDES, strict=True)
        ]

    def losses(
        self,
        outputs: list[FCOSOutput],
        batch: GridBatch,
        boxes: Sequence[Float[Tensor, "_m k"]],
        generator: torch.Generator | None = None,
    ) -> dict[str, Float[Tensor, ""]]:
        """Weighted losses of one batch; nothing random is drawn."""
        losses = fcos_losses(outputs, boxes, self.config, batch.sizes if batch.masked else None)
        return {**losses, "loss_reg": self.config.box_weight * losses["loss_reg"]}

    def proposals(self, outputs: list[FCOSOutput], batch: GridBatch) -> list[Proposals]:
        """Proposals of every scene."""
        found = fcos_candidates(outputs, self.in_voxels(outputs), batch, self.config)
        return [suppressed(scene, self.config) for scene in found]

    def _level(self, x: Float[Tensor, "b c x y z"], scale: nn.Module) -> FCOSOutput:
        cls, box = self.cls_tower(x), self.bbox_tower(x)
        return FCOSOutput(
            logits=self.cls_logits(cls),
            regression=self._positive(scale(self.bbox_pred(box))),
            centerness=self.centerness(box if self.config.centerness_on_reg else cls),
        )

    def _positive(self, raw: Float[Tensor, "b d x y z"]) -> Float[Tensor, "b d x y z"]:
        if not self.config.norm_targets:
            return raw.exp()
        return torch.cat([F.relu(raw[:, :DISTANCES]), raw[:, DISTANCES:]], dim=1)


def _tower(channels: int, convs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(convs):
        layers += [Conv3d(channels, channels, 3, padding=1), nn.GroupNorm(32, channels)]
        layers.append(nn.ReLU())
    return nn.Sequential(*layers)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv3d):
        nn.init.normal_(module.weight, std=0.01)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
