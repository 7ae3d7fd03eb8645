"""U-Net decoder blocks on 3-D grids (spec nerf_mae 3.6); tensors are channels-first."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

SLOPE = 0.01  # of every LeakyReLU
EPS = 1e-5  # of every instance norm


class ResidualBlock(nn.Module):
    """conv1 - norm - LeakyReLU - conv2 - norm, plus the input (or conv3 - norm), LeakyReLU.

    Norms are instance norms without affine parameters or running statistics: the statistics of the
    sample are used in eval mode too, so a prediction depends on its padding (quirk Q3).
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(in_channels, out_channels, 3, padding=1)
        self.conv2 = nn.Conv3d(out_channels, out_channels, 3, padding=1)
        if in_channels != out_channels:
            self.conv3 = nn.Conv3d(in_channels, out_channels, 1)

    def forward(self, x: Float[Tensor, "b i x y z"]) -> Float[Tensor, "b o x y z"]:
        y = F.leaky_relu(_norm(self.conv1(x)), SLOPE)
        y = _norm(self.conv2(y))
        residual = _norm(self.conv3(x)) if hasattr(self, "conv3") else x
        return F.leaky_relu(y + residual, SLOPE)


def _norm(x: Float[Tensor, "b c x y z"]) -> Float[Tensor, "b c x y z"]:
    return F.instance_norm(x, eps=EPS)


class UpBlock(nn.Module):
    """Transposed convolution (kernel = stride), optional skip concatenation, residual block.

    Args:
        in_channels, out_channels: widths before and after.
        factor: kernel and stride of the transposed convolution.
        skip_channels: channels of the skip map; 0 for a block without one.
    """

    def __init__(
        self, in_channels: int, out_channels: int, factor: int, *, skip_channels: int = 0
    ) -> None:
        super().__init__()
        self.transp_conv = nn.ConvTranspose3d(in_channels, out_channels, factor, stride=factor)
        self.conv_block = ResidualBlock(out_channels + skip_channels, out_channels)

    def forward(
        self, x: Float[Tensor, "b i x y z"], skip: Float[Tensor, "b s fx fy fz"] | None = None
    ) -> Float[Tensor, "b o fx fy fz"]:
        up = self.transp_conv(x)
        return self.conv_block(up if skip is None else torch.cat([up, skip], dim=1))


class FullResolutionEncoder(nn.Module):
    """A residual block on the raw grid: the high-resolution skip of the labelling networks."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.layer = ResidualBlock(in_channels, out_channels)

    def forward(self, x: Float[Tensor, "b i x y z"]) -> Float[Tensor, "b o x y z"]:
        return self.layer(x)


class OutBlock(nn.Module):
    """1x1x1 convolution to the answer."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(in_channels, out_channels, 1)

    def forward(self, x: Float[Tensor, "b i x y z"]) -> Float[Tensor, "b o x y z"]:
        return self.conv(x)


class UNetDecoder(nn.Module):
    """From four feature maps (strides patch * 1, 2, 4, 8) to a full-resolution map.

    Args:
        embed_dim: width of the finest feature map; the coarsest has 8 times as many channels.
        patch: voxels per token axis of the finest map (factor of the last block).
    """

    def __init__(self, embed_dim: int, patch: int) -> None:
        super().__init__()
        e = embed_dim
        self.out_channels = e // 2
        self.decoder4 = UpBlock(8 * e, 4 * e, 2, skip_channels=4 * e)
        self.decoder3 = UpBlock(4 * e, 2 * e, 2, skip_channels=2 * e)
        self.decoder2 = UpBlock(2 * e, e, 2, skip_channels=e)
        self.decoder1 = UpBlock(e, self.out_channels, patch)

    def forward(
        self, features: Sequence[Float[Tensor, "b c x y z"]]
    ) -> Float[Tensor, "b o fx fy fz"]:
        f0, f1, f2, f3 = features
        return self.decoder1(self.decoder2(self.decoder3(self.decoder4(f3, f2), f1), f0))
