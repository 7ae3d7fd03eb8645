"""ResNet-18 and -34 on images; names follow torchvision's state dict (spec pixelnerf 5.1)."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

DEPTHS: dict[str, tuple[int, int, int, int]] = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3)}
WIDTHS = (64, 64, 128, 256, 512)  # of the stem and the four stages


class BasicBlock(nn.Module):
    """3x3 (with the stride), 3x3, added to the shortcut; batch norms."""

    def __init__(self, inside: int, outside: int, *, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outside)
        self.downsample = (
            nn.Sequential(
                nn.Conv2d(inside, outside, 1, stride=stride, bias=False), nn.BatchNorm2d(outside)
            )
            if stride != 1 or inside != outside
            else None
        )

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o _h _w"]:
        shortcut = x if self.downsample is None else self.downsample(x)
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + shortcut)


class ResNet2D(nn.Module):
    """Stem and four stages of basic blocks, without the classifier.

    Args:
        name: "resnet18" or "resnet34".
        first_pool: the 3x3 pool of stride 2 behind the stem.
    """

    def __init__(self, name: str = "resnet34", *, first_pool: bool = True) -> None:
        super().__init__()
        self.first_pool = first_pool
        self.conv1 = nn.Conv2d(3, WIDTHS[0], 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            _stage(WIDTHS[i], WIDTHS[i + 1], depth, stride=1 if i == 0 else 2)
            for i, depth in enumerate(DEPTHS[name])
        )
        self.apply(initialise)

    def forward(
        self, images: Float[Tensor, "b 3 h w"], count: int = 5
    ) -> list[Float[Tensor, "b _c _h _w"]]:
        """The first ``count`` of: the stem's output, then each stage's."""
        x = F.relu(self.bn1(self.conv1(images)))
        maps = [x]
        if self.first_pool:
            x = F.max_pool2d(x, 3, stride=2, padding=1)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4)[: count - 1]:
            x = stage(x)
            maps.append(x)
        return maps


def initialise(module: nn.Module) -> None:
    """Kaiming-normal (fan out) convolutions; norms 1 and 0."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    elif isinstance(module, nn.BatchNorm2d | nn.GroupNorm):
        nn.init.ones_(module.weight)
        nn.init.zeros_(module.bias)


def _stage(inside: int, outside: int, depth: int, *, stride: int) -> nn.Sequential:
    more = [BasicBlock(outside, outside) for _ in range(depth - 1)]
    return nn.Sequential(BasicBlock(inside, outside, stride=stride), *more)
