"""A small pyramid of residual stages with group norms: image features for little money."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from maskfield.nn.resnet2d import initialise

GROUP = 8  # channels per norm group; statistics do not depend on the batch


class NormedBlock(nn.Module):
    """x + conv(relu(norm(conv(relu(norm(x)))))), 3x3."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(width // GROUP, width)
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.GroupNorm(width // GROUP, width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        y = self.conv1(F.relu(self.norm1(x)))
        return x + self.conv2(F.relu(self.norm2(y)))


class SmallPyramid(nn.Module):
    """Stages of strides 2, 4, 8, ...

    Args:
        widths: channels per stage. blocks: residual blocks per stage.
    """

    def __init__(self, widths: Sequence[int], blocks: int = 1) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(inside, width, 5 if i == 0 else 3, stride=2, padding=2 if i == 0 else 1),
                *(NormedBlock(width) for _ in range(blocks)),
            )
            for i, (inside, width) in enumerate(zip((3, *widths[:-1]), widths, strict=True))
        )
        self.apply(initialise)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> list[Float[Tensor, "b _c _h _w"]]:
        """One map per stage, fine to coarse."""
        maps: list[Tensor] = []
        x = images
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps
