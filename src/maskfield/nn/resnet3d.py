"""Bottleneck ResNets on 3-D grids (spec nerf_rpn 4.3); names follow the official state dict."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from maskfield.nn.conv3d import Conv3d

EXPANSION = 4
RESNET50 = (3, 4, 6, 3)


class Bottleneck(nn.Module):
    """1x1x1 (with the stride, quirk Q9), 3x3x3, 1x1x1 to four times the planes; shortcut."""

    def __init__(self, inside: int, planes: int, *, stride: int = 1, project: bool = False) -> None:
        super().__init__()
        out = EXPANSION * planes
        self.conv1 = Conv3d(inside, planes, 1, stride=stride, bias=False)
        self.bn1 = nn.BatchNorm3d(planes)
        self.conv2 = Conv3d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm3d(planes)
        self.conv3 = Conv3d(planes, out, 1, bias=False)
        self.bn3 = nn.BatchNorm3d(out)
        self.downsample = (
            nn.Sequential(Conv3d(inside, out, 1, stride=stride, bias=False), nn.BatchNorm3d(out))
            if project
            else None
        )

    def forward(self, x: Float[Tensor, "b i x y z"]) -> Float[Tensor, "b o _x _y _z"]:
        shortcut = x if self.downsample is None else self.downsample(x)
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        return F.relu(self.bn3(self.conv3(y)) + shortcut)


class ResNet3D(nn.Module):
    """Stem and four stages of bottlenecks; maps of strides 4, 8, 16, 32.

    Args:
        depths: bottlenecks per stage; (3, 4, 6, 3) is ResNet-50.
        in_channels: channels of the grid.
        width: planes of the first stage, 64 officially; stage i puts out width * 4 * 2**i.
        max_pool: halve the grid once more after the stem (else strides 2, 4, 8, 16).
    """

    def __init__(
        self,
        depths: Sequence[int] = RESNET50,
        *,
        in_channels: int = 4,
        width: int = 64,
        max_pool: bool = True,
    ) -> None:
        super().__init__()
        self.max_pool = max_pool
        self.widths = [EXPANSION * width * 2**i for i in range(len(depths))]
        self.conv1 = Conv3d(in_channels, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm3d(width)
        widths_in = [width, *self.widths[:-1]]
        self.layers = nn.ModuleList(
            _stage(inside, width * 2**i, depth, stride=1 if i == 0 else 2)
            for i, (inside, depth) in enumerate(zip(widths_in, depths, strict=True))
        )
        self.apply(initialise)

    def forward(self, grids: Float[Tensor, "b c x y z"]) -> list[Float[Tensor, "b _c _x _y _z"]]:
        """Outputs of the stages, fine to coarse."""
        x = F.relu(self.bn1(self.conv1(grids)))
        if self.max_pool:
            x = F.max_pool3d(x, 3, stride=2, padding=1)
        maps: list[Tensor] = []
        for stage in self.layers:
            x = stage(x)
            maps.append(x)
        return maps


class ResNetPyramid(nn.Module):
    """The official pyramid of the ResNet: the coarsest level is not smoothed (quirk Q9).

    Args:
        in_channels: channels of each map, fine to coarse.
        out_channels: channels of every level that comes out.
    """

    def __init__(self, in_channels: Sequence[int], out_channels: int = 256) -> None:
        super().__init__()
        self.out_channels = out_channels
        count = len(in_channels)
        self.smooths = nn.ModuleList(
            Conv3d(out_channels, out_channels, 3, padding=1) for _ in range(count - 1)
        )
        self.latlayers = nn.ModuleList(Conv3d(c, out_channels, 1) for c in in_channels[::-1])
        self.apply(initialise)

    def forward(
        self, maps: Sequence[Float[Tensor, "b _c _x _y _z"]]
    ) -> list[Float[Tensor, "b o _x _y _z"]]:
        """Levels of the same sizes as ``maps``."""
        top = self.latlayers[0](maps[-1])
        levels = [top]
        for lateral, smooth, x in zip(self.latlayers[1:], self.smooths, maps[-2::-1], strict=True):
            finer = lateral(x)
            top = finer + F.interpolate(top, size=finer.shape[2:], mode="nearest")
            levels.append(smooth(top))
        return levels[::-1]


def initialise(module: nn.Module) -> None:
    """Kaiming-normal (fan out) convolutions; norms 1 and 0."""
    if isinstance(module, nn.Conv3d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    elif isinstance(module, nn.BatchNorm3d):
        nn.init.ones_(module.weight)
        nn.init.zeros_(module.bias)


def _stage(inside: int, planes: int, depth: int, *, stride: int) -> nn.Sequential:
    first = Bottleneck(inside, planes, stride=stride, project=True)
    more = [Bottleneck(EXPANSION * planes, planes) for _ in range(depth - 1)]
    return nn.Sequential(first, *more)
