"""Feature pyramid on 3-D maps (spec nerf_mae 3.7): maps from fine to coarse, channels-first."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class FeaturePyramid(nn.Module):
    """Lateral 1x1x1 convolutions, nearest top-down addition, 3x3x3 convolutions.

    Args:
        in_channels: channels of each map, fine to coarse.
        out_channels: channels of every level that comes out.
    """

    def __init__(self, in_channels: Sequence[int], out_channels: int = 256) -> None:
        super().__init__()
        self.out_channels = out_channels
        self.lateral_convs = nn.ModuleList(nn.Conv3d(c, out_channels, 1) for c in in_channels)
        self.fpn_convs = nn.ModuleList(
            nn.Conv3d(out_channels, out_channels, 3, padding=1) for _ in in_channels
        )

    def forward(
        self, maps: Sequence[Float[Tensor, "b _c _x _y _z"]]
    ) -> list[Float[Tensor, "b o _x _y _z"]]:
        """Levels of the same sizes as ``maps``; sizes need not halve exactly."""
        levels = [conv(x) for conv, x in zip(self.lateral_convs, maps, strict=True)]
        for i in range(len(levels) - 1, 0, -1):
            finer = levels[i - 1]
            levels[i - 1] = finer + F.interpolate(levels[i], size=finer.shape[2:], mode="nearest")
        return [conv(x) for conv, x in zip(self.fpn_convs, levels, strict=True)]
