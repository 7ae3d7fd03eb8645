"""Compiled single passes for :mod:`maskfield.ops.instance_norm` on the CPU.

Each kernel handles one range of rows without the interpreter lock; the caller runs several ranges
in threads. bfloat16 maps come as their 16-bit patterns. Arithmetic is float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import overload


def _load(value: Any) -> Any:
    """The float32 value of a float32 or of a bfloat16 pattern (the upper half of a float32)."""
    return value


@overload(_load)
def _load_overload(value):
    if value == types.uint16:
        return lambda value: np.uint32(np.uint32(value) << np.uint32(16)).view(np.float32)
    return lambda value: value


def _store(array: Any, i: int, j: int, value: Any) -> None:
    """array[i, j] = value, rounded to nearest even for bfloat16 patterns."""
    array[i, j] = value


@overload(_store)
def _store_overload(array, i, j, value):
    if array.dtype == types.uint16:

        def store(array, i, j, value):
            bits = np.float32(value).view(np.uint32)
            odd = np.uint32(np.uint32(bits >> np.uint32(16)) & np.uint32(1))
            rounded = np.uint32(bits + np.uint32(np.uint32(0x7FFF) + odd))
            array[i, j] = np.uint16(np.uint32(rounded >> np.uint32(16)))

        return store

    def store_float(array, i, j, value):
        array[i, j] = value

    return store_float


@njit(nogil=True, cache=True)
def block_moments(x, first, last, step, out):
    """out[b, 0] = mean and out[b, 1] = centred sum of squares of rows b * step ... of the range."""
    for block in range(first, last):
        start, stop = block * step, min((block + 1) * step, x.shape[0])
        mean, square = np.zeros(x.shape[1], np.float32), np.zeros(x.shape[1], np.float32)
        for i in range(start, stop):
            for j in range(x.shape[1]):
                mean[j] += _load(x[i, j])
        for j in range(x.shape[1]):
            mean[j] /= np.float32(stop - start)
        for i in range(start, stop):
            for j in range(x.shape[1]):
                centred = _load(x[i, j]) - mean[j]
                square[j] += centred * centred
        out[block, 0], out[block, 1] = mean, square


@njit(nogil=True, cache=True)
def normalise(x, first, last, scale, shift, residual, slope):
    """x = leaky(x * scale + shift + residual); an empty ``residual`` adds nothing."""
    add = residual.shape[0] > 0
    for i in range(first, last):
        if add:
            for j in range(x.shape[1]):
                v = _load(x[i, j]) * scale[j] + shift[j] + _load(residual[i, j])
                _store(x, i, j, v if v > 0 else v * slope)
        else:
            for j in range(x.shape[1]):
                v = _load(x[i, j]) * scale[j] + shift[j]
                _store(x, i, j, v if v > 0 else v * slope)


@njit(nogil=True, cache=True)
def block_gradient_sums(grad, output, first, last, step, residual, slope, out):
    """out[b, 0] = sum of g, out[b, 1] = sum of g * n over the rows of block b."""
    add = residual.shape[0] > 0
    inverse = np.float32(1) / slope
    for block in range(first, last):
        total, projected = np.zeros(grad.shape[1], np.float32), np.zeros(grad.shape[1], np.float32)
        for i in range(block * step, min((block + 1) * step, grad.shape[0])):
            if add:
                for j in range(grad.shape[1]):
                    a, g = _load(output[i, j]), _load(grad[i, j])
                    g = g if a > 0 else g * slope
                    n = (a if a > 0 else a * inverse) - _load(residual[i, j])
                    total[j] += g
                    projected[j] += g * n
            else:
                for j in range(grad.shape[1]):
                    a, g = _load(output[i, j]), _load(grad[i, j])
                    g = g if a > 0 else g * slope
                    n = a if a > 0 else a * inverse
                    total[j] += g
                    projected[j] += g * n
        out[block, 0], out[block, 1] = total, projected


@njit(nogil=True, cache=True)
def normalise_gradient(grad, output, first, last, residual, slope, scale, c1, c2, into):
    """into = g * scale - c1 - n * c2."""
    add = residual.shape[0] > 0
    inverse = np.float32(1) / slope
    for i in range(first, last):
        if add:
            for j in range(grad.shape[1]):
                a, g = _load(output[i, j]), _load(grad[i, j])
                g = g if a > 0 else g * slope
                n = (a if a > 0 else a * inverse) - _load(residual[i, j])
                _store(into, i, j, g * scale[j] - c1[j] - n * c2[j])
        else:
            for j in range(grad.shape[1]):
                a, g = _load(output[i, j]), _load(grad[i, j])
                g = g if a > 0 else g * slope
                n = a if a > 0 else a * inverse
                _store(into, i, j, g * scale[j] - c1[j] - n * c2[j])


@njit(nogil=True, cache=True)
def add_leaky_gradient(accumulator, grad, output, first, last, slope):
    """accumulator += grad * leaky'(output)."""
    for i in range(first, last):
        for j in range(grad.shape[1]):
            g = _load(grad[i, j])
            g = g if _load(output[i, j]) > 0 else g * slope
            _store(accumulator, i, j, _load(accumulator[i, j]) + g)
