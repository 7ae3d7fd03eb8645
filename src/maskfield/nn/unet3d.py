"""U-Net decoder blocks on 3-D grids (spec nerf_mae 3.6); tensors are channels-first."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from maskfield.nn.conv3d import Conv3d
from maskfield.nn.unet3d_fused import EPS, SLOPE, FusedResidualBlock, FusedUpBlock


class ResidualBlock(nn.Module):
    """conv1 - norm - LeakyReLU - conv2 - norm, plus the input (or conv3 - norm), LeakyReLU.

    Norms are instance norms without affine parameters or running statistics: the statistics of the
    sample are used in eval mode too, so a prediction depends on its padding (quirk Q3).

    Args:
        in_channels, out_channels: widths before and after.
        fused: compute with :mod:`maskfield.nn.unet3d_fused` (same result, less kept for backward).
    """

    def __init__(self, in_channels: int, out_channels: int, *, fused: bool = False) -> None:
        super().__init__()
        self.fused = fused
        self.conv1 = Conv3d(in_channels, out_channels, 3, padding=1)
        self.conv2 = Conv3d(out_channels, out_channels, 3, padding=1)
        if in_channels != out_channels:
            self.conv3 = Conv3d(in_channels, out_channels, 1)

    def forward(self, x: Float[Tensor, "b i x y z"]) -> Float[Tensor, "b o x y z"]:
        if self.fused:
            rows = cast_for_autocast(x.permute(0, 2, 3, 4, 1))
            return FusedResidualBlock.apply(rows, *self.weights()).permute(0, 4, 1, 2, 3)
        y = F.leaky_relu(_norm(self.conv1(x)), SLOPE)
        y = _norm(self.conv2(y))
        residual = _norm(self.conv3(x)) if hasattr(self, "conv3") else x
        return F.leaky_relu(y + residual, SLOPE)

    def weights(self) -> list[Tensor | None]:
        """Weight and bias of conv1, conv2, conv3 (None, None without it)."""
        third = (self.conv3.weight, self.conv3.bias) if hasattr(self, "conv3") else (None, None)
        return [self.conv1.weight, self.conv1.bias, self.conv2.weight, self.conv2.bias, *third]


def cast_for_autocast(x: Tensor) -> Tensor:
    """What autocast does to the input of a convolution: its dtype, when it is on for the device.

    The fused functions cast their weights to the input's dtype themselves, forward and backward,
    so that no second copy of the weights is kept between the two.
    """
    kind = x.device.type
    if not torch.amp.is_autocast_available(kind) or not torch.is_autocast_enabled(kind):
        return x
    return x.to(torch.get_autocast_dtype(kind))


def _norm(x: Float[Tensor, "b c x y z"]) -> Float[Tensor, "b c x y z"]:
    return F.instance_norm(x, eps=EPS)


class UpBlock(nn.Module):
    """Transposed convolution (kernel = stride), optional skip concatenation, residual block.

    Args:
        in_channels, out_channels: widths before and after.
        factor: kernel and stride of the transposed convolution.
        skip_channels: channels of the skip map; 0 for a block without one.
        fused: see :class:`ResidualBlock`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        factor: int,
        *,
        skip_channels: int = 0,
        fused: bool = False,
    ) -> None:
        super().__init__()
        self.transp_conv = nn.ConvTranspose3d(in_channels, out_channels, factor, stride=factor)
        self.conv_block = ResidualBlock(out_channels + skip_channels, out_channels, fused=fused)

    def forward(
        self, x: Float[Tensor, "b i x y z"], skip: Float[Tensor, "b s fx fy fz"] | None = None
    ) -> Float[Tensor, "b o fx fy fz"]:
        if self.conv_block.fused:
            return self._fused(x, skip)
        up = self.transp_conv(x)
        return self.conv_block(up if skip is None else torch.cat([up, skip], dim=1))

    def _fused(self, x: Tensor, skip: Tensor | None) -> Float[Tensor, "b o fx fy fz"]:
        rows = cast_for_autocast(x.permute(0, 2, 3, 4, 1))
        beside = None if skip is None else cast_for_autocast(skip.permute(0, 2, 3, 4, 1))
        up = self.transp_conv
        weights = (up.weight, up.bias, *self.conv_block.weights())
        return FusedUpBlock.apply(rows, beside, *weights).permute(0, 4, 1, 2, 3)


class FullResolutionEncoder(nn.Module):
    """A residual block on the raw grid: the high-resolution skip of the labelling networks."""

    def __init__(self, in_channels: int, out_channels: int, *, fused: bool = False) -> None:
        super().__init__()
        self.layer = ResidualBlock(in_channels, out_channels, fused=fused)

    def forward(self, x: Float[Tensor, "b i x y z"]) -> Float[Tensor, "b o x y z"]:
        return self.layer(x)


class OutBlock(nn.Module):
    """1x1x1 convolution to the answer, as a matrix product over channels."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = Conv3d(in_channels, out_channels, 1)

    def forward(self, x: Float[Tensor, "b i x y z"]) -> Float[Tensor, "b o x y z"]:
        weight = self.conv.weight[:, :, 0, 0, 0]
        rows = F.linear(x.permute(0, 2, 3, 4, 1), weight, self.conv.bias)
        return rows.permute(0, 4, 1, 2, 3)


class UNetDecoder(nn.Module):
    """From four feature maps (strides patch * 1, 2, 4, 8) to a full-resolution map.

    Args:
        embed_dim: width of the finest feature map; the coarsest has 8 times as many channels.
        patch: voxels per token axis of the finest map (factor of the last block).
        skip_channels: of a full-resolution map that joins in the last block; 0 for none.
        fused: see :class:`ResidualBlock`.
    """

    def __init__(
        self, embed_dim: int, patch: int, *, skip_channels: int = 0, fused: bool = False
    ) -> None:
        super().__init__()
        e = embed_dim
        self.out_channels = e // 2
        self.decoder4 = UpBlock(8 * e, 4 * e, 2, skip_channels=4 * e, fused=fused)
        self.decoder3 = UpBlock(4 * e, 2 * e, 2, skip_channels=2 * e, fused=fused)
        self.decoder2 = UpBlock(2 * e, e, 2, skip_channels=e, fused=fused)
        self.decoder1 = UpBlock(
            e, self.out_channels, patch, skip_channels=skip_channels, fused=fused
        )

    def forward(
        self,
        features: Sequence[Float[Tensor, "b _c _x _y _z"]],
        skip: Float[Tensor, "b s fx fy fz"] | None = None,
    ) -> Float[Tensor, "b o fx fy fz"]:
        f0, f1, f2, f3 = features
        coarse = self.decoder2(self.decoder3(self.decoder4(f3, f2), f1), f0)
        return self.decoder1(coarse, skip)
