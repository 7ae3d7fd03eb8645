from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from maskfield.ops.instance_norm import (
    add_leaky_backward_,
    moments,
    normalise_,
    normalise_backward,
)

SLOPE = 0.01


@pytest.mark.parametrize("backend", ["auto", "torch"])
@pytest.mark.parametrize("rows", [1, 255, 1000])
def test_moments(backend: str, rows: int) -> None:
    x = torch.randn(rows, 5) * 3 + 100  # a mean far above the spread costs no digits
    mean, rstd = moments(x, 1e-5, backend=backend)
    variance, expected = torch.var_mean(x.double(), dim=0, correction=0)
    assert torch.allclose(mean.double(), expected, rtol=1e-6)
    assert torch.allclose(rstd.double(), (variance + 1e-5).rsqrt(), rtol=1e-4)


@pytest.mark.parametrize("backend", ["auto", "torch"])
@pytest.mark.parametrize("with_residual", [True, False])
def test_forward_and_backward_match_autograd(backend: str, with_residual: bool) -> None:
    x = torch.randn(700, 6, requires_grad=True)
    residual = torch.randn(700, 6, requires_grad=True) if with_residual else None
    normed = F.instance_norm(x.T[None], eps=1e-5)[0].T
    expected = F.leaky_relu(normed if residual is None else normed + residual, SLOPE)
    grad = torch.randn(700, 6)
    expected.backward(grad)
    mean, rstd = moments(x.detach(), 1e-5, backend=backend)
    added = None if residual is None else residual.detach()
    out = normalise_(x.detach().clone(), mean, rstd, slope=SLOPE, residual=added, backend=backend)
    assert torch.allclose(out, expected, atol=1e-5)
    back = normalise_backward(grad, out, rstd, slope=SLOPE, residual=added, backend=backend)
    assert torch.allclose(back, x.grad, atol=1e-5)
    if residual is not None:
        share = add_leaky_backward_(torch.ones(700, 6), grad, out, SLOPE, backend=backend)
        assert torch.allclose(share - 1, residual.grad, atol=1e-6)


def test_bfloat16_rounds_to_nearest_even_like_torch() -> None:
    x = torch.randn(512, 8).bfloat16()
    mean, rstd = torch.zeros(8), torch.ones(8)
    kept = normalise_(x.clone(), mean, rstd)
    assert torch.equal(kept, x)
    tie = torch.tensor([[1 + 2**-8], [1 + 3 * 2**-8]])  # halfway between two bfloat16 values
    zeros = torch.zeros(2, 1, dtype=torch.bfloat16)
    low, high = (normalise_(zeros[:1].clone(), -t, torch.ones(1)) for t in tie)
    assert [low, high] == [t.bfloat16()[None] for t in tie]


def test_bfloat16_backends_agree() -> None:
    x, residual, grad = (torch.randn(300, 7).bfloat16() for _ in range(3))
    mean, rstd = moments(x, 1e-5)
    results = []
    for backend in ("auto", "torch"):
        out = normalise_(x.clone(), mean, rstd, slope=SLOPE, residual=residual, backend=backend)
        back = normalise_backward(grad, out, rstd, slope=SLOPE, residual=residual, backend=backend)
        results.append((out.float(), back.float()))
    for a, b in zip(*results, strict=True):
        assert torch.allclose(a, b, atol=0.03)


def test_in_place_on_the_gradient() -> None:
    out, grad = torch.randn(300, 4), torch.randn(300, 4)
    expected = normalise_backward(grad.clone(), out, torch.ones(4), slope=SLOPE)
    assert normalise_backward(grad, out, torch.ones(4), slope=SLOPE, into=grad) is grad
    assert torch.equal(grad, expected)


def test_threads_change_no_bit() -> None:
    x = torch.randn(100_000, 8)
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 3):
            torch.set_num_threads(threads)
            mean, rstd = moments(x, 1e-5)
            results.append(normalise_backward(x, x.clone(), rstd + mean, slope=SLOPE))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*results)
