"""VGG networks on 3-D grids (spec nerf_rpn 4.2). Module names follow the official state dict."""

from __future__ import annotations

from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from maskfield.nn.conv3d import Conv3d

Variant = Literal["AF", "DF", "EF"]
FULL_WIDTH = 64
STRIDED_FROM = 160  # grids smaller than this keep their resolution in the stem

# convolutions per block and their widths in units of the base width; a pool ends blocks 1 to 3
BLOCKS: dict[Variant, tuple[tuple[int, ...], ...]] = {
    "AF": ((1, 2), (4, 4), (8, 8), (8, 8)),
    "DF": ((1, 1, 2, 2), (4,) * 3, (8,) * 3, (8,) * 3),
    "EF": ((1, 1, 2, 2), (4,) * 4, (8,) * 4, (8,) * 4),
}


class VGG3D(nn.Module):
    """Stem and four blocks; maps of strides 4, 8, 16, 32 (1, 2, 4, 8 for small inputs).

    Args:
        variant: "EF" is the paper's VGG19.
        in_channels: channels of the grid.
        width: channels of the stem; 64 officially.
        input_size: longest side in voxels; from 160 on the stem divides by 4.
        start_width: channels of two convolutions before the stem, with a shortcut around the
            stem; 0 leaves them out (as every official recipe does).
    """

    def __init__(
        self,
        variant: Variant = "EF",
        *,
        in_channels: int = 4,
        width: int = FULL_WIDTH,
        input_size: int = STRIDED_FROM,
        start_width: int = 0,
    ) -> None:
        super().__init__()
        blocks = [[width * factor for factor in block] for block in BLOCKS[variant]]
        self.widths = [block[-1] for block in blocks]
        self.starting_layers: nn.Sequential | None = None
        self.ds_layers: nn.Sequential | None = None
        if start_width:
            self.starting_layers = _starting_layers(in_channels, start_width)
            self.ds_layers = _shortcut(start_width, self.widths[0])
            in_channels = start_width
        stem = _stem(in_channels, width, strided=input_size >= STRIDED_FROM)
        self.stem_length = len(stem)
        widths_in = [width, *self.widths[:-1]]
        convs = [
            _block(w, block, pool=i > 0)
            for i, (w, block) in enumerate(zip(widths_in, blocks, strict=True))
        ]
        self.layers = nn.Sequential(*stem, *convs)

    def forward(self, grids: Float[Tensor, "b c x y z"]) -> list[Float[Tensor, "b _c _x _y _z"]]:
        """Outputs of the four blocks, fine to coarse."""
        start = grids if self.starting_layers is None else self.starting_layers(grids)
        layers = list(self.layers)
        x = start
        for layer in layers[: self.stem_length]:
            x = layer(x)
        maps: list[Tensor] = []
        for block in layers[self.stem_length :]:
            x = block(x)
            if self.ds_layers is not None and not maps:
                x = x + self.ds_layers(start)
            maps.append(x)
        return maps


def _conv(inside: int, out: int, kernel: int = 3, stride: int = 1) -> list[nn.Module]:
    conv = Conv3d(inside, out, kernel, stride=stride, padding=kernel // 2)
    return [conv, nn.BatchNorm3d(out), nn.ReLU(inplace=True)]


def _stem(inside: int, width: int, *, strided: bool) -> list[nn.Module]:
    pool = [nn.MaxPool3d(3, stride=2, padding=1)] if strided else []
    return _conv(inside, width, kernel=7, stride=2 if strided else 1) + pool


def _block(inside: int, widths: list[int], *, pool: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for out in widths:
        layers += _conv(inside, out)
        inside = out
    return nn.Sequential(*layers, *([nn.MaxPool3d(2, stride=2, ceil_mode=True)] if pool else []))


def _starting_layers(inside: int, width: int) -> nn.Sequential:
    return nn.Sequential(*_conv(inside, width), *_conv(width, width))


def _shortcut(width: int, out: int) -> nn.Sequential:
    halvings = _conv(width, width, stride=2) + _conv(width, width, stride=2)
    return nn.Sequential(*halvings, *_conv(width, out, kernel=1))
