"""Feature pyramid on 3-D maps, fine to coarse, channels-first (spec nerf_mae 3.7, nerf_rpn 4.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from maskfield.nn.conv3d import Conv3d

ExtraSource = Literal["pool", "on_input", "on_lateral", "on_output"]


class FeaturePyramid(nn.Module):
    """Lateral 1x1x1 convolutions, nearest top-down addition, 3x3x3 convolutions.

    Args:
        in_channels: channels of each map, fine to coarse.
        out_channels: channels of every level that comes out.
        extra_levels: levels beyond the coarsest map, each half the size of the one before.
        extra_source: "pool" takes every second cell of the last level; the others are strided
            convolutions, the first of the coarsest input, lateral or output, the next of the last.
        extra_relu: rectify before the second and later extra convolutions.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int = 256,
        *,
        extra_levels: int = 0,
        extra_source: ExtraSource = "pool",
        extra_relu: bool = False,
    ) -> None:
        super().__init__()
        self.out_channels = out_channels
        self.extra_levels, self.extra_source = extra_levels, extra_source
        self.extra_relu = extra_relu
        self.lateral_convs = nn.ModuleList(Conv3d(c, out_channels, 1) for c in in_channels)
        self.fpn_convs = nn.ModuleList(
            Conv3d(out_channels, out_channels, 3, padding=1) for _ in in_channels
        )
        widths = [in_channels[-1] if extra_source == "on_input" else out_channels]
        widths += [out_channels] * (extra_levels - 1)
        if extra_source != "pool":
            for width in widths[:extra_levels]:
                self.fpn_convs.append(Conv3d(width, out_channels, 3, stride=2, padding=1))

    def forward(
        self, maps: Sequence[Float[Tensor, "b _c _x _y _z"]]
    ) -> list[Float[Tensor, "b o _x _y _z"]]:
        """Levels of the sizes of ``maps``, then the extra ones; sizes need not halve exactly."""
        laterals = [conv(x) for conv, x in zip(self.lateral_convs, maps, strict=True)]
        for i in range(len(laterals) - 1, 0, -1):
            finer = laterals[i - 1]
            up = F.interpolate(laterals[i], size=finer.shape[2:], mode="nearest")
            laterals[i - 1] = finer + up
        levels = [conv(x) for conv, x in zip(self.fpn_convs, laterals, strict=False)]
        sources = {"on_input": maps[-1], "on_lateral": laterals[-1], "on_output": levels[-1]}
        return levels + self._extra(sources.get(self.extra_source, levels[-1]), len(levels))

    def _extra(self, source: Tensor, first: int) -> list[Float[Tensor, "b o _x _y _z"]]:
        extra: list[Tensor] = []
        for i in range(self.extra_levels):
            if self.extra_source == "pool":
                source = source[:, :, ::2, ::2, ::2]
            else:
                given = F.relu(source) if self.extra_relu and i else source
                source = self.fpn_convs[first + i](given)
            extra.append(source)
        return extra
