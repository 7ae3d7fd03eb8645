"""Feature maps of images for pixel-aligned look-up (spec pixelnerf 5.1 and 5.2).

Names under ``model.`` follow official checkpoints (torchvision's ResNets), ``fc`` too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from maskfield.nn.resnet2d import WIDTHS, ResNet2D
from maskfield.nn.small_encoder import SmallPyramid

Resizing = Literal["bilinear", "nearest", "bicubic"]


class ResNetMaps(nn.Module):
    """The first maps of a ResNet, resized to the first one's size and stacked.

    Args:
        backbone: "resnet18" or "resnet34". layers: maps kept, 1 to 5.
        first_pool: see ResNet2D. resizing: how maps are resized (corners aligned).
        feature_scale: images are resized by this factor first.
    """

    def __init__(
        self,
        backbone: str = "resnet34",
        *,
        layers: int = 4,
        first_pool: bool = True,
        resizing: Resizing = "bilinear",
        feature_scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.model = ResNet2D(backbone, first_pool=first_pool)
        self.layers, self.feature_scale = layers, feature_scale
        self.resizing: Resizing = resizing
        self.channels = sum(WIDTHS[:layers])

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c _h _w"]:
        images = rescaled(images, self.feature_scale)
        return stacked(self.model(images, self.layers), self.resizing)


class SmallMaps(nn.Module):
    """The maps of a small pyramid, stacked likewise."""

    def __init__(self, widths: Sequence[int], blocks: int = 1) -> None:
        super().__init__()
        self.model = SmallPyramid(widths, blocks)
        self.channels = sum(widths)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c _h _w"]:
        return stacked(self.model(images))


class GlobalEncoder(nn.Module):
    """One vector per image: a whole ResNet, averaged, and a linear layer to ``latent_size``.

    The layer is left out when ``latent_size`` is the ResNet's own 512.
    """

    def __init__(self, backbone: str = "resnet34", latent_size: int = 128) -> None:
        super().__init__()
        self.model = ResNet2D(backbone)
        self.channels = latent_size
        self.fc = nn.Linear(WIDTHS[-1], latent_size) if latent_size != WIDTHS[-1] else None

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c"]:
        pooled = self.model(images)[-1].mean((2, 3))
        return pooled if self.fc is None else self.fc(pooled)


def stacked(
    maps: Sequence[Float[Tensor, "b _c _h _w"]], resizing: Resizing = "bilinear"
) -> Float[Tensor, "b c h w"]:
    """All maps at the first one's size, one behind the other."""
    size = maps[0].shape[-2:]
    return torch.cat([maps[0], *(resized(m, (size[0], size[1]), resizing) for m in maps[1:])], 1)


def resized(
    images: Float[Tensor, "b c _h _w"], size: tuple[int, int], how: Resizing
) -> Float[Tensor, "b c h w"]:
    """Images at another size (height, width); corners aligned, but for "nearest"."""
    aligned = None if how == "nearest" else True
    return F.interpolate(images, size=size, mode=how, align_corners=aligned)


def rescaled(images: Float[Tensor, "b c _h _w"], factor: float) -> Float[Tensor, "b c h w"]:
    """Images smaller by area averages, or larger by bilinear interpolation (corners aligned)."""
    if factor == 1.0:
        return images
    smaller = factor < 1.0
    return F.interpolate(
        images,
        scale_factor=factor,
        mode="area" if smaller else "bilinear",
        align_corners=None if smaller else True,
        recompute_scale_factor=True,
    )
