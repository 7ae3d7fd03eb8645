"""Fixed sine-cosine position codes on a 3-D token grid (spec nerf_mae 3.3)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

BASE = 10000.0


def sincos_1d(width: int, positions: Float[Tensor, " n"]) -> Float[Tensor, "n width"]:
    """[sin(q w_j)] then [cos(q w_j)], w_j = 10000^(-2j / width), computed in float64.

    Args:
        width: number of channels, even.
        positions: token positions (any unit; the tables use 0, 1, 2, ...).

    Returns:
        float32 codes.

    Raises:
        ValueError: odd width.
    """
    if width % 2:
        raise ValueError(f"a sine-cosine code needs an even width, got {width}")
    j = torch.arange(width // 2, dtype=torch.float64, device=positions.device)
    angle = positions.double()[:, None] * BASE ** (-2 * j / width)
    return torch.cat([angle.sin(), angle.cos()], dim=1).float()


def axis_widths(embed_dim: int) -> tuple[int, int, int]:
    """How the channels are shared by the three thirds of the table; they sum to ``embed_dim``.

    Thirds are equal when ``embed_dim`` is a multiple of 6 (all usable official sizes). Otherwise
    (Swin-B: 128) the remainder goes to the first thirds in steps of two: 44, 42, 42.

    Raises:
        ValueError: ``embed_dim`` is odd or below 6.
    """
    if embed_dim % 2 or embed_dim < 6:
        raise ValueError(f"the positional table needs an even width >= 6, got {embed_dim}")
    pairs, extra = divmod(embed_dim // 2, 3)
    first, second, third = (2 * (pairs + (i < extra)) for i in range(3))
    return first, second, third


def sincos_3d(
    embed_dim: int, grid: tuple[int, int, int], device: torch.device | None = None
) -> Float[Tensor, "1 x y z c"]:
    """The table as official checkpoints store it.

    The first third of the channels encodes array axis 1, the second axis 0, the last axis 2: the
    official code built it with x/y-style mesh-grid indexing, and released weights depend on it.
    """
    widths = axis_widths(embed_dim)
    parts = []
    for axis, width in zip((1, 0, 2), widths, strict=True):
        code = sincos_1d(width, torch.arange(grid[axis], dtype=torch.float64, device=device))
        shape = [1, 1, 1, 1, width]
        shape[1 + axis] = grid[axis]
        parts.append(code.reshape(shape).expand(1, *grid, width))
    return torch.cat(parts, dim=-1)
