"""Backbones: an encoder with four maps and the feature pyramid on top of it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from maskfield.methods.nerf_rpn.config import ResNetConfig, SwinConfig, VGGConfig
from maskfield.nn.fpn import FeaturePyramid
from maskfield.nn.resnet3d import ResNet3D, ResNetPyramid
from maskfield.nn.swin3d import Keep, Swin3D
from maskfield.nn.vgg3d import VGG3D

BackboneConfig = SwinConfig | VGGConfig | ResNetConfig
Levels = list[Float[Tensor, "b c _x _y _z"]]


class Backbone(nn.Module):
    """Encoder, then pyramid: levels of ``out_channels`` channels, strides 4, 8, 16, 32.

    Args:
        encoder: answers maps channels-first, fine to coarse.
        fpn_neck: maps to levels.
        norm_outputs: see :class:`SwinConfig`.
    """

    def __init__(
        self,
        encoder: nn.Module,
        fpn_neck: FeaturePyramid | ResNetPyramid,
        *,
        norm_outputs: bool = False,
    ) -> None:
        super().__init__()
        self.norm_outputs = norm_outputs
        self.encoder = encoder
        self.fpn_neck = fpn_neck
        self.out_channels = fpn_neck.out_channels

    def forward(
        self, grids: Float[Tensor, "b 4 x y z"], generator: torch.Generator | None = None
    ) -> Levels:
        """Pyramid levels, fine to coarse.

        Args:
            generator: draws stochastic depth while training; None keeps every branch.
        """
        return self.fpn_neck(self.encode(grids, generator))

    def encode(
        self, grids: Float[Tensor, "b 4 x y z"], generator: torch.Generator | None = None
    ) -> list[Float[Tensor, "b _c _x _y _z"]]:
        """The encoder's maps, channels-first."""
        if not isinstance(self.encoder, Swin3D):
            return self.encoder(grids)
        keep: Keep | None = None
        if self.training and generator is not None:
            keep = self.encoder.draw_keep(len(grids), generator)
        maps = self.encoder(grids, keep=keep)
        if self.norm_outputs:
            maps = [F.layer_norm(f, f.shape[-1:]) for f in maps]
        return [f.permute(0, 4, 1, 2, 3) for f in maps]


def build_backbone(config: BackboneConfig, out_channels: int = 256) -> Backbone:
    """The backbone of a config, freshly initialised."""
    if isinstance(config, ResNetConfig):
        resnet = ResNet3D(config.depths, width=config.width, max_pool=config.max_pool)
        return Backbone(resnet, ResNetPyramid(resnet.widths, out_channels))
    if isinstance(config, SwinConfig):
        swin = _swin(config)
        pyramid = FeaturePyramid(swin.widths, out_channels)
        return Backbone(swin, pyramid, norm_outputs=config.norm_outputs)
    vgg = _vgg(config)
    return Backbone(vgg, FeaturePyramid(vgg.widths, out_channels))


def _vgg(config: VGGConfig) -> VGG3D:
    return VGG3D(
        config.variant,
        width=config.width,
        input_size=config.input_size,
        start_width=config.start_width,
    )


def _swin(config: SwinConfig) -> Swin3D:
    tokens = config.table_resolution and config.table_resolution // config.patch
    return Swin3D(
        embed_dim=config.embed_dim,
        depths=config.depths,
        heads=config.heads,
        window=config.window,
        patch=(config.patch, config.patch, config.patch),
        table_grid=(tokens, tokens, tokens) if tokens else None,
        drop_rate=config.stochastic_depth,
    )
