"""What to hide: boolean masks of token blocks, True = masked (spec nerf_mae 4).

A block is ``block`` tokens along each axis. Tokens left over at the end of an axis that is not a
multiple of the block are never masked. Blocks are scanned with the last axis fastest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from maskfield.core.errors import ConfigError

Triple = tuple[int, int, int]
TokenMask = Bool[Tensor, "b x y z"]


def blocks_from_draws(
    draws: Float[Tensor, "*b n"], tokens: Triple, block: int, ratio: float
) -> TokenMask:
    """Mask every block whose uniform draw is below ``ratio``.

    Args:
        draws: one number per block in scan order; [n] for one mask, [b, n] for one per sample.
        tokens: token grid shape.
        block: tokens per block axis.
        ratio: masking probability; the share actually masked varies around it.

    Raises:
        ValueError: the number of draws is not the number of blocks.
    """
    counts = block_counts(tokens, block)
    expected = counts[0] * counts[1] * counts[2]
    if draws.shape[-1] != expected:
        raise ValueError(f"{expected} blocks need {expected} draws, got {draws.shape[-1]}")
    return expand_blocks((draws < ratio).reshape(-1, *counts), tokens, block)


def random_blocks(
    tokens: Triple,
    block: int,
    ratio: float,
    generator: torch.Generator,
    *,
    per_sample: bool = False,
    batch: int = 1,
) -> TokenMask:
    """Every block independently masked with probability ``ratio`` (the official strategy).

    One mask shared by the batch, unless ``per_sample``.
    """
    draws = _draws(tokens, block, generator, batch if per_sample else 1)
    return _per_batch(blocks_from_draws(draws, tokens, block, ratio), batch)


def exact_random_blocks(
    tokens: Triple,
    block: int,
    ratio: float,
    generator: torch.Generator,
    *,
    per_sample: bool = False,
    batch: int = 1,
) -> TokenMask:
    """Exactly round(ratio * n) blocks masked, chosen uniformly."""
    draws = _draws(tokens, block, generator, batch if per_sample else 1)
    rank = draws.argsort(dim=-1).argsort(dim=-1)
    chosen = rank < round(ratio * draws.shape[-1])
    counts = block_counts(tokens, block)
    return _per_batch(expand_blocks(chosen.view(-1, *counts), tokens, block), batch)


def grid_blocks(tokens: Triple, block: int, *, batch: int = 1) -> TokenMask:
    """Three masked, one kept, repeating in scan order: 75 % (the legacy class)."""
    index = _scan_index(tokens, block)
    return _per_batch(expand_blocks((index % 4 != 3)[None], tokens, block), batch)


def first_quarter_blocks(tokens: Triple, block: int, *, batch: int = 1) -> TokenMask:
    """Only the first quarter of the blocks in scan order (what the current class calls grid)."""
    index = _scan_index(tokens, block)
    return _per_batch(expand_blocks((index < index.numel() // 4)[None], tokens, block), batch)


def slab_blocks(tokens: Triple, block: int, starts: Sequence[int], *, batch: int = 1) -> TokenMask:
    """For each start row: mask, in scan order, blocks behind it until a quarter of all is reached.

    Args:
        starts: block rows; blocks with a first index above the start and not yet masked are taken.
            :func:`draw_slab_starts` draws the official three.
    """
    counts = block_counts(tokens, block)
    total = counts[0] * counts[1] * counts[2]
    row = torch.arange(total) // (counts[1] * counts[2])
    masked = torch.zeros(total, dtype=torch.bool)
    for start in starts:
        free = ((row > start) & ~masked).nonzero()[:, 0]
        masked[free[: total // 4]] = True
    return _per_batch(expand_blocks(masked.view(1, *counts), tokens, block), batch)


def draw_slab_starts(tokens: Triple, block: int, generator: torch.Generator) -> list[int]:
    """Three start rows, uniform in 0 ... 0.75 * rows (exclusive)."""
    rows = block_counts(tokens, block)[0]
    high = max(int(0.75 * rows), 1)
    return torch.randint(high, (3,), generator=generator).tolist()


def draw_mask(
    strategy: str,
    tokens: Triple,
    block: int,
    ratio: float,
    generator: torch.Generator,
    *,
    per_sample: bool = False,
    batch: int = 1,
) -> TokenMask:
    """A mask by the name of its strategy: random, exact, grid, first_quarter or slab.

    Raises:
        ConfigError: unknown strategy, or fewer tokens than one block along an axis.
    """
    if min(block_counts(tokens, block)) == 0:
        raise ConfigError(
            "the token grid is smaller than one block, so nothing can be masked",
            field="block_size",
            value=(tokens, block),
            remedy="use a smaller block_size or a larger resolution",
        )
    drawn: dict[str, Callable[[], TokenMask]] = {
        "random": lambda: random_blocks(
            tokens, block, ratio, generator, per_sample=per_sample, batch=batch
        ),
        "exact": lambda: exact_random_blocks(
            tokens, block, ratio, generator, per_sample=per_sample, batch=batch
        ),
        "grid": lambda: grid_blocks(tokens, block, batch=batch),
        "first_quarter": lambda: first_quarter_blocks(tokens, block, batch=batch),
        "slab": lambda: slab_blocks(
            tokens, block, draw_slab_starts(tokens, block, generator), batch=batch
        ),
    }
    if strategy not in drawn:
        raise ConfigError(
            "unknown masking strategy",
            field="strategy",
            value=strategy,
            remedy=f"choose one of {', '.join(drawn)}",
        )
    return drawn[strategy]()


def block_counts(tokens: Triple, block: int) -> Triple:
    """Whole blocks along each axis."""
    return tokens[0] // block, tokens[1] // block, tokens[2] // block


def expand_blocks(blocks: Bool[Tensor, "b i j k"], tokens: Triple, block: int) -> TokenMask:
    """Blocks to tokens; left-over tokens are not masked."""
    mask = torch.zeros(blocks.shape[0], *tokens, dtype=torch.bool, device=blocks.device)
    fine = repeat_cells(blocks, block)
    mask[:, : fine.shape[1], : fine.shape[2], : fine.shape[3]] = fine
    return mask


def repeat_cells(cells: Bool[Tensor, "b x y z"], factor: int) -> Bool[Tensor, "b fx fy fz"]:
    """Nearest upsampling by an integer factor (tokens to voxels, blocks to tokens)."""
    b, x, y, z = cells.shape
    wide = cells[:, :, None, :, None, :, None].expand(b, x, factor, y, factor, z, factor)
    return wide.reshape(b, x * factor, y * factor, z * factor)


def _draws(
    tokens: Triple, block: int, generator: torch.Generator, masks: int
) -> Float[Tensor, "masks n"]:
    x, y, z = block_counts(tokens, block)
    return torch.rand(
        masks, x * y * z, generator=generator, device=generator.device, dtype=torch.float64
    )


def _scan_index(tokens: Triple, block: int) -> Tensor:
    counts = block_counts(tokens, block)
    return torch.arange(counts[0] * counts[1] * counts[2]).view(counts)


def _per_batch(mask: TokenMask, batch: int) -> TokenMask:
    return mask.expand(batch, -1, -1, -1) if mask.shape[0] == 1 else mask
