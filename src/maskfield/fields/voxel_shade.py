"""Numba: colours of a ray's samples, the distortion loss, and the gradient of one ray.

Legend and ``settings``: see ``voxel_march``. A compact gradient is a table of rows, one per voxel
touched: ``slots`` [voxel] = row or -1, ``touched`` [row] = voxel, ``rows`` [row, 1 + channel].
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


@njit(nogil=True, cache=True, fastmath=FAST)
def corner_weights(out, fx, fy, fz):
    """Weights of the eight corners, index bits (4, 2, 1) = (x, y, z)."""
    gx, gy, gz = 1 - fx, 1 - fy, 1 - fz
    out[0], out[1], out[2], out[3] = gx * gy * gz, gx * gy * fz, gx * fy * gz, gx * fy * fz
    out[4], out[5], out[6], out[7] = fx * gy * gz, fx * gy * fz, fx * fy * gz, fx * fy * fz


@njit(nogil=True, cache=True, fastmath=FAST)
def mix(colour, base, sy, sx, weights, mixed):
    """Weighted sum of the eight corner rows into ``mixed`` [channel]."""
    w0, w1, w2, w3 = weights[0], weights[1], weights[2], weights[3]
    w4, w5, w6, w7 = weights[4], weights[5], weights[6], weights[7]
    c0, c1 = colour[base], colour[base + 1]
    c2, c3 = colour[base + sy], colour[base + sy + 1]
    c4, c5 = colour[base + sx], colour[base + sx + 1]
    c6, c7 = colour[base + sx + sy], colour[base + sx + sy + 1]
    for c in range(mixed.shape[0]):
        low = w0 * c0[c] + w1 * c1[c] + w2 * c2[c] + w3 * c3[c]
        mixed[c] = low + (w4 * c4[c] + w5 * c5[c] + w6 * c6[c] + w7 * c7[c])


@njit(nogil=True, cache=True, fastmath=FAST)
def shade(colour, strides, basis, settings, scratch, bases, n, weights, mixed, sums):
    """Colours of the samples that matter (w > w_min) into ``scratch``; ``sums`` = r, g, b, w t."""
    terms = basis.shape[0]
    sums[0], sums[1], sums[2], sums[3] = 0.0, 0.0, 0.0, 0.0
    for i in range(n):
        row = scratch[i]
        w = row[WEIGHT]
        row[RED], row[GREEN], row[BLUE], row[GRAD] = 0.0, 0.0, 0.0, 0.0
        sums[3] += w * row[TIME]
        if w <= settings[W_MIN]:
            continue
        corner_weights(weights, row[FX], row[FY], row[FZ])
        mix(colour, bases[i], strides[0], strides[1], weights, mixed)
        for c in range(3):
            value = mixed[0] * 0
            for k in range(terms):
                value += mixed[c * terms + k] * basis[k]
            value = 1 / (1 + math.exp(-value))
            row[RED + c] = value
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
        row = scratch[i]
        w, s = row[WEIGHT], warp(row[TIME], contracted, length)
        width = warp(row[TIME] + row[DELTA], contracted, length) - s
        above, above_s = total - below - w, total_s - below_s - w * s
        pull = s * (below - above) - (below_s - above_s)
        loss += w * pull + w * w * width / 3
        row[GRAD] += settings[STRENGTH] * (2 * pull + 2 * w * width / 3)
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
        row = scratch[n - 1 - j]
        w = row[WEIGHT]
        pull = row[GRAD] + grad[0] * row[RED] + grad[1] * row[GREEN] + grad[2] * row[BLUE]
        raw = (row[AFTER] * pull - tail) * row[SLOPE]
        tail += w * pull
        if w <= settings[W_MIN]:
            continue
        corner_weights(weights, row[FX], row[FY], row[FZ])
        for c in range(3):
            v = row[RED + c]
            for k in range(terms):
                mixed[c * terms + k] = grad[c] * w * v * (1 - v) * basis[k]
        for i in range(8):
            share = weights[i]
            if share == 0:
                continue
            voxel = bases[n - 1 - j] + (i >> 2) * strides[1] + ((i >> 1) & 1) * strides[0] + (i & 1)
            slot = slots[voxel]
            if slot < 0:
                slot = count
                slots[voxel], touched[slot] = slot, voxel
                count += 1
            target = rows[slot]
            target[0] += share * raw
            for c in range(3 * terms):
                target[1 + c] += share * mixed[c]
    return count
