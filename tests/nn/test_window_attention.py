from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor

from maskfield.nn.window_attention import (
    Triple,
    WindowAttention,
    effective_shift,
    padded_size,
    relative_index,
    shift_mask,
)


def _module(dim: int, heads: int, window: Triple, shift: Triple) -> WindowAttention:
    torch.manual_seed(0)
    module = WindowAttention(dim, heads, window, shift)
    torch.nn.init.normal_(module.relative_position_bias_table)
    return module


def _oracle(module: WindowAttention, x: Tensor) -> Tensor:
    """Token by token, in loops, without rolling: windows and regions from shifted coordinates."""
    size = x.shape[1:4]
    window = module.window
    padded = padded_size((size[0], size[1], size[2]), window)
    shift = effective_shift(padded, window, module.shift)
    full = torch.zeros(x.shape[0], *padded, x.shape[-1])
    full[:, : size[0], : size[1], : size[2]] = x
    qkv = module.qkv(full)
    table = module.relative_position_bias_table
    tokens = list(product(*(range(p) for p in padded)))
    groups: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
    for token in tokens:
        rolled = [(t - s) % p for t, s, p in zip(token, shift, padded, strict=True)]
        groups.setdefault(tuple(r // w for r, w in zip(rolled, window, strict=True)), []).append(
            token
        )
    out = torch.zeros_like(full)
    head_dim = x.shape[-1] // module.heads
    for members in groups.values():
        for query, head in product(members, range(module.heads)):
            part = slice(head * head_dim, (head + 1) * head_dim)
            logits = []
            for key in members:
                q = qkv[:, query[0], query[1], query[2], : x.shape[-1]][:, part]
                k = qkv[:, key[0], key[1], key[2], x.shape[-1] : 2 * x.shape[-1]][:, part]
                q_in, k_in = (
                    [
                        ((t - s) % p) % w
                        for t, s, p, w in zip(token, shift, padded, window, strict=True)
                    ]
                    for token in (query, key)
                )
                offset = [a - b + w - 1 for a, b, w in zip(q_in, k_in, window, strict=True)]
                row = (offset[0] * (2 * window[1] - 1) + offset[1]) * (2 * window[2] - 1)
                logit = (q * k).sum(-1) * head_dim**-0.5 + table[row + offset[2], head]
                wrapped = any((a < s) != (b < s) for a, b, s in zip(query, key, shift, strict=True))
                logits.append(logit - 100 * wrapped)
            weights = torch.stack(logits, dim=-1).softmax(-1)
            values = torch.stack(
                [qkv[:, k[0], k[1], k[2], 2 * x.shape[-1] :][:, part] for k in members], dim=1
            )
            out[:, query[0], query[1], query[2], part] = (weights[..., None] * values).sum(1)
    return module.proj(out)[:, : size[0], : size[1], : size[2]]


@pytest.mark.parametrize(
    ("size", "window", "shift"),
    [
        ((4, 4, 2), (2, 2, 2), (0, 0, 0)),
        ((4, 4, 2), (2, 2, 2), (1, 1, 1)),  # last axis fits in one window: not shifted there
        ((3, 5, 4), (2, 2, 3), (1, 1, 1)),  # padding, non-cubic window
        ((2, 3, 2), (4, 4, 4), (2, 2, 2)),  # window larger than the grid
    ],
)
def test_matches_loops(size: Triple, window: Triple, shift: Triple) -> None:
    module = _module(4, 2, window, shift)
    x = torch.randn(2, *size, 4)
    with torch.no_grad():
        assert torch.allclose(module(x), _oracle(module, x), atol=1e-5)


def test_refuses_heads_that_do_not_divide() -> None:
    with pytest.raises(ValueError, match="not divisible"):
        WindowAttention(10, 3, (2, 2, 2), (0, 0, 0))


def test_without_relative_bias_has_no_table() -> None:
    module = WindowAttention(4, 2, (2, 2, 2), (1, 1, 1), relative_bias=False)
    assert module.bias() is None
    assert set(module.state_dict()) == {"qkv.weight", "qkv.bias", "proj.weight", "proj.bias"}
    assert module(torch.randn(1, 4, 4, 4, 4)).shape == (1, 4, 4, 4, 4)


def test_relative_index_is_antisymmetric_about_the_centre() -> None:
    index = relative_index((2, 3, 4))
    assert index.shape == (24, 24)
    assert torch.equal(index + index.T, torch.full((24, 24), 3 * 5 * 7 - 1))
    assert index.unique().numel() == 3 * 5 * 7


def test_shift_mask_is_cached_per_arguments() -> None:
    device = torch.device("cpu")
    first = shift_mask((8, 8, 8), (4, 4, 4), (2, 2, 2), device)
    assert first is shift_mask((8, 8, 8), (4, 4, 4), (2, 2, 2), device)
    assert first.shape == (8, 64, 64)
    assert float(first[0].abs().max()) == 0
    assert float(first[-1].min()) == -100
    assert shift_mask((8, 8, 8), (4, 4, 4), (2, 2, 0), device) is not first


def test_gradcheck() -> None:
    module = _module(4, 2, (2, 2, 2), (1, 1, 1)).double()
    x = torch.randn(1, 3, 4, 2, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(module, (x,))
