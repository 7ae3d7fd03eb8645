"""Weights and composites against an explicit loop and against integrals of analytic densities."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.integrate import quad
from torch import Tensor
from torch.autograd import gradcheck

from maskfield.core.errors import ConfigError
from maskfield.ops.compositing import (
    accumulated_depth,
    alpha_from_density,
    composite,
    expected_depth,
    median_depth,
    over_background,
    transmittance,
    weights_from_alpha,
    weights_from_density,
)

BACKENDS = ("torch", "numba")


def loop_weights(alpha: Tensor) -> Tensor:
    out = torch.zeros_like(alpha)
    for r in range(alpha.shape[0]):
        left = 1.0
        for i in range(alpha.shape[1]):
            out[r, i] = left * alpha[r, i]
            left *= 1 - float(alpha[r, i])
    return out


def random_block(generator: torch.Generator, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    density = torch.rand(5, 9, generator=generator, dtype=dtype) * 4
    delta = torch.rand(5, 9, generator=generator, dtype=dtype) * 0.5
    return density, delta


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("backend", BACKENDS)
def test_weights_match_an_explicit_loop(backend, dtype, generator):
    density, delta = random_block(generator, dtype)
    alpha = alpha_from_density(density, delta)
    expected = loop_weights(alpha)
    torch.testing.assert_close(weights_from_density(density, delta, backend=backend), expected)
    torch.testing.assert_close(weights_from_alpha(alpha, backend=backend), expected)


@pytest.mark.parametrize("backend", BACKENDS)
def test_gradients(backend, generator):
    density, delta = (x.requires_grad_() for x in random_block(generator, torch.float64))
    assert gradcheck(lambda s, d: weights_from_density(s, d, backend=backend), (density, delta))
    alpha = torch.rand(4, 7, generator=generator, dtype=torch.float64).requires_grad_()
    assert gradcheck(lambda a: weights_from_alpha(a, eps=1e-3, backend=backend), (alpha,))


@pytest.mark.parametrize("backend", BACKENDS)
def test_gradient_of_an_opaque_sample_is_finite_and_right(backend):
    alpha = torch.tensor([[0.5, 1.0, 0.25]], dtype=torch.float64, requires_grad=True)
    value = torch.tensor([3.0, 5.0, 7.0], dtype=torch.float64)
    (weights_from_alpha(alpha, backend=backend) * value).sum().backward()
    # L = 3 a + 5 (1-a) b + 7 (1-a)(1-b) c at a = .5, b = 1, c = .25
    torch.testing.assert_close(alpha.grad, torch.tensor([[-2.0, 1.625, 0.0]]).double())


@pytest.mark.parametrize("backend", BACKENDS)
def test_huge_last_interval_takes_all_that_is_left(backend):
    density = torch.tensor([[0.0, 0.3, 1e-3], [0.0, 0.0, 0.0]], requires_grad=True)
    delta = torch.tensor([[1.0, 1.0, 1e10]] * 2)
    weights = weights_from_density(density, delta, backend=backend)
    torch.testing.assert_close(weights.sum(-1), torch.tensor([1.0, 0.0]))
    weights[0].sum().backward()
    assert torch.isfinite(density.grad).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_gaussian_blob_converges_to_its_integral(backend):
    """colour(t) = t seen through sigma(t) = 3 exp(-(t-2)²/.18): quadrature against scipy."""
    centre, scale, height = 2.0, 0.3, 3.0

    def sigma(t: float) -> float:
        return height * math.exp(-0.5 * ((t - centre) / scale) ** 2)

    def optical_depth(t: float) -> float:
        root = math.sqrt(math.pi / 2) * scale * height
        return root * (
            math.erf((t - centre) / (scale * math.sqrt(2)))
            - math.erf((0 - centre) / (scale * math.sqrt(2)))
        )

    exact = quad(lambda t: math.exp(-optical_depth(t)) * sigma(t) * t, 0, 4)[0]
    opacity = 1 - math.exp(-optical_depth(4))
    n = 400
    t = (torch.arange(n, dtype=torch.float64)[None] + 0.5) * 4 / n
    density = torch.exp(-0.5 * ((t - centre) / scale) ** 2) * height
    weights = weights_from_density(density, torch.full_like(t, 4 / n), backend=backend)
    assert float(weights.sum()) == pytest.approx(opacity, abs=1e-8)
    assert float(composite(weights, t[..., None])) == pytest.approx(exact, abs=2e-5)
    assert float(expected_depth(weights, t)) == pytest.approx(exact / opacity, abs=2e-5)


def test_transmittance_is_what_the_weights_leave(generator):
    alpha = torch.rand(3, 6, generator=generator, dtype=torch.float64)
    product = torch.cat([torch.ones(3, 1).double(), (1 - alpha).cumprod(-1)[:, :-1]], -1)
    torch.testing.assert_close(transmittance(weights_from_alpha(alpha)), product)


def test_depths():
    weights = torch.tensor([[0.1, 0.5, 0.2], [0.0, 0.0, 0.0]])
    t = torch.tensor([[1.0, 2.0, 3.0]] * 2)
    torch.testing.assert_close(accumulated_depth(weights, t), torch.tensor([1.7, 0.0]))
    torch.testing.assert_close(expected_depth(weights, t), torch.tensor([1.7 / 0.8, 0.0]))
    torch.testing.assert_close(median_depth(weights, t), torch.tensor([2.0, 0.0]))


def test_over_background_takes_one_colour_or_one_per_ray():
    colour, opacity = torch.tensor([[0.2, 0.2], [0.0, 0.0]]), torch.tensor([0.5, 0.0])
    torch.testing.assert_close(
        over_background(colour, opacity, torch.tensor([1.0, 0.0])),
        torch.tensor([[0.7, 0.2], [1.0, 0.0]]),
    )
    per_ray = torch.tensor([[0.0, 0.0], [0.3, 0.4]])
    torch.testing.assert_close(
        over_background(colour, opacity, per_ray), torch.tensor([[0.2, 0.2], [0.3, 0.4]])
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_leading_shapes_and_empty_blocks(backend):
    assert weights_from_alpha(torch.full((2, 3, 4), 0.5), backend=backend).shape == (2, 3, 4)
    assert weights_from_alpha(torch.zeros(0, 4), backend=backend).shape == (0, 4)


def test_wrong_backends_are_refused():
    alpha = torch.zeros(1, 2)
    with pytest.raises(ConfigError, match="unknown backend"):
        weights_from_alpha(alpha, backend="cuda")
    with pytest.raises(ConfigError, match="float32 or float64"):
        weights_from_alpha(alpha.half(), backend="numba")
