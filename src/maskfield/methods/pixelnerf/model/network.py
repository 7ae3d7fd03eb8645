"""The network of pixelNeRF: image encoders, positional code, two MLPs (spec pixelnerf 5.4).

Names follow official checkpoints. It knows one device.
"""

from __future__ import annotations

from contextlib import nullcontext

import torch
from jaxtyping import Float
from torch import Tensor, nn

from maskfield.core.errors import DataError
from maskfield.methods.pixelnerf.config import (
    EncoderConfig,
    GlobalEncoderConfig,
    PixelNeRFConfig,
    RenderOptions,
    ResNetEncoderConfig,
    SmallEncoderConfig,
)
from maskfield.methods.pixelnerf.model.field import PixelNeRFField
from maskfield.methods.pixelnerf.model.resnetfc import ResnetFC
from maskfield.methods.pixelnerf.model.views import EncodedViews, world_to_opengl
from maskfield.nn.positional import PositionalCode
from maskfield.nn.spatial_encoder import GlobalEncoder, ResNetMaps, SmallMaps
from maskfield.nn.unet2d import UNetMaps

Encoder = ResNetMaps | UNetMaps | SmallMaps | GlobalEncoder


class PixelNeRF(nn.Module):
    """Encodes source views; answers for points of the objects they show.

    Attributes:
        mlp_fine: None where one MLP serves both passes.
    """

    def __init__(self, config: PixelNeRFConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = None if config.encoder is None else build_encoder(config.encoder)
        given = config.global_encoder
        self.global_encoder = given and GlobalEncoder(given.backbone, given.latent_size)
        code = config.code
        self.code = code and PositionalCode(
            code.frequencies, code.factor, include_input=code.include_input
        )
        sizes = (input_channels(config, self.code), self.latent_channels)
        self.mlp_coarse = ResnetFC(*sizes, config.mlp)
        self.mlp_fine = config.mlp_fine and ResnetFC(*sizes, config.mlp_fine)

    @property
    def latent_channels(self) -> int:
        """Channels of the features: of the global vector, then of the map."""
        return sum(e.channels for e in (self.global_encoder, self.encoder) if e is not None)

    def train(self, mode: bool = True) -> PixelNeRF:
        """As usual, but a frozen encoder's batch norms stand still (officially they drift, Q12)."""
        super().train(mode)
        if self.config.freeze_encoder:
            for encoder in (self.encoder, self.global_encoder):
                if encoder is not None:
                    encoder.eval()
        return self

    def encode(
        self,
        images: Float[Tensor, "object view 3 h w"],
        poses: Float[Tensor, "object view 3 4"],
        intrinsics: Float[Tensor, "object view 4"],
    ) -> EncodedViews:
        """Remember source views; gradients reach the encoders unless these are frozen.

        Args:
            images: in [-1, 1]. poses: camera-to-world, OpenCV axes. intrinsics: fx, fy, cx, cy.

        Raises:
            DataError: shapes that do not belong together.
        """
        _check(images, poses, intrinsics)
        objects, views = images.shape[:2]
        flat = images.flatten(0, 1)
        with torch.no_grad() if self.config.freeze_encoder else nullcontext():
            found = [e(flat) for e in (self.global_encoder, self.encoder) if e is not None]
        vectors = [v.unflatten(0, (objects, views)) for v in found if v.ndim == 2]
        maps = [m.unflatten(0, (objects, views)) for m in found if m.ndim == 4]
        return EncodedViews(
            features=maps[0] if maps else None,
            vectors=torch.cat(vectors, dim=-1) if vectors else None,
            poses=world_to_opengl(poses),
            intrinsics=intrinsics,
            size=(images.shape[-1], images.shape[-2]),
        )

    def field(
        self, encoded: EncodedViews, index: int = 0, *, options: RenderOptions | None = None
    ) -> PixelNeRFField:
        """The radiance field of one encoded object; its ``proposal`` is the first pass's.

        Args:
            options: how whole images are drawn, with samplers that do not jitter; see there.
        """
        return PixelNeRFField(self, encoded, index, options=options)


def build_encoder(config: EncoderConfig) -> Encoder:
    """The encoder of a config."""
    if isinstance(config, GlobalEncoderConfig):
        return GlobalEncoder(config.backbone, config.latent_size)
    if isinstance(config, ResNetEncoderConfig):
        return ResNetMaps(
            config.backbone,
            layers=config.layers,
            first_pool=config.first_pool,
            resizing=config.upsample,
            feature_scale=config.feature_scale,
        )
    if isinstance(config, SmallEncoderConfig):
        return SmallMaps(config.widths, config.blocks)
    return UNetMaps(feature_scale=config.feature_scale)


def input_channels(config: PixelNeRFConfig, code: PositionalCode | None) -> int:
    """Channels of coded coordinates and directions."""
    place, direction = (3 if config.xyz else 1), (3 if config.directions else 0)
    if code is None or config.code is None:
        return place + direction
    if config.code.directions:
        return code.width(place + direction)
    return code.width(place) + direction


def _check(images: Tensor, poses: Tensor, intrinsics: Tensor) -> None:
    lead = tuple(images.shape[:2])
    right = images.ndim == 5 and images.shape[2] == 3 and lead[1:] != (0,)
    if not right or poses.shape != (*lead, 3, 4) or intrinsics.shape != (*lead, 4):
        raise DataError(
            "source views need images [object, view, 3, h, w], poses [object, view, 3, 4] and "
            "intrinsics [object, view, 4]",
            field="images, poses, intrinsics",
            value=(tuple(images.shape), tuple(poses.shape), tuple(intrinsics.shape)),
            remedy="give one camera-to-world pose and fx, fy, cx, cy for each source image",
        )
