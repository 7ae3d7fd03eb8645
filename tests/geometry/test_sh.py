"""Spherical harmonics against scipy's complex ones, orthonormality and gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.special
import torch
from torch.autograd import gradcheck

from maskfield.core.errors import ConfigError
from maskfield.geometry.sh import sh_basis, sh_size, sh_slopes, sh_value


def directions(generator, count=50):
    d = torch.randn(count, 3, generator=generator, dtype=torch.float64)
    return d / d.norm(dim=-1, keepdim=True)


def complex_harmonic(degree: int, order: int, polar: np.ndarray, azimuth: np.ndarray) -> np.ndarray:
    if hasattr(scipy.special, "sph_harm_y"):
        return scipy.special.sph_harm_y(degree, order, polar, azimuth)
    return scipy.special.sph_harm(order, degree, azimuth, polar)


def test_matches_scipy(generator):
    d = directions(generator)
    x, y, z = d.numpy().T
    polar, azimuth = np.arccos(z), np.arctan2(y, x)
    basis = sh_basis(d, 3).numpy()
    for degree in range(4):
        for order in range(-degree, degree + 1):
            value = complex_harmonic(degree, abs(order), polar, azimuth)
            part = value.imag if order < 0 else value.real
            expected = part * (math.sqrt(2) if order else 1)
            column = basis[:, degree * degree + degree + order]
            np.testing.assert_allclose(column, expected, atol=1e-12, err_msg=f"{degree}, {order}")


def test_first_degrees_in_the_order_of_published_fields():
    d = torch.tensor([[0.0, 0.6, 0.8]])
    basis = sh_basis(d, 1)[0].tolist()
    assert basis == pytest.approx([0.28209479, -0.48860251 * 0.6, 0.48860251 * 0.8, 0.0])


def test_value_is_the_dot_product_and_differentiable(generator):
    coefficients = torch.randn(5, 2, 9, generator=generator, dtype=torch.float64).requires_grad_()
    d = directions(generator, 5).requires_grad_()
    expected = torch.einsum("ncb,nb->nc", coefficients, sh_basis(d, 2))
    torch.testing.assert_close(sh_value(coefficients, d), expected)
    assert gradcheck(sh_value, (coefficients, d))
    assert gradcheck(lambda v: sh_basis(v, 3), (d,))


def test_sizes_and_refusal():
    assert [sh_size(d) for d in range(4)] == [1, 4, 9, 16]
    assert sh_basis(torch.zeros(2, 3, 3), 2).shape == (2, 3, 9)
    for degree in (-1, 4):
        with pytest.raises(ConfigError, match="degrees 0 to 3"):
            sh_basis(torch.zeros(1, 3), degree)


class TestSlopes:
    @pytest.mark.parametrize("degree", [0, 1, 2, 3])
    def test_equal_finite_differences(self, degree, generator):
        d = torch.nn.functional.normalize(
            torch.randn(7, 3, generator=generator, dtype=torch.float64), dim=-1
        )
        found, h = sh_slopes(d, degree), 1e-5
        for axis in range(3):
            step = torch.eye(3, dtype=d.dtype)[axis] * h
            numeric = (sh_basis(d + step, degree) - sh_basis(d - step, degree)) / (2 * h)
            torch.testing.assert_close(found[..., axis], numeric, atol=1e-9, rtol=1e-8)
