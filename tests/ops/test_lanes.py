"""Vectors in numba: the functions against float128, the operations against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit

from maskfield.ops.lanes import LANES, total
from maskfield.ops.lanes_math import FAST, exp, sigmoid, softplus
from maskfield.ops.lanes_memory import data, load, store

KINDS = [np.float32, np.float64]
WIDTH = 12
FORM = (0,) * WIDTH


@njit(fastmath=FAST)
def functions(x, out):
    source, target, count = data(x), data(out), len(x)
    for i in range(0, count, len(LANES)):
        value = load(source, i, LANES)
        store(target, i, exp(value))
        smooth, slope = softplus(value)
        store(target, count + i, smooth)
        store(target, 2 * count + i, slope)
        store(target, 3 * count + i, sigmoid(value))


@njit
def combine(a, b, scalar, out):
    p, q = data(a), data(b)
    for i in range(len(a)):
        x, y = load(p, i * WIDTH, FORM), load(q, i * WIDTH, FORM)
        store(data(out), i * WIDTH, x * scalar + y / x - y)
        out[i, 0] = total(x * y)


class TestFunctions:
    @pytest.mark.parametrize("kind", KINDS)
    def test_few_units_of_rounding(self, kind):
        x = np.linspace(-80, 80, 16 * 2000).astype(kind)
        out = np.zeros((4, len(x)), kind)
        functions(x, out)
        y = x.astype(np.longdouble)
        slope = 1 / (1 + np.exp(-y))
        smooth = np.log1p(np.exp(-np.abs(y))) + np.maximum(y, 0)
        wanted = np.stack([np.exp(y), smooth, slope, slope])
        assert (np.abs(out - wanted) / wanted).max() < 4 * np.finfo(kind).eps

    @pytest.mark.parametrize("kind", KINDS)
    def test_far_out(self, kind):
        x = np.repeat(np.array([-np.inf, -1e4, 1e4, 0], kind), 4)
        out = np.zeros((4, 16), kind)
        functions(x, out)
        assert np.isfinite(out).all()
        assert (out[0, :8] == 0).all()
        np.testing.assert_array_equal(out[1, 8:12], x[8:12])
        np.testing.assert_array_equal(out[3, 8:], [1] * 4 + [0.5] * 4)


@pytest.mark.parametrize("kind", KINDS)
def test_arithmetic_of_an_odd_width(kind):
    generator = np.random.default_rng(0)
    a, b = (generator.uniform(1, 2, (3, WIDTH)).astype(kind) for _ in range(2))
    out = np.zeros_like(a)
    combine(a, b, kind(3), out)
    close = {"rtol": 8 * np.finfo(kind).eps}
    np.testing.assert_allclose(out[:, 1:], (a * 3 + b / a - b)[:, 1:], **close)
    np.testing.assert_allclose(out[:, 0], (a * b).sum(1), **close)
