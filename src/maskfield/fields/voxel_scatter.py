"""Numba: the gradient of one ray, added to a compact gradient.

Legend, ``settings``, ``samples`` and ``patterns``: see ``voxel_march``, ``voxel_trace`` and
``voxel_shade``. A compact gradient is a table of rows, one per voxel touched: ``slots`` [voxel] =
row or -1, ``touched`` [row] = voxel, ``rows`` [row, entry] = channels, then density. A row not in
use may hold anything: the first sample that takes a row writes it.
"""

from __future__ import annotations

from numba import njit

from maskfield.fields.voxel_trace import (
    AFTER,
    BLUE,
    FX,
    FY,
    FZ,
    GRAD,
    GREEN,
    RAW,
    RED,
    SLOPE,
    WEIGHT,
)
from maskfield.ops.lanes import LANES
from maskfield.ops.lanes_math import FAST
from maskfield.ops.lanes_memory import load, store


@njit(nogil=True, fastmath=FAST, forceinline=True)
def to_activation(samples, place, w, upstream):
    """dL/d(colour before the sigmoid) in place of 16 values of a colour; returns dL/dw by it."""
    v = load(samples, place, LANES)
    store(samples, place, w * v * (1 - v) * upstream)
    return v * upstream


@njit(nogil=True, cache=True, fastmath=FAST)
def to_samples(samples, row, n, through, red, green, blue, back):
    """From dL/d(r, g, b) of a ray to dL/d(raw density, colours before the sigmoid) per sample.

    GRAD holds dL/dw without its colour part; ``back`` = dL/dT behind the last sample.
    """
    for k in range(0, n, len(LANES)):
        w = load(samples, WEIGHT * row + k, LANES)
        pull = load(samples, GRAD * row + k, LANES)
        pull = pull + to_activation(samples, RED * row + k, w, red)
        pull = pull + to_activation(samples, GREEN * row + k, w, green)
        pull = pull + to_activation(samples, BLUE * row + k, w, blue)
        store(samples, GRAD * row + k, pull)
        store(samples, RAW * row + k, pull * load(samples, AFTER * row + k, LANES))
    tail = through * back
    for j in range(n):
        k = n - 1 - j
        samples[RAW * row + k] = (samples[RAW * row + k] - tail) * samples[SLOPE * row + k]
        tail += samples[WEIGHT * row + k] * samples[GRAD * row + k]


@njit(nogil=True, fastmath=FAST, forceinline=True)
def add(slots, touched, rows, count, voxel, share, gradient, entries):
    """Add share * gradient to the row of a voxel, which may be a new one; returns rows in use."""
    slot = slots[voxel]
    if slot >= 0:
        place = slot * len(entries)
        store(rows, place, load(rows, place, entries) + gradient * share)
    elif share != 0:
        slots[voxel], touched[count] = count, voxel
        store(rows, count * len(entries), gradient * share)
        count += 1
    return count


@njit(nogil=True, cache=True, fastmath=FAST)
def scatter(shape, entries, w_min, samples, row, bases, n, patterns, slots, touched, rows, count):
    """Add the gradients of a ray's samples to the eight voxels around each; returns rows in use.

    Samples without a colour (w <= w_min) get no gradient.
    """
    red = load(patterns, 0, entries)
    green = load(patterns, len(entries), entries)
    blue = load(patterns, 2 * len(entries), entries)
    dense = load(patterns, 3 * len(entries), entries)
    for k in range(n):
        if samples[WEIGHT * row + k] <= w_min:
            continue
        g = red * samples[RED * row + k] + green * samples[GREEN * row + k]
        g = g + blue * samples[BLUE * row + k] + dense * samples[RAW * row + k]
        fx, fy, fz = samples[FX * row + k], samples[FY * row + k], samples[FZ * row + k]
        for corner in range(8):
            x, y, z = corner >> 2, (corner >> 1) & 1, corner & 1
            share = (fx if x else 1 - fx) * (fy if y else 1 - fy) * (fz if z else 1 - fz)
            voxel = bases[k] + (x * shape[1] + y) * shape[2] + z
            count = add(slots, touched, rows, count, voxel, share, g, entries)
    return count
