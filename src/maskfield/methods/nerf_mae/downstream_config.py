"""Options of the networks fine-tuned from the masked autoencoder (torch-free).

Each holds the autoencoder's config as ``base``; ``base.positional_table`` says whether the network
continues a pre-trained encoder or is the from-scratch counterpart.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from maskfield.core.config import config
from maskfield.core.errors import ConfigError
from maskfield.methods.nerf_mae.config import STRIDE, NerfMAEConfig
from maskfield.methods.nerf_rpn.config import AnchorConfig, FCOSConfig, NerfRPNConfig, SwinConfig

if TYPE_CHECKING:
    from maskfield.methods.nerf_mae.downstream import (
        PlainSuperResolution,
        SemanticNetwork,
        SuperResolution,
    )
    from maskfield.methods.nerf_rpn.model.detector import Detector

Variant = Literal["skip", "plain"]
LARGEST_SCALE = 8.0


@config
class TransferDetectorConfig:
    """A detector whose backbone continues the encoder (spec nerf_mae 3.7, 3.8).

    Attributes:
        base: size of the encoder. head: FCOS or anchors. channels: of every pyramid level.
        norm_outputs: normalise the encoder's maps before the pyramid; officially not.
        encoder_lr_scale: learning rate of the encoder over that of pyramid and head; 0 keeps the
            encoder as it came.
        encoder_frozen_share: share of the steps, from the first, in which only pyramid and head
            learn.
    """

    base: NerfMAEConfig
    head: FCOSConfig | AnchorConfig = FCOSConfig()
    channels: int = 256
    norm_outputs: bool = False
    encoder_lr_scale: float = 1.0
    encoder_frozen_share: float = 0.0

    def __post_init__(self) -> None:
        scale, share = self.encoder_lr_scale, self.encoder_frozen_share
        if not (math.isfinite(scale) and scale >= 0 and 0 <= share <= 1):
            raise ConfigError(
                "the encoder's learning rate is scaled by a number of 0 or more, and its steps "
                "without learning are a share of all",
                field="encoder_lr_scale, encoder_frozen_share",
                value=(scale, share),
                remedy="give e.g. 0.3 and 0; 1 and 0 train all parts alike",
            )

    def detector(self) -> NerfRPNConfig:
        """The same as a plain detector's config; grids are padded to the pre-trained cube."""
        base = self.base
        swin = SwinConfig(
            embed_dim=base.embed_dim,
            depths=base.depths,
            heads=base.heads,
            window=base.window,
            patch=base.patch,
            stochastic_depth=base.stochastic_depth,
            table_resolution=base.resolution if base.positional_table else None,
            norm_outputs=self.norm_outputs,
        )
        return NerfRPNConfig(
            backbone=swin, head=self.head, channels=self.channels, resolution=base.resolution
        )

    def build(self) -> Detector:
        """The network, freshly initialised from torch's global generator."""
        return self.detector().build()


@config
class SemanticConfig:
    """A class for every voxel (spec nerf_mae 3.9).

    Attributes:
        base: size of the encoder and decoder.
        class_names: index = class id; the first is void (unknown or empty).
    """

    base: NerfMAEConfig
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        names = self.class_names
        if len(names) < 2 or len(set(names)) < len(names) or not all(n.strip() for n in names):
            raise ConfigError(
                "class names must be distinct and not empty: void first, then at least one class",
                field="class_names",
                value=names,
                remedy="give e.g. ('void', 'wall', 'chair')",
            )

    def build(self) -> SemanticNetwork:
        """The network, freshly initialised from torch's global generator."""
        from maskfield.methods.nerf_mae.downstream import SemanticNetwork

        return SemanticNetwork(self.base, len(self.class_names))


@config
class SuperResolutionConfig:
    """A finer grid (spec nerf_mae 3.10): side floor(resolution * scale).

    Attributes:
        base: size of the encoder (and of the decoder of "skip").
        scale: output side over input side; officially 1.6 (256) and 2.4 (384).
        variant: "skip" (U-Net decoder with skips) or "plain" (no skips, predicts patches).
        alpha_weight: of the squared error of alpha (a logit) on all voxels. Officially 0: alpha is
            not learned, and the answer keeps the coarse one.
    """

    base: NerfMAEConfig
    scale: float = 1.6
    variant: Variant = "skip"
    alpha_weight: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.scale) and 1 < self.scale <= LARGEST_SCALE):
            raise ConfigError(
                f"a finer grid needs a scale above 1 and at most {LARGEST_SCALE:g}",
                field="scale",
                value=self.scale,
                remedy="use 1.6 (160 to 256) or 2.4 (160 to 384)",
            )
        if self.alpha_weight < 0:
            raise ConfigError(
                "a weight is not negative",
                field="alpha_weight",
                value=self.alpha_weight,
                remedy="give 0 (official) or more",
            )
        if self.variant == "plain" and self.base.tokens < 2 * STRIDE:
            raise ConfigError(
                "the plain variant normalises the coarsest map, which must have two cells per axis",
                field="base.resolution",
                value=self.base.resolution,
                remedy=f"use {2 * STRIDE * self.base.patch} or more, or the variant 'skip'",
            )

    @property
    def fine_resolution(self) -> int:
        """Side of the answer in voxels."""
        if self.variant == "plain":
            return math.floor(self.base.tokens * self.scale) * self.base.patch
        return math.floor(self.base.resolution * self.scale)

    def build(self) -> SuperResolution | PlainSuperResolution:
        """The network, freshly initialised from torch's global generator."""
        from maskfield.methods.nerf_mae.downstream import PlainSuperResolution, SuperResolution

        network = PlainSuperResolution if self.variant == "plain" else SuperResolution
        return network(self.base, self.scale)
