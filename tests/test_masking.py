from __future__ import annotations

import pytest
import torch

from maskfield.core.errors import ConfigError
from maskfield.masking import (
    block_counts,
    blocks_from_draws,
    draw_mask,
    draw_slab_starts,
    exact_random_blocks,
    first_quarter_blocks,
    grid_blocks,
    random_blocks,
    repeat_cells,
    slab_blocks,
)

TOKENS = (8, 8, 12)  # 2 x 2 x 3 blocks of 4


def _blocks(mask: torch.Tensor) -> torch.Tensor:
    """One value per block, after checking that every block is uniform."""
    cells = mask[0].float().view(2, 4, 2, 4, 3, 4).permute(0, 2, 4, 1, 3, 5).flatten(3)
    assert bool((cells.amin(-1) == cells.amax(-1)).all())
    return cells[..., 0].bool().flatten()


def test_draws_are_consumed_last_axis_fastest() -> None:
    draws = torch.arange(12) / 12
    assert _blocks(blocks_from_draws(draws, TOKENS, 4, 0.5)).tolist() == [True] * 6 + [False] * 6
    odd = torch.where(torch.arange(12) % 3 == 1, 0.1, 0.9)
    mask = blocks_from_draws(odd, TOKENS, 4, 0.5)
    assert bool(mask[:, :, :, 4:8].all())
    assert int(mask.sum()) == 8 * 8 * 4


def test_draws_per_sample() -> None:
    draws = torch.stack([torch.zeros(12), torch.ones(12)])
    mask = blocks_from_draws(draws, TOKENS, 4, 0.5)
    assert mask.flatten(1).all(1).tolist() == [True, False]


def test_wrong_number_of_draws() -> None:
    with pytest.raises(ValueError, match="12 blocks need 12 draws"):
        blocks_from_draws(torch.zeros(11), TOKENS, 4, 0.5)


@pytest.mark.parametrize("strategy", ["random", "exact", "grid", "first_quarter", "slab"])
def test_left_over_tokens_are_never_masked(strategy: str, generator: torch.Generator) -> None:
    mask = draw_mask(strategy, (10, 9, 15), 4, 1.0, generator, batch=2)
    assert mask.shape == (2, 10, 9, 15)
    assert mask.dtype == torch.bool
    assert not mask[:, 8:].any()
    assert not mask[:, :, 8:].any()
    assert not mask[:, :, :, 12:].any()
    assert mask.any()


def test_random_ratio_and_seed(generator: torch.Generator) -> None:
    mask = random_blocks((40, 40, 40), 4, 0.75, generator)
    assert float(mask.float().mean()) == pytest.approx(0.75, abs=0.05)
    again = random_blocks((40, 40, 40), 4, 0.75, torch.Generator().manual_seed(0))
    assert torch.equal(mask, again)
    other = random_blocks((40, 40, 40), 4, 0.75, torch.Generator().manual_seed(1))
    assert not torch.equal(mask, other)


@pytest.mark.parametrize("draw", [random_blocks, exact_random_blocks])
def test_one_mask_for_the_batch_unless_per_sample(draw, generator: torch.Generator) -> None:
    shared = draw((16, 16, 16), 4, 0.5, generator, batch=3)
    assert torch.equal(shared[0], shared[2])
    own = draw((16, 16, 16), 4, 0.5, generator, batch=3, per_sample=True)
    assert own.shape == shared.shape
    assert not torch.equal(own[0], own[2])


@pytest.mark.parametrize("ratio", [0.0, 0.5, 0.75, 1.0])
def test_exact_ratio(ratio: float, generator: torch.Generator) -> None:
    mask = exact_random_blocks((16, 16, 16), 4, ratio, generator, per_sample=True, batch=4)
    assert mask.float().mean(dim=(1, 2, 3)).tolist() == [ratio] * 4


def test_grid_masks_three_of_four() -> None:
    assert _blocks(grid_blocks(TOKENS, 4)).tolist() == [True, True, True, False] * 3


def test_first_quarter() -> None:
    assert _blocks(first_quarter_blocks(TOKENS, 4)).tolist() == [True] * 3 + [False] * 9


def test_slab_takes_a_quarter_behind_every_start() -> None:
    mask = slab_blocks((16, 8, 8), 4, [0, 0])  # 4 x 2 x 2 blocks, a quarter is 4
    rows = mask[0, ::4, 0, 0]
    assert rows.tolist() == [False, True, True, False]
    assert not slab_blocks((16, 8, 8), 4, [3]).any()


def test_slab_starts_lie_in_the_first_three_quarters(generator: torch.Generator) -> None:
    starts = [s for _ in range(200) for s in draw_slab_starts((32, 8, 8), 4, generator)]
    assert set(starts) == set(range(6))


def test_errors(generator: torch.Generator) -> None:
    with pytest.raises(ConfigError, match="unknown masking strategy"):
        draw_mask("stripes", (8, 8, 8), 4, 0.5, generator)
    with pytest.raises(ConfigError, match="smaller than one block"):
        draw_mask("random", (8, 8, 2), 4, 0.5, generator)


def test_helpers() -> None:
    assert block_counts((9, 8, 3), 4) == (2, 2, 0)
    cells = torch.tensor([True, False]).view(1, 2, 1, 1)
    assert repeat_cells(cells, 3)[0, :, 0, 0].tolist() == [True] * 3 + [False] * 3
