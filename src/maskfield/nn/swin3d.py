"""A Swin transformer on 3-D grids (spec nerf_mae 3.2-3.5); tokens are channels-last.

Module names follow the official state dict, so checkpoints map key by key.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from maskfield.nn.positional import sincos_3d
from maskfield.nn.window_attention import Triple, WindowAttention

Keep = Bool[Tensor, "call batch"]


class SwinBlock(nn.Module):
    """x += SD(attn(norm1(x))); x += SD(mlp(norm2(x))), SD = stochastic depth per sample.

    Args:
        dim, heads, window, shift: see :class:`WindowAttention`.
        drop_rate: probability that a residual branch is dropped while training.
        mlp_ratio: hidden width of the MLP over ``dim``.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        window: Triple,
        shift: Triple,
        *,
        drop_rate: float = 0.0,
        mlp_ratio: int = 4,
        relative_bias: bool = True,
    ) -> None:
        super().__init__()
        self.drop_rate = drop_rate
        self.norm1 = nn.LayerNorm(dim)
        self.attn = WindowAttention(dim, heads, window, shift, relative_bias=relative_bias)
        self.norm2 = nn.LayerNorm(dim)
        hidden = mlp_ratio * dim
        # indices 2 and 4 are the official dropouts (rate 0); 3 must keep its name
        self.mlp = nn.Sequential(
            nn.Linear(dim, hidden), nn.GELU(), nn.Identity(), nn.Linear(hidden, dim), nn.Identity()
        )

    def forward(
        self, x: Float[Tensor, "b x y z c"], keep: Bool[Tensor, "2 b"] | None = None
    ) -> Float[Tensor, "b x y z c"]:
        """``keep``: which samples keep the attention branch and the MLP branch; None keeps all."""
        attn_keep, mlp_keep = (None, None) if keep is None else keep
        x = x + scale_kept(self.attn(self.norm1(x)), attn_keep, self.drop_rate)
        return x + scale_kept(self.mlp(self.norm2(x)), mlp_keep, self.drop_rate)


def scale_kept(
    branch: Float[Tensor, "b ..."], keep: Bool[Tensor, " b"] | None, drop_rate: float
) -> Float[Tensor, "b ..."]:
    """Stochastic depth, "row" mode: dropped samples become 0, kept ones are divided by 1 - rate."""
    if keep is None:
        return branch
    scale = keep.to(branch.dtype) / (1 - drop_rate)
    return branch * scale.view(-1, *[1] * (branch.ndim - 1))


class PatchMerging(nn.Module):
    """Halve the grid: the 8 sub-lattices side by side, LayerNorm, Linear.

    Args:
        dim: input channels.
        expand_dim: output 2 * dim channels (else dim).
    """

    def __init__(self, dim: int, *, expand_dim: bool = True) -> None:
        super().__init__()
        self.reduction = nn.Linear(8 * dim, (2 if expand_dim else 1) * dim, bias=False)
        self.norm = nn.LayerNorm(8 * dim)

    def forward(self, x: Float[Tensor, "b x y z c"]) -> Float[Tensor, "b x2 y2 z2 d"]:
        return self.reduction(self.norm(merge_neighbours(x)))


def merge_neighbours(x: Float[Tensor, "b x y z c"]) -> Float[Tensor, "b x2 y2 z2 c8"]:
    """Concatenate offsets 000, 100, 010, 110, 001, 101, 011, 111; odd axes are zero-padded."""
    odd = [s % 2 for s in x.shape[1:4]]
    if any(odd):
        x = F.pad(x, (0, 0, 0, odd[2], 0, odd[1], 0, odd[0]))
    b, h, w, d, c = x.shape
    cells = x.view(b, h // 2, 2, w // 2, 2, d // 2, 2, c)
    return cells.permute(0, 1, 3, 5, 6, 4, 2, 7).reshape(b, h // 2, w // 2, d // 2, 8 * c)


class ToChannelsLast(nn.Module):
    """[b, c, x, y, z] to [b, x, y, z, c]."""

    def forward(self, x: Float[Tensor, "b c x y z"]) -> Float[Tensor, "b x y z c"]:
        return x.permute(0, 2, 3, 4, 1)


class Swin3D(nn.Module):
    """Patch embedding, optional positional table and mask token, then stages of Swin blocks.

    Args:
        embed_dim: width of the first stage; stage i has ``embed_dim * 2**i`` channels.
        depths, heads: blocks and attention heads per stage.
        window, patch: tokens per window axis, voxels per token axis.
        in_channels: channels of the input grid.
        table_grid: tokens per axis of the stored positional table; None has no table.
        mask_token: own a learned token that replaces masked patches.
        drop_rate: stochastic depth of the last block; earlier blocks grow linearly from 0.
        relative_bias: see :class:`WindowAttention`.
        recompute: gradient-checkpoint every block (about a third more compute, far less memory).
    """

    pos_embed: nn.Parameter | None

    def __init__(
        self,
        *,
        embed_dim: int,
        depths: Sequence[int],
        heads: Sequence[int],
        window: Triple = (4, 4, 4),
        patch: Triple = (4, 4, 4),
        in_channels: int = 4,
        table_grid: Triple | None = None,
        mask_token: bool = False,
        drop_rate: float = 0.0,
        relative_bias: bool = True,
        recompute: bool = False,
    ) -> None:
        super().__init__()
        self.patch, self.recompute = patch, recompute
        self.widths = [embed_dim * 2**i for i in range(len(depths))]
        self.drop_rates = block_drop_rates(depths, drop_rate)
        table = None if table_grid is None else sincos_3d(embed_dim, table_grid)
        self.register_parameter("pos_embed", _frozen(table))
        self.mask_token = nn.Parameter(torch.zeros(embed_dim)) if mask_token else None
        self.patch_partition = nn.Sequential(
            nn.Conv3d(in_channels, embed_dim, patch, stride=patch),
            ToChannelsLast(),
            nn.LayerNorm(embed_dim),
        )
        self.stages = nn.ModuleList(
            _stage(i, self.widths, depths, heads, window, self.drop_rates, relative_bias)
            for i in range(len(depths))
        )
        self.apply(_initialise)
        if self.mask_token is not None:
            nn.init.normal_(self.mask_token, std=0.02)

    def forward(
        self,
        grids: Float[Tensor, "b 4 x y z"],
        token_mask: Bool[Tensor, "b h w d"] | None = None,
        keep: Keep | None = None,
    ) -> list[Float[Tensor, "b h w d c"]]:
        """Feature maps of all stages, channels-last, strides patch * (1, 2, 4, 8).

        Args:
            grids: padded input; sides must be multiples of the patch.
            token_mask: True where the token is replaced by the mask token.
            keep: flags from :meth:`draw_keep`; None keeps every branch.
        """
        return self.run_stages(self.embed(grids, token_mask), keep)

    def embed(
        self, grids: Float[Tensor, "b 4 x y z"], token_mask: Bool[Tensor, "b h w d"] | None = None
    ) -> Float[Tensor, "b h w d c"]:
        """Patch embedding + table; a masked token becomes exactly the mask token (quirk Q1)."""
        tokens = self.patch_partition(grids)
        if self.pos_embed is not None:
            tokens = tokens + self.table(tokens.shape[1:4]).detach()
        if token_mask is None:
            return tokens
        if self.mask_token is None:
            raise ValueError("this encoder was built without a mask token and cannot hide patches")
        return torch.where(token_mask[..., None], self.mask_token.to(tokens.dtype), tokens)

    def table(self, grid: Sequence[int]) -> Float[Tensor, "1 h w d c"]:
        """The stored table when the grid matches; otherwise the formula at the asked size."""
        stored = self.pos_embed
        if stored is None:
            raise ValueError("this encoder has no positional table")
        if tuple(stored.shape[1:4]) == tuple(grid):
            return stored
        x, y, z = grid
        return sincos_3d(stored.shape[-1], (x, y, z), stored.device).to(stored.dtype)

    def run_stages(
        self, tokens: Float[Tensor, "b h w d c"], keep: Keep | None = None
    ) -> list[Float[Tensor, "b h w d c"]]:
        """All stages on embedded tokens."""
        flags = None if keep is None else iter(keep.view(-1, 2, tokens.shape[0]))
        features = []
        for stage in self.stages:
            for layer in stage.children():
                tokens = self._run_layer(layer, tokens, flags)
            features.append(tokens)
        return features

    def _run_layer(
        self, layer: nn.Module, tokens: Tensor, flags: Iterator[Bool[Tensor, "2 b"]] | None
    ) -> Tensor:
        arguments = [tokens]
        if flags is not None and isinstance(layer, SwinBlock) and layer.drop_rate > 0:
            arguments.append(next(flags))
        if self.recompute and torch.is_grad_enabled():
            return checkpoint(layer, *arguments, use_reentrant=False, preserve_rng_state=False)
        return layer(*arguments)

    def draw_keep(self, batch: int, generator: torch.Generator) -> Keep | None:
        """Stochastic-depth flags for one training forward, or None when every rate is 0.

        Two rows (attention, MLP) for each block whose rate is above 0, in stage order; 1 = keep.
        """
        rates = [r for r in self.drop_rates for _ in range(2) if r > 0]
        if not rates:
            return None
        draws = torch.rand(len(rates), batch, generator=generator, device=generator.device)
        return draws >= torch.tensor(rates, device=draws.device)[:, None]


def block_drop_rates(depths: Sequence[int], drop_rate: float) -> list[float]:
    """Rate of block k of N: drop_rate * k / (N - 1)."""
    total = sum(depths)
    return [drop_rate * k / max(total - 1, 1) for k in range(total)]


def _stage(
    index: int,
    widths: Sequence[int],
    depths: Sequence[int],
    heads: Sequence[int],
    window: Triple,
    rates: Sequence[float],
    relative_bias: bool,
) -> nn.Sequential:
    layers: list[nn.Module] = [] if index == 0 else [PatchMerging(widths[index - 1])]
    half = (window[0] // 2, window[1] // 2, window[2] // 2)
    first = sum(depths[:index])
    for j in range(depths[index]):
        layers.append(
            SwinBlock(
                widths[index],
                heads[index],
                window,
                half if j % 2 else (0, 0, 0),
                drop_rate=rates[first + j],
                relative_bias=relative_bias,
            )
        )
    return nn.Sequential(*layers)


def _frozen(table: Tensor | None) -> nn.Parameter | None:
    return None if table is None else nn.Parameter(table, requires_grad=False)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
