"""Shifted-window attention on a channels-last 3-D token grid (spec nerf_mae 3.4).

Legend: n tokens per window, W windows, h heads, s shift per axis.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from math import prod

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

Triple = tuple[int, int, int]
REGION_PENALTY = -100.0  # logit between tokens that only the roll made neighbours


class WindowAttention(nn.Module):
    """Multi-head attention inside windows, with a learned relative position bias.

    Args:
        dim: channels, a multiple of ``heads``.
        heads: attention heads.
        window: tokens per window along each axis; need not be cubic.
        shift: how far the windows are shifted; (0, 0, 0) for plain windows.
        relative_bias: add the learned bias (off: the ablation without it).
    """

    relative_position_index: Int[Tensor, " nn"]

    def __init__(
        self, dim: int, heads: int, window: Triple, shift: Triple, *, relative_bias: bool = True
    ) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"dim {dim} is not divisible by {heads} heads")
        self.heads, self.window, self.shift = heads, window, shift
        self.relative_bias = relative_bias
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        if relative_bias:
            offsets = prod(2 * w - 1 for w in window)
            self.relative_position_bias_table = nn.Parameter(torch.empty(offsets, heads))
            nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)
            self.register_buffer("relative_position_index", relative_index(window).flatten())

    def forward(self, x: Float[Tensor, "b x y z c"]) -> Float[Tensor, "b x y z c"]:
        """Zero padding at the end of each axis takes part in un-shifted windows (quirk Q4)."""
        size = (x.shape[1], x.shape[2], x.shape[3])
        padded = padded_size(size, self.window)
        shift = effective_shift(padded, self.window, self.shift)
        x = _pad_tokens(x, padded)
        if any(shift):
            x = torch.roll(x, shifts=[-s for s in shift], dims=(1, 2, 3))
        attended = self._attend(_windows(x, self.window), padded, shift, x.shape[0])
        x = _unwindows(attended, self.window, padded)
        if any(shift):
            x = torch.roll(x, shifts=shift, dims=(1, 2, 3))
        return x[:, : size[0], : size[1], : size[2]]

    def bias(self) -> Float[Tensor, "1 h n n"] | None:
        """Relative position bias, gathered from the table."""
        if not self.relative_bias:
            return None
        n = prod(self.window)
        flat = self.relative_position_bias_table[self.relative_position_index]
        return flat.view(n, n, self.heads).permute(2, 0, 1)[None]

    def _attend(
        self, windows: Float[Tensor, "bW n c"], padded: Triple, shift: Triple, batch: int
    ) -> Float[Tensor, "bW n c"]:
        count, n, dim = windows.shape
        qkv = self.qkv(windows).view(count, n, 3, self.heads, dim // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        bias = self._additive_mask(padded, shift, batch, q)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        return self.proj(out.transpose(1, 2).reshape(count, n, dim))

    def _additive_mask(
        self, padded: Triple, shift: Triple, batch: int, like: Tensor
    ) -> Float[Tensor, "bW_or_1 h_or_1 n n"] | None:
        bias = self.bias()
        if any(shift):
            mask = shift_mask(padded, self.window, shift, like.device)[:, None]
            mask = mask.repeat(batch, 1, 1, 1)
            bias = mask if bias is None else bias + mask
        return None if bias is None else bias.to(like.dtype)


def relative_index(window: Triple) -> Int[Tensor, "n n"]:
    """Row of the bias table for every (query, key) pair of a window.

    For offsets (a, b, c) = query - key: (a + wh - 1)(2 wd - 1)(2 ww - 1) + (b + ww - 1)(2 wd - 1)
    + (c + wd - 1).
    """
    wh, ww, wd = window
    axes = torch.meshgrid(*(torch.arange(w) for w in window), indexing="ij")
    coords = torch.stack(axes).flatten(1)
    a, b, c = coords[:, :, None] - coords[:, None, :]
    return ((a + wh - 1) * (2 * ww - 1) + (b + ww - 1)) * (2 * wd - 1) + (c + wd - 1)


def padded_size(size: Triple, window: Triple) -> Triple:
    """Smallest multiple of the window that holds ``size``."""
    x, y, z = (-(-s // w) * w for s, w in zip(size, window, strict=True))
    return x, y, z


def effective_shift(padded: Triple, window: Triple, shift: Triple) -> Triple:
    """An axis that fits in one window is not shifted."""
    x, y, z = (0 if w >= p else s for p, w, s in zip(padded, window, shift, strict=True))
    return x, y, z


@lru_cache(maxsize=64)
def shift_mask(
    padded: Triple, window: Triple, shift: Triple, device: torch.device
) -> Float[Tensor, "W n n"]:
    """0 between tokens of the same region, -100 between regions the roll brought together.

    Cached: it depends on the arguments only. Do not write to the result.
    """
    region = torch.zeros(padded, device=device)
    slices = [_region_slices(w, s) for w, s in zip(window, shift, strict=True)]
    for label, (h, w, d) in enumerate(product(*slices)):
        region[h, w, d] = label
    ids = _windows(region[None, ..., None], window)[..., 0]
    different = ids[:, :, None] != ids[:, None, :]
    return different.to(torch.float32) * REGION_PENALTY


def _region_slices(window: int, shift: int) -> tuple[slice, ...]:
    if shift == 0:
        return (slice(None),)
    return slice(0, -window), slice(-window, -shift), slice(-shift, None)


def _pad_tokens(x: Tensor, padded: Triple) -> Tensor:
    missing = [p - s for p, s in zip(padded, x.shape[1:4], strict=True)]
    if not any(missing):
        return x
    return F.pad(x, (0, 0, 0, missing[2], 0, missing[1], 0, missing[0]))


def _windows(x: Float[Tensor, "b x y z c"], window: Triple) -> Float[Tensor, "bW n c"]:
    b, x_, y_, z_, c = x.shape
    h, w, d = window
    x = x.view(b, x_ // h, h, y_ // w, w, z_ // d, d, c)
    return x.permute(0, 1, 3, 5, 2, 4, 6, 7).reshape(-1, h * w * d, c)


def _unwindows(
    windows: Float[Tensor, "bW n c"], window: Triple, padded: Triple
) -> Float[Tensor, "b x y z c"]:
    h, w, d = window
    x, y, z = padded
    c = windows.shape[-1]
    grid = windows.view(-1, x // h, y // w, z // d, h, w, d, c)
    return grid.permute(0, 1, 4, 2, 5, 3, 6, 7).reshape(-1, x, y, z, c)
