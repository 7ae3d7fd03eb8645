"""Numba: colours of a ray's samples, the distortion loss, and the gradient of one ray.

Legend and ``settings``: see ``voxel_march``. A compact gradient is a table of rows, one per voxel
touched: ``slots`` [voxel] = row or -1, ``touched`` [row] = voxel, ``rows`` [row, 1 + channel].
Inner loops index arrays in full: a row taken out of an array is a counted reference, and threads
that count references to one array wait for each other.
"""

from __future__ import annotations

import math

from numba import njit

from maskfield.fields.voxel_march import (
    AFTER,
    BLUE,
    DELTA,
    FAST,
    FX,
    FY,
    FZ,
    GRAD,
    GREEN,
    LENGTH,
    RED,
    SHELL,
    SLOPE,
    STRENGTH,
    TIME,
    W_MIN,
    WEIGHT,
)

BLOCK = 16  # channels of a row come in whole cache lines of float32


@njit(nogil=True, cache=True, fastmath=FAST)
def corner_weights(out, fx, fy, fz):
    """Weights of the eight corners, index bits (4, 2, 1) = (x, y, z)."""
    gx, gy, gz = 1 - fx, 1 - fy, 1 - fz
    out[0], out[1], out[2], out[3] = gx * gy * gz, gx * gy * fz, gx * fy * gz, gx * fy * fz
    out[4], out[5], out[6], out[7] = fx * gy * gz, fx * gy * fz, fx * fy * gz, fx * fy * fz


@njit(nogil=True, cache=True, fastmath=FAST)
def mix(colour, base, sy, sx, weights, mixed):
    """Weighted sum of the eight corner rows into the first channels of ``mixed``."""
    w0, w1, w2, w3 = weights[0], weights[1], weights[2], weights[3]
    w4, w5, w6, w7 = weights[4], weights[5], weights[6], weights[7]
    i, j, k = base + sy, base + sx, base + sx + sy
    for c in range(colour.shape[1]):
        low = w0 * colour[base, c] + w1 * colour[base + 1, c]
        low += w2 * colour[i, c] + w3 * colour[i + 1, c]
        high = w4 * colour[j, c] + w5 * colour[j + 1, c]
        high += w6 * colour[k, c] + w7 * colour[k + 1, c]
        mixed[c] = low + high


@njit(nogil=True, cache=True, fastmath=FAST)
def shade(colour, strides, basis, settings, scratch, bases, n, weights, mixed, sums):
    """Colours of the samples that matter (w > w_min) into ``scratch``; ``sums`` = r, g, b, w t."""
    terms = basis.shape[0]
    sums[0], sums[1], sums[2], sums[3] = 0.0, 0.0, 0.0, 0.0
    for i in range(n):
        w = scratch[i, WEIGHT]
        scratch[i, RED], scratch[i, GREEN], scratch[i, BLUE], scratch[i, GRAD] = 0.0, 0.0, 0.0, 0.0
        sums[3] += w * scratch[i, TIME]
        if w <= settings[W_MIN]:
            continue
        corner_weights(weights, scratch[i, FX], scratch[i, FY], scratch[i, FZ])
        mix(colour, bases[i], strides[0], strides[1], weights, mixed)
        for c in range(3):
            value = mixed[0] * 0
            for k in range(terms):
                value += mixed[c * terms + k] * basis[k]
            value = 1 / (1 + math.exp(-value))
            scratch[i, RED + c] = value
            sums[c] += w * value


@njit(nogil=True, cache=True, fastmath=FAST)
def warp(t, contracted, length):
    """Distance on the scale of the distortion loss: t / (t + L) when contracted, else t / L."""
    return t / (t + length) if contracted else t / length


@njit(nogil=True, cache=True, fastmath=FAST)
def distortion(settings, scratch, n):
    """Distortion loss of one ray (mip-NeRF 360, eq. 15); adds strength * its gradient to GRAD."""
    length, contracted = settings[LENGTH], settings[SHELL] > 0
    total, total_s = 0.0, 0.0
    for i in range(n):
        w = scratch[i, WEIGHT]
        total += w
        total_s += w * warp(scratch[i, TIME], contracted, length)
    below, below_s, loss = 0.0, 0.0, 0.0
    for i in range(n):
        w, s = scratch[i, WEIGHT], warp(scratch[i, TIME], contracted, length)
        width = warp(scratch[i, TIME] + scratch[i, DELTA], contracted, length) - s
        above, above_s = total - below - w, total_s - below_s - w * s
        pull = s * (below - above) - (below_s - above_s)
        loss += w * pull + w * w * width / 3
        scratch[i, GRAD] += settings[STRENGTH] * (2 * pull + 2 * w * width / 3)
        below += w
        below_s += w * s
    return loss


@njit(nogil=True, cache=True, fastmath=FAST)
def scatter(
    strides, basis, settings, scratch, bases, n, through, grad, back, weights, mixed, table, count
):
    """Gradient of one ray into a compact gradient; returns the rows in use.

    GRAD holds dL/dw of each sample without its colour part; ``grad`` = dL/d(r, g, b), ``back`` =
    dL/dT behind the last sample; ``table`` = (slots, touched, rows). Samples without a colour
    (w <= w_min) get no gradient.
    """
    slots, touched, rows = table
    terms = basis.shape[0]
    tail = through * back
    for j in range(n):
        i = n - 1 - j
        w = scratch[i, WEIGHT]
        pull = (
            scratch[i, GRAD]
            + grad[0] * scratch[i, RED]
            + grad[1] * scratch[i, GREEN]
            + grad[2] * scratch[i, BLUE]
        )
        raw = (scratch[i, AFTER] * pull - tail) * scratch[i, SLOPE]
        tail += w * pull
        if w <= settings[W_MIN]:
            continue
        corner_weights(weights, scratch[i, FX], scratch[i, FY], scratch[i, FZ])
        for c in range(3):
            v = scratch[i, RED + c]
            for k in range(terms):
                mixed[1 + c * terms + k] = grad[c] * w * v * (1 - v) * basis[k]
        mixed[0] = raw
        for k in range(8):
            share = weights[k]
            if share == 0:
                continue
            voxel = bases[i] + (k >> 2) * strides[1] + ((k >> 1) & 1) * strides[0] + (k & 1)
            slot = slots[voxel]
            if slot < 0:
                slot = count
                slots[voxel], touched[slot] = slot, voxel
                count += 1
            for c in range(rows.shape[1]):
                rows[slot, c] += share * mixed[c]
    return count
