"""The NeRF masked autoencoder: 3-D Swin encoder, U-Net decoder (arXiv 2404.01300)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from maskfield.core.errors import GridError
from maskfield.masking import draw_mask, random_blocks
from maskfield.methods.nerf_mae.config import STRIDE, NerfMAEConfig
from maskfield.methods.nerf_mae.encoder import build_encoder, feature_maps
from maskfield.methods.nerf_mae.layout import pad_to_box, pad_to_cube, valid_cells
from maskfield.nn.swin3d import Keep
from maskfield.nn.unet3d import OutBlock, UNetDecoder

Grid = Float[Tensor, "4 x y z"]
Triple = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class Features:
    """What :meth:`NerfMAE.encode` answers.

    Attributes:
        maps: four maps [b, E * 2**i, x, y, z], channels-first, strides patch * (1, 2, 4, 8).
        valid: [b, x, y, z] per map: False on cells that hold only padding.
        sizes: [b, 3] voxels of each grid before padding.
    """

    maps: list[Float[Tensor, "b c x y z"]]
    valid: list[Bool[Tensor, "b x y z"]]
    sizes: Int[Tensor, "b 3"]


class NerfMAE(nn.Module):
    """Hide blocks of a radiance grid, bring them back.

    Grids are [4, x, y, z]: RGB in [0, 1] and alpha. Predictions are linear RGB and alpha logits.
    """

    def __init__(self, config: NerfMAEConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = build_encoder(config, mask_token=True)
        fused = config.implementation == "fast"
        self.decoder = UNetDecoder(config.embed_dim, config.patch, fused=fused)
        self.out = OutBlock(self.decoder.out_channels, 4)

    def forward(
        self,
        grids: Float[Tensor, "b 4 r r r"],
        sizes: Int[Tensor, "b 3"] | None = None,
        token_mask: Bool[Tensor, "b g g g"] | None = None,
        *,
        keep: Keep | None = None,
    ) -> Float[Tensor, "b 4 r r r"]:
        """Reconstruct padded cubes.

        Args:
            grids: from :meth:`pad`; sides are multiples of 8 * patch.
            sizes: real voxels per axis. The network itself treats padding as content, as the
                official one does; sizes are checked here and used by the loss.
            token_mask: True = hidden; None hides nothing.
            keep: stochastic-depth flags from :meth:`draw_keep` while training; None keeps all.
        """
        _check_input(grids, sizes, self.config.patch * STRIDE)
        return self.out(self.decoder(feature_maps(self.encoder, grids, token_mask, keep)))

    def pad(
        self, grids: Grid | Sequence[Grid]
    ) -> tuple[Float[Tensor, "b 4 r r r"], Int[Tensor, "b 3"]]:
        """Zero-pad to the model's cube, crop what is larger (the official input)."""
        return pad_to_cube(_as_list(grids), self.config.resolution)

    def draw_mask(self, batch: int, generator: torch.Generator) -> Bool[Tensor, "b g g g"]:
        """A token mask by the config's strategy, ratio, block size and per-sample switch."""
        c = self.config
        g = c.tokens
        return draw_mask(
            c.strategy,
            (g, g, g),
            c.block_size,
            c.mask_ratio,
            generator,
            per_sample=c.per_sample_masks,
            batch=batch,
        )

    def draw_keep(self, batch: int, generator: torch.Generator) -> Keep | None:
        """Stochastic-depth flags for one training step; None when the rate is 0."""
        return self.encoder.draw_keep(batch, generator)

    def encode(self, grids: Grid | Sequence[Grid]) -> Features:
        """Feature maps without masking, for grids of any size.

        Grids up to the model's resolution are padded to its cube, exactly as in training. A larger
        axis is padded to the next multiple of 8 * patch and the positional table is extended by its
        formula, so nothing is cropped.
        """
        grids = _as_list(grids)
        padded, sizes = pad_to_box(grids, self._box(grids))
        maps = feature_maps(self.encoder, padded)
        valid = [
            valid_cells(sizes, _spatial(m), self.config.patch * 2**i) for i, m in enumerate(maps)
        ]
        return Features(maps=maps, valid=valid, sizes=sizes)

    @torch.no_grad()
    def reconstruct(
        self,
        grid: Grid,
        mask: float | Bool[Tensor, "g g g"] | None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> Grid:
        """Predict one whole grid: RGB clamped to [0, 1] and alpha in [0, 1], cropped to its size.

        Args:
            grid: at most the model's resolution along each axis.
            mask: None hides nothing; a number hides that share of blocks (needs ``generator``);
                a token mask (True = hidden, [G, G, G]) hides exactly that.

        Raises:
            GridError: the grid is larger than the model's cube.
        """
        if max(grid.shape[1:]) > self.config.resolution:
            raise GridError(
                "the grid is larger than the model's cube",
                field="grid",
                value=tuple(grid.shape),
                remedy=f"resample it to at most {self.config.resolution} voxels per axis",
            )
        padded, sizes = self.pad(grid)
        token_mask = self._explicit_mask(mask, generator, padded.device)
        prediction = self(padded, sizes, token_mask)[0].float()
        colour, alpha = prediction[:3].clamp(0, 1), prediction[3:].sigmoid()
        x, y, z = grid.shape[1:]
        return torch.cat([colour, alpha])[:, :x, :y, :z]

    def _explicit_mask(
        self,
        mask: float | Tensor | None,
        generator: torch.Generator | None,
        device: torch.device,
    ) -> Bool[Tensor, "1 g g g"] | None:
        if mask is None:
            return None
        if isinstance(mask, Tensor):
            return mask.to(device).bool().view(1, *mask.shape[-3:])
        if generator is None:
            raise ValueError("a mask given as a ratio needs a generator")
        g = self.config.tokens
        drawn = random_blocks((g, g, g), self.config.block_size, mask, generator)
        return drawn.to(device)

    def _box(self, grids: Sequence[Grid]) -> Triple:
        step, base = self.config.patch * STRIDE, self.config.resolution
        largest = [max(g.shape[1 + a] for g in grids) for a in range(3)]
        x, y, z = (max(base, -(-n // step) * step) for n in largest)
        return x, y, z


def _spatial(x: Tensor) -> Triple:
    return x.shape[2], x.shape[3], x.shape[4]


def _as_list(grids: Grid | Sequence[Grid]) -> list[Grid]:
    if isinstance(grids, Tensor):
        return [grids] if grids.ndim == 4 else list(grids)
    return list(grids)


def _check_input(grids: Tensor, sizes: Tensor | None, step: int) -> None:
    if grids.ndim != 5 or grids.shape[1] != 4 or any(s % step or s == 0 for s in grids.shape[2:]):
        raise GridError(
            f"the network takes [batch, 4, x, y, z] with sides that are multiples of {step}",
            field="grids",
            value=tuple(grids.shape),
            remedy="pad with model.pad(...)",
        )
    if sizes is not None and sizes.shape != (grids.shape[0], 3):
        raise GridError(
            "one size per grid is needed",
            field="sizes",
            value=tuple(sizes.shape),
            remedy="pass the sizes returned by model.pad(...)",
        )
