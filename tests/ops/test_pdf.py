"""Inverse-CDF sampling against numpy's interpolation of the inverted CDF."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from maskfield.core.errors import DataError
from maskfield.ops.pdf import sample_pdf

BACKENDS = ("torch", "numba")


def block(generator, rays=6, bins=10):
    edges = torch.rand(rays, bins + 1, generator=generator, dtype=torch.float64).cumsum(-1)
    weights = torch.rand(rays, bins, generator=generator, dtype=torch.float64) + 0.01
    return edges, weights


@pytest.mark.parametrize("eps", [0.0, 1e-5, 0.1])
@pytest.mark.parametrize("backend", BACKENDS)
def test_matches_numpy_interpolation(backend, eps, generator):
    edges, weights = block(generator)
    u = torch.rand(6, 25, generator=generator, dtype=torch.float64)
    out = sample_pdf(edges, weights, 25, uniform=u, eps=eps, backend=backend)
    for r in range(6):
        w = weights[r].numpy() + eps
        cdf = np.concatenate([[0], np.cumsum(w / w.sum())])
        expected = np.interp(u[r].numpy(), cdf, edges[r].numpy())
        np.testing.assert_allclose(out[r].numpy(), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_deterministic_quantiles_are_equally_spaced_and_include_the_ends(backend):
    edges = torch.tensor([[0.0, 1.0, 3.0]])
    out = sample_pdf(edges, torch.tensor([[1.0, 1.0]]), 5, eps=0.0, backend=backend)
    torch.testing.assert_close(out, torch.tensor([[0.0, 0.5, 1.0, 2.0, 3.0]]))


@pytest.mark.parametrize("backend", BACKENDS)
def test_drawn_samples_have_the_distribution(backend):
    edges = torch.tensor([[0.0, 1.0, 2.0, 4.0]])
    drawn = sample_pdf(
        edges,
        torch.tensor([[1.0, 0.0, 3.0]]),
        20000,
        generator=torch.Generator().manual_seed(1),
        eps=0.0,
        backend=backend,
    )
    shares = torch.histogram(drawn[0], bins=edges[0]).hist / 20000
    torch.testing.assert_close(shares, torch.tensor([0.25, 0.0, 0.75]), atol=0.01, rtol=0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_empty_weights_are_sampled_evenly(backend):
    edges = torch.tensor([[0.0, 1.0, 2.0]])
    for eps in (0.0, 1e-5):
        out = sample_pdf(edges, torch.zeros(1, 2), 3, eps=eps, backend=backend)
        torch.testing.assert_close(out, torch.tensor([[0.0, 1.0, 2.0]]))


def test_samples_carry_no_gradient_and_wrong_sizes_are_refused(generator):
    edges, weights = block(generator)
    assert not sample_pdf(edges, weights.requires_grad_(), 4).requires_grad
    with pytest.raises(DataError, match="number of weights"):
        sample_pdf(edges, weights[:, 1:], 4)
