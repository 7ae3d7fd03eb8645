"""The small image U-Net of pixelNeRF's ``custom`` encoder (spec pixelnerf 5.1); official names."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from maskfield.core.errors import DataError
from maskfield.nn.spatial_encoder import rescaled

WIDTHS = (64, 128, 256, 512)
MID, OUT, POSITIONS = 128, 128, 4  # the bottleneck's 128 channels at 4 places make one vector


class UNet2D(nn.Module):
    """Four strided convolutions, one vector of the whole image, four transposed convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_in = _layer(nn.Conv2d(3, WIDTHS[0], 7, stride=2, bias=False))
        self.conv0, self.conv1, self.conv2 = (
            _layer(nn.Conv2d(a, b, 3, stride=2, bias=False)) for a, b in pairwise(WIDTHS)
        )
        self.conv_mid = _layer(nn.Conv2d(WIDTHS[-1], MID, 4, stride=4, bias=False))
        self.deconv0, self.deconv1, self.deconv2 = (
            _layer(nn.ConvTranspose2d(4 * c, c, 3, stride=2, bias=False)) for c in WIDTHS[:-1]
        )
        self.deconv_last = nn.ConvTranspose2d(WIDTHS[0], OUT, 3, stride=2)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c h w"]:
        """One map of the images' size.

        Raises:
            DataError: an image size for which the bottleneck has not four places.
        """
        x = _convolved(self.conv_in, images, 7, 2)
        skips: list[Tensor] = []
        for conv in (self.conv0, self.conv1, self.conv2):
            x = _convolved(conv, x, 3, 2)
            skips.append(x)
        x = _spread(_convolved(self.conv_mid, x, 4, 4), images, skips[-1])
        for deconv, skip in zip(
            (self.deconv2, self.deconv1, self.deconv0), skips[::-1], strict=True
        ):
            x = _deconvolved(deconv, torch.cat([x, skip], dim=1))
        return _deconvolved(self.deconv_last, x)


class UNetMaps(nn.Module):
    """The U-Net as a spatial encoder."""

    def __init__(self, *, feature_scale: float = 1.0) -> None:
        super().__init__()
        self.model = UNet2D()
        self.feature_scale, self.channels = feature_scale, OUT

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c _h _w"]:
        return self.model(rescaled(images, self.feature_scale))


def _layer(convolution: nn.Conv2d | nn.ConvTranspose2d) -> nn.Sequential:
    return nn.Sequential(
        convolution, nn.BatchNorm2d(convolution.out_channels), nn.LeakyReLU(inplace=True)
    )


def same_padded(
    x: Float[Tensor, "b c h w"],
    kernel: int,
    stride: int,
    mode: Literal["reflect", "replicate", "constant"] = "reflect",
) -> Float[Tensor, "b c _h _w"]:
    """Padded so that a convolution gives ceil(size / stride); the odd pixel comes behind."""
    before_after: list[int] = []
    for size in (x.shape[-1], x.shape[-2]):
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        before_after += [total // 2, total - total // 2]
    return F.pad(x, before_after, mode=mode)


def same_cropped(
    x: Float[Tensor, "b c h w"], kernel: int, stride: int
) -> Float[Tensor, "b c _h _w"]:
    """A transposed convolution's output cut to stride times its input's size."""
    total = max(kernel - stride, 0)
    first, height, width = total // 2, x.shape[-2] - total, x.shape[-1] - total
    return x[..., first : first + height, first : first + width]


def _convolved(layer: nn.Module, x: Tensor, kernel: int, stride: int) -> Tensor:
    return layer(same_padded(x, kernel, stride))


def _deconvolved(layer: nn.Module, x: Tensor) -> Tensor:
    return same_cropped(layer(x), 3, 2)


def _spread(bottleneck: Tensor, images: Tensor, like: Tensor) -> Tensor:
    """The bottleneck as one vector at every place of the last skip map."""
    if bottleneck.shape[-1] * bottleneck.shape[-2] != POSITIONS:
        raise DataError(
            "this encoder takes images whose bottleneck has four places",
            field="image size",
            value=(images.shape[-1], images.shape[-2]),
            remedy="use sides of 80 to 128 pixels that 16 divides, or a ResNet encoder",
        )
    return bottleneck.flatten(1)[..., None, None].expand(-1, -1, *like.shape[-2:])
