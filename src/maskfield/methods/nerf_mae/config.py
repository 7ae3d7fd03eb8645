"""Options of the NeRF masked autoencoder (torch-free)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal

from maskfield.core.config import config
from maskfield.core.errors import ConfigError

if TYPE_CHECKING:
    from maskfield.methods.nerf_mae.model import NerfMAE

Strategy = Literal["random", "exact", "grid", "first_quarter", "slab"]
RgbRegion = Literal["occupied", "masked_occupied"]
STAGES = 4
STRIDE = 8  # of the coarsest stage over the finest: three halvings


@config
class NerfMAEConfig:
    """The paper's model and its ablation switches. Defaults: Swin-S at 160, the released recipe.

    Attributes:
        resolution: cube side in voxels; a multiple of 8 * patch (32 for patch 4).
        embed_dim: width of the first stage, E; stage i has E * 2**i channels.
        depths: Swin blocks per stage.
        heads: attention heads per stage; must divide the stage's width.
        window: tokens per attention window along x, y, z.
        patch: voxels per token axis.
        mask_ratio: share of blocks hidden (a probability for strategy "random").
        block_size: tokens per masked block axis.
        strategy: what is hidden; see :mod:`maskfield.masking`.
        per_sample_masks: one mask per sample; the official model shares one in the batch.
        rgb_region: where colour is supervised. "occupied" is the released code (all occupied
            voxels); "masked_occupied" is the paper's formula.
        rgb_weight, alpha_weight: weights of the two losses; 0 leaves one out.
        stochastic_depth: drop rate of the last block; 0 for fine-tuning from scratch.
        positional_table: add the fixed sine-cosine table.
        relative_bias: learned relative position bias in attention.
        implementation: "fast" (fused operators that keep little for backward) or "plain"
            (the same mathematics in plain modules: the reference).
        recompute: gradient-checkpoint the encoder's blocks: their input is all that is kept for
            backward, for about 3 % more compute at full size.
        compat: "official" refuses what the official code cannot build.
    """

    resolution: int = 160
    embed_dim: int = 96
    depths: tuple[int, ...] = (2, 2, 18, 2)
    heads: tuple[int, ...] = (3, 6, 12, 24)
    window: tuple[int, int, int] = (4, 4, 4)
    patch: int = 4
    mask_ratio: float = 0.75
    block_size: int = 4
    strategy: Strategy = "random"
    per_sample_masks: bool = False
    rgb_region: RgbRegion = "occupied"
    rgb_weight: float = 1.0
    alpha_weight: float = 1.0
    stochastic_depth: float = 0.1
    positional_table: bool = True
    relative_bias: bool = True
    implementation: Literal["fast", "plain"] = "fast"
    recompute: bool = False
    compat: Literal["official", "maskfield"] = "maskfield"

    training_only: ClassVar[frozenset[str]] = frozenset(
        {"mask_ratio", "block_size", "strategy", "per_sample_masks", "rgb_region", "rgb_weight"}
        | {"alpha_weight", "stochastic_depth", "implementation", "recompute", "compat"}
    )

    def __post_init__(self) -> None:
        _check_shape(self)
        _check_widths(self)
        _check_masking(self)

    @property
    def tokens(self) -> int:
        """Tokens per axis, G = resolution / patch."""
        return self.resolution // self.patch

    def build(self) -> NerfMAE:
        """The network, freshly initialised from torch's global generator."""
        from maskfield.methods.nerf_mae.model import NerfMAE

        return NerfMAE(self)


def _check_shape(c: NerfMAEConfig) -> None:
    step = c.patch * STRIDE
    if c.patch < 1 or c.resolution < step or c.resolution % step:
        raise ConfigError(
            f"the resolution must be a positive multiple of {step} (8 x patch): the decoder joins "
            "maps whose sizes must halve exactly",
            field="resolution",
            value=c.resolution,
            remedy=f"use {max(round(c.resolution / step), 1) * step}",
        )
    if len(c.depths) != STAGES or len(c.heads) != STAGES or min(c.window) < 1:
        raise ConfigError(
            "four stages are needed, and a window of at least one token",
            field="depths, heads, window",
            value=(c.depths, c.heads, c.window),
            remedy="give four depths, four head counts and a window such as (4, 4, 4)",
        )


def _check_widths(c: NerfMAEConfig) -> None:
    widths = [c.embed_dim * 2**i for i in range(STAGES)]
    if any(w % h for w, h in zip(widths, c.heads, strict=True)) or c.embed_dim % 2:
        raise ConfigError(
            "every stage's width must be even and divisible by its heads",
            field="embed_dim, heads",
            value=(widths, c.heads),
            remedy="use heads = width / 32, e.g. (4, 8, 16, 32) for embed_dim 128",
        )
    if c.compat == "official" and c.embed_dim % 6:
        raise ConfigError(
            "the official positional table needs a width divisible by 6, so this size has no "
            "official counterpart (Swin-B cannot be built there)",
            field="embed_dim",
            value=c.embed_dim,
            remedy="use swin_t, swin_s or swin_l, or compat='maskfield'",
        )


def _check_masking(c: NerfMAEConfig) -> None:
    if not 0 <= c.mask_ratio <= 1 or c.block_size < 1 or not 0 <= c.stochastic_depth < 1:
        raise ConfigError(
            "mask_ratio must lie in [0, 1], stochastic_depth in [0, 1), block_size at least 1",
            field="mask_ratio, stochastic_depth, block_size",
            value=(c.mask_ratio, c.stochastic_depth, c.block_size),
            remedy="the official recipe is 0.75, 0.1 and 4",
        )
    if c.rgb_weight < 0 or c.alpha_weight < 0 or c.rgb_weight + c.alpha_weight == 0:
        raise ConfigError(
            "loss weights must not be negative, nor both 0",
            field="rgb_weight, alpha_weight",
            value=(c.rgb_weight, c.alpha_weight),
            remedy="the official weights are 1 and 1",
        )


SWIN_S = NerfMAEConfig()
SIZES: dict[str, NerfMAEConfig] = {
    "swin_t": replace(SWIN_S, depths=(2, 2, 6, 2)),
    "swin_s": SWIN_S,
    # 128 channels: the official table (126 wide) and 3 heads cannot work; see README.md
    "swin_b": replace(SWIN_S, embed_dim=128, heads=(4, 8, 16, 32)),
    "swin_l": replace(SWIN_S, embed_dim=192, heads=(6, 12, 24, 48)),
    "tiny": NerfMAEConfig(
        resolution=64, embed_dim=24, depths=(2, 2, 2, 2), heads=(1, 2, 4, 8), stochastic_depth=0.0
    ),
    "small": NerfMAEConfig(
        resolution=64, embed_dim=48, depths=(2, 2, 6, 2), heads=(2, 4, 8, 16), stochastic_depth=0.0
    ),
}
