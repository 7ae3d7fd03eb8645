"""Fixed sine-cosine position codes: of a 3-D token grid (spec nerf_mae 3.3), of coordinates."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

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


class PositionalCode(nn.Module):
    """[x,] then per octave k: sin(f_k x), cos(f_k x), f_k = factor * 2**k (spec pixelnerf 5.3).

    Args:
        frequencies: octaves. include_input: put the coordinates themselves in front.

    The buffers keep the names and shapes of official checkpoints; a phase of pi/2 makes the cosine.
    """

    _freqs: Tensor
    _phases: Tensor

    def __init__(self, frequencies: int, factor: float, *, include_input: bool = True) -> None:
        super().__init__()
        self.frequencies, self.include_input = frequencies, include_input
        octaves = factor * 2.0 ** torch.arange(frequencies)
        self.register_buffer("_freqs", octaves.repeat_interleave(2)[None, :, None])
        phases = torch.tensor([0.0, math.pi / 2]).repeat(frequencies)
        self.register_buffer("_phases", phases[None, :, None])

    def width(self, dimensions: int) -> int:
        """Channels of the code of so many coordinates."""
        return dimensions * (2 * self.frequencies + self.include_input)

    def forward(self, x: Float[Tensor, "*n d"]) -> Float[Tensor, "*n c"]:
        angles = torch.addcmul(self._phases[0], x[..., None, :], self._freqs[0])
        waves = angles.sin().flatten(-2)
        return torch.cat([x, waves], dim=-1) if self.include_input else waves


def octave_code(
    x: Float[Tensor, "*n d"], octaves: int, *, include_input: bool = True
) -> Float[Tensor, "*n c"]:
    """[x,] then per octave k: sin(2**k x), cos(2**k x) (NeRF, arXiv 2003.08934, eq. 4, without pi).

    Not :class:`PositionalCode` with factor 1: a phase added to 2**9 x costs digits in float32.
    """
    scale = 2.0 ** torch.arange(octaves, dtype=x.dtype, device=x.device)
    angles = x[..., None, :] * scale[:, None]
    waves = torch.stack([angles.sin(), angles.cos()], dim=-2).flatten(-3)
    return torch.cat([x, waves], dim=-1) if include_input else waves
