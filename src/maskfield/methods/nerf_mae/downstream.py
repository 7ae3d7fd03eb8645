"""Networks fine-tuned from the masked autoencoder (spec nerf_mae 3.7-3.10).

Each is built from a :class:`NerfMAEConfig`. With its positional table the network continues a
pre-trained encoder; without (``scratch``) it is the paper's from-scratch counterpart (quirk Q9).
Inputs are padded cubes [b, 4, r, r, r]; nothing is masked. ``keep`` holds the stochastic-depth
flags of a training step (``encoder.draw_keep``); None keeps every branch.
"""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from maskfield.methods.nerf_mae.config import NerfMAEConfig
from maskfield.methods.nerf_mae.encoder import build_encoder, feature_maps
from maskfield.methods.nerf_mae.layout import unpatchify
from maskfield.methods.nerf_mae.metrics import official_metrics
from maskfield.metrics.segmentation import cross_entropy
from maskfield.nn.conv3d import Conv3d
from maskfield.nn.fpn import FeaturePyramid
from maskfield.nn.swin3d import Keep
from maskfield.nn.unet3d import FullResolutionEncoder, OutBlock, UNetDecoder

Cube = Float[Tensor, "b 4 x y z"]
PLAIN_WIDTHS = (512, 256, 128, 64)


def scratch(config: NerfMAEConfig) -> NerfMAEConfig:
    """The same size trained from scratch: no positional table, no stochastic depth."""
    return replace(config, positional_table=False, stochastic_depth=0.0)


class DetectorBackbone(nn.Module):
    """Encoder and feature pyramid; four levels with strides 4, 8, 16, 32.

    From scratch any input size will do; with a table the pre-trained resolution is expected.
    """

    def __init__(self, config: NerfMAEConfig, out_channels: int = 256) -> None:
        super().__init__()
        self.encoder = build_encoder(config)
        self.fpn_neck = FeaturePyramid(self.encoder.widths, out_channels)
        self.out_channels = out_channels

    def forward(self, cubes: Cube) -> list[Float[Tensor, "b o _x _y _z"]]:
        return self.fpn_neck(feature_maps(self.encoder, cubes))


class VoxelDecoder(UNetDecoder):
    """The U-Net decoder with a full-resolution skip from the raw grid: half the embedding width."""

    def __init__(self, config: NerfMAEConfig) -> None:
        half, fused = config.embed_dim // 2, config.implementation == "fast"
        super().__init__(config.embed_dim, config.patch, skip_channels=half, fused=fused)
        self.encoder1 = FullResolutionEncoder(4, half, fused=fused)

    def answer(
        self, maps: list[Float[Tensor, "b _c _x _y _z"]], cubes: Cube
    ) -> Float[Tensor, "b h x y z"]:
        """The full-resolution map of encoder maps and their raw grids."""
        return self(maps, self.encoder1(cubes))


class SemanticNetwork(nn.Module):
    """A class for every voxel; class 0 is void.

    Args:
        classes: void included.
        class_weights: of the loss, 0 for void; stored with the weights (quirk Q8).
    """

    class_weights: Tensor

    def __init__(
        self,
        config: NerfMAEConfig,
        classes: int,
        class_weights: Float[Tensor, " class"] | None = None,
    ) -> None:
        super().__init__()
        self.encoder = build_encoder(config)
        self.decoder = VoxelDecoder(config)
        self.sem_out = OutBlock(self.decoder.out_channels, classes)
        weights = torch.ones(classes) if class_weights is None else class_weights.float()
        self.register_buffer("class_weights", weights.clone())

    def forward(self, cubes: Cube, keep: Keep | None = None) -> Float[Tensor, "b class x y z"]:
        maps = feature_maps(self.encoder, cubes, keep=keep)
        return self.sem_out(self.decoder.answer(maps, cubes))

    def loss(
        self, logits: Float[Tensor, "b class x y z"], labels: Int[Tensor, "b x y z"]
    ) -> Float[Tensor, ""]:
        """Weighted cross-entropy on labelled voxels."""
        return cross_entropy(logits, labels, self.class_weights)


class SuperResolution(nn.Module):
    """A finer grid by nearest upsampling of the answer: RGB and alpha, side floor(r * scale).

    The 1x1x1 answer is computed before the upsampling: the same numbers, a fraction of the memory.
    """

    def __init__(self, config: NerfMAEConfig, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.encoder = build_encoder(config)
        self.decoder = VoxelDecoder(config)
        self.voxel_out = OutBlock(self.decoder.out_channels, 4)

    def forward(self, cubes: Cube, keep: Keep | None = None) -> Float[Tensor, "b 4 fx fy fz"]:
        maps = feature_maps(self.encoder, cubes, keep=keep)
        answer = self.voxel_out(self.decoder.answer(maps, cubes))
        return F.interpolate(answer, scale_factor=self.scale, mode="nearest")


class PlainSuperResolution(nn.Module):
    """The official script's variant: a decoder without skips that predicts patches.

    The coarsest map is upsampled by 2, 2, 2 and ``scale``; each cell then answers a patch of
    patch**3 voxels. A pre-trained one keeps the unused mask token of its checkpoint.
    """

    def __init__(self, config: NerfMAEConfig, scale: float) -> None:
        super().__init__()
        self.patch = config.patch
        self.encoder = build_encoder(config, mask_token=config.positional_table)
        layers: list[nn.Module] = []
        width = self.encoder.widths[-1]
        for out, factor in zip(PLAIN_WIDTHS, (2.0, 2.0, 2.0, scale), strict=True):
            layers += [Conv3d(width, out, 3, padding=1), nn.InstanceNorm3d(out)]
            layers += [nn.LeakyReLU(0.2), nn.Upsample(scale_factor=factor)]
            width = out
        layers.append(Conv3d(width, 4 * config.patch**3, 3, padding=1))
        self.super_resolution_decoder = nn.Sequential(*layers)

    def patches(self, cubes: Cube, keep: Keep | None = None) -> Float[Tensor, "b px py pz n"]:
        """Official layout: per cell, patch**3 voxels (x slowest) of 4 channels (last)."""
        coarse = feature_maps(self.encoder, cubes, keep=keep)[-1]
        return self.super_resolution_decoder(coarse).permute(0, 2, 3, 4, 1)

    def forward(self, cubes: Cube, keep: Keep | None = None) -> Float[Tensor, "b 4 fx fy fz"]:
        return self.voxels(self.patches(cubes, keep))

    def voxels(self, patches: Float[Tensor, "b px py pz n"]) -> Float[Tensor, "b 4 fx fy fz"]:
        """Patches regrouped to a grid."""
        return unpatchify(patches.unflatten(-1, (self.patch**3, 4)), self.patch)


def super_resolution_loss(
    prediction: Float[Tensor, "b 4 x y z"], target: Float[Tensor, "b 4 x y z"]
) -> Float[Tensor, ""]:
    """Sum over occupied voxels of |rgb^ - rgb|^2, over their number: 3 times the MSE (spec 5.2)."""
    return 3 * official_metrics(prediction, target)["mse"]
