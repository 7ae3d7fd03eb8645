from __future__ import annotations

import pytest
import torch

from maskfield.nn.positional import sincos_3d
from maskfield.nn.swin3d import (
    PatchMerging,
    Swin3D,
    SwinBlock,
    block_drop_rates,
    merge_neighbours,
    scale_kept,
)


def _encoder(**options: object) -> Swin3D:
    torch.manual_seed(0)
    base = {"embed_dim": 12, "depths": (1, 2), "heads": (2, 4), "window": (2, 2, 2)}
    return Swin3D(**{**base, **options})  # type: ignore[arg-type]


@pytest.mark.parametrize("side", [16, 24])
def test_shapes(side: int) -> None:
    features = _encoder()(torch.randn(2, 4, side, side, side))
    assert [tuple(f.shape) for f in features] == [
        (2, side // 4, side // 4, side // 4, 12),
        (2, side // 8, side // 8, side // 8, 24),
    ]


def test_official_key_names() -> None:
    keys = set(_encoder(table_grid=(4, 4, 4), mask_token=True).state_dict())
    assert {"pos_embed", "mask_token", "patch_partition.0.weight", "patch_partition.2.bias"} <= keys
    assert {
        "stages.0.0.attn.qkv.weight",
        "stages.0.0.mlp.0.weight",
        "stages.0.0.mlp.3.bias",
    } <= keys
    assert {
        "stages.1.0.reduction.weight",
        "stages.1.0.norm.weight",
        "stages.1.2.norm2.bias",
    } <= keys
    assert "stages.1.0.reduction.bias" not in keys


def test_merge_order_of_offsets() -> None:
    """Channel block k holds offset (h, w, d) with h fastest: 000, 100, 010, 110, 001, ..."""
    h, w, d = torch.meshgrid(*[torch.arange(2.0)] * 3, indexing="ij")
    merged = merge_neighbours((100 * h + 10 * w + d)[None, ..., None])
    assert merged.flatten().tolist() == [0, 100, 10, 110, 1, 101, 11, 111]


def test_merge_pads_odd_axes_at_the_end() -> None:
    merged = merge_neighbours(torch.ones(1, 3, 2, 2, 1))
    assert merged.shape == (1, 2, 1, 1, 8)
    assert merged[0, 1, 0, 0].tolist() == [1, 0, 1, 0, 1, 0, 1, 0]


@pytest.mark.parametrize(("expand", "width"), [(True, 12), (False, 6)])
def test_patch_merging_width(expand: bool, width: int) -> None:
    assert PatchMerging(6, expand_dim=expand)(torch.randn(1, 2, 2, 2, 6)).shape[-1] == width


def test_masked_tokens_become_exactly_the_mask_token() -> None:
    encoder = _encoder(table_grid=(4, 4, 4), mask_token=True)
    mask = torch.rand(1, 4, 4, 4) < 0.5
    tokens = encoder.embed(torch.randn(1, 4, 16, 16, 16), mask)
    assert encoder.mask_token is not None
    assert torch.equal(tokens[mask], encoder.mask_token.expand(int(mask.sum()), -1))
    plain = encoder.embed(torch.zeros(1, 4, 16, 16, 16))
    assert not torch.equal(plain[0, 0, 0, 0], plain[0, 1, 0, 0])  # the table is added


def test_hiding_without_a_mask_token_is_refused() -> None:
    with pytest.raises(ValueError, match="without a mask token"):
        _encoder().embed(torch.randn(1, 4, 16, 16, 16), torch.ones(1, 4, 4, 4, dtype=torch.bool))


def test_table_extends_by_its_formula() -> None:
    encoder = _encoder(table_grid=(4, 4, 4))
    assert encoder.table((4, 4, 4)) is encoder.pos_embed
    assert torch.equal(encoder.table((6, 4, 5)), sincos_3d(12, (6, 4, 5)))
    assert torch.equal(encoder.table((6, 4, 5))[:, :4, :, :4], sincos_3d(12, (4, 4, 4)))


def test_drop_rates_grow_linearly() -> None:
    assert block_drop_rates((1, 2), 0.2) == pytest.approx([0, 0.1, 0.2])
    assert block_drop_rates((1,), 0.2) == [0]


def test_keep_flags_have_the_drawn_rate(generator: torch.Generator) -> None:
    encoder = _encoder(drop_rate=0.5)
    keep = encoder.draw_keep(4000, generator)
    assert keep is not None
    assert keep.shape == (4, 4000)  # the first block has rate 0 and draws nothing
    assert keep.float().mean(dim=1).tolist() == pytest.approx([0.75, 0.75, 0.5, 0.5], abs=0.04)
    assert _encoder().draw_keep(2, generator) is None


def test_dropped_branch_leaves_the_sample_untouched() -> None:
    block = SwinBlock(6, 2, (2, 2, 2), (0, 0, 0), drop_rate=0.5)
    x = torch.randn(2, 2, 2, 2, 6)
    keep = torch.tensor([[False, True], [False, True]])
    y = block(x, keep)
    assert torch.equal(y[0], x[0])
    hidden = x + 2 * block.attn(block.norm1(x))
    expected = hidden + 2 * block.mlp(block.norm2(hidden))
    assert torch.allclose(y[1], expected[1], atol=1e-6)


def test_scale_kept_divides_by_the_keep_probability() -> None:
    out = scale_kept(torch.ones(2, 3), torch.tensor([True, False]), 0.2)
    assert out.tolist() == [[1.25] * 3, [0.0] * 3]


def test_recompute_changes_nothing(generator: torch.Generator) -> None:
    x = torch.randn(2, 4, 16, 16, 16)
    results = []
    for recompute in (False, True):
        encoder = _encoder(recompute=recompute, drop_rate=0.5)
        keep = encoder.draw_keep(2, generator.manual_seed(1))
        encoder(x, keep=keep)[-1].square().sum().backward()
        results.append([p.grad for p in encoder.parameters() if p.grad is not None])
    assert len(results[0]) == len(results[1]) > 10
    for a, b in zip(*results, strict=True):
        assert torch.equal(a, b)


def test_initialisation() -> None:
    block = Swin3D(embed_dim=96, depths=(1,), heads=(3,)).stages[0][0]
    assert float(block.mlp[0].weight.detach().std()) == pytest.approx(0.02, rel=0.1)
    assert float(block.mlp[0].bias.detach().abs().max()) == 0
