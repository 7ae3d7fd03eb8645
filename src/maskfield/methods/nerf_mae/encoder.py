"""The encoder that the masked autoencoder and the networks fine-tuned from it have in common."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor

from maskfield.methods.nerf_mae.config import NerfMAEConfig
from maskfield.nn.swin3d import Keep, Swin3D


def build_encoder(config: NerfMAEConfig, *, mask_token: bool = False) -> Swin3D:
    """The encoder of a config; its positional table exists only in pre-trained variants."""
    g = config.tokens
    return Swin3D(
        embed_dim=config.embed_dim,
        depths=config.depths,
        heads=config.heads,
        window=config.window,
        patch=(config.patch, config.patch, config.patch),
        table_grid=(g, g, g) if config.positional_table else None,
        mask_token=mask_token,
        drop_rate=config.stochastic_depth,
        relative_bias=config.relative_bias,
        recompute=config.recompute,
    )


def feature_maps(
    encoder: Swin3D,
    cubes: Float[Tensor, "b 4 x y z"],
    token_mask: Bool[Tensor, "b _g _g _g"] | None = None,
    keep: Keep | None = None,
) -> list[Float[Tensor, "b _c _x _y _z"]]:
    """The four maps of a batch, channels first."""
    return [f.permute(0, 4, 1, 2, 3) for f in encoder(cubes, token_mask, keep)]
