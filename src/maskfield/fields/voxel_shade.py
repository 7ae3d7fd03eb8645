"""Numba: colours of a ray's samples, and the distortion loss.

Legend, ``settings`` and ``samples``: see ``voxel_march`` and ``voxel_trace``. ``patterns`` holds,
for each of r, g, b, a vector over a row's channels that is the ray's harmonics where the channel
belongs to that colour and 0 elsewhere; a fourth one is 1 at the density, which comes after the
channels. ``channels`` and ``entries`` are tuples as long as a row of colours and of a gradient.
"""

from __future__ import annotations

from numba import njit

from maskfield.fields.voxel_march import LENGTH, SHELL, STRENGTH
from maskfield.fields.voxel_trace import BLUE, DELTA, FX, FY, FZ, GRAD, GREEN, RED, TIME, WEIGHT
from maskfield.ops.lanes import LANES, below, total
from maskfield.ops.lanes_math import FAST, sigmoid
from maskfield.ops.lanes_memory import fetch, load, store, zeros

AHEAD = 6  # samples: rows are asked for so long before they are used


@njit(nogil=True, fastmath=FAST, forceinline=True)
def set_patterns(patterns, basis, terms, entries):
    """``patterns`` [4, entry] of a ray from its ``basis`` [term]."""
    for c in range(3):
        for k in range(terms):
            patterns[c * len(entries) + c * terms + k] = basis[k]
    patterns[3 * len(entries) + 3 * terms] = 1


@njit(nogil=True, fastmath=FAST, forceinline=True)
def mix_pair(colour, voxel, fz, channels):
    """Channels between two voxels that follow each other along z."""
    near = load(colour, voxel * len(channels), channels)
    return near + (load(colour, (voxel + 1) * len(channels), channels) - near) * fz


@njit(nogil=True, fastmath=FAST, forceinline=True)
def mix(colour, base, sy, sx, fx, fy, fz, channels):
    """Trilinear channels in the cell whose lowest corner is ``base``."""
    low = mix_pair(colour, base, fz, channels)
    low = low + (mix_pair(colour, base + sy, fz, channels) - low) * fy
    base += sx
    high = mix_pair(colour, base, fz, channels)
    high = high + (mix_pair(colour, base + sy, fz, channels) - high) * fy
    return low + (high - low) * fx


@njit(nogil=True, fastmath=FAST, forceinline=True)
def fetch_cell(colour, base, sy, sx, channels):
    """Ask for the rows of the eight corners of a cell; two that follow each other are one piece."""
    for side in range(4):
        voxel = base + (side >> 1) * sx + (side & 1) * sy
        fetch(colour, voxel * len(channels))
        fetch(colour, (voxel + 2) * len(channels) - 1)


@njit(nogil=True, cache=True, fastmath=FAST)
def mix_samples(colour, shape, channels, entries, w_min, samples, row, bases, n, patterns):
    """Colours before the sigmoid of the samples that matter (w > w_min)."""
    red = load(patterns, 0, channels)
    green = load(patterns, len(entries), channels)
    blue = load(patterns, 2 * len(entries), channels)
    sy, sx = shape[2], shape[1] * shape[2]
    for k in range(n):
        fetch_cell(colour, bases[min(k + AHEAD, n - 1)], sy, sx, channels)
        if samples[WEIGHT * row + k] > w_min:
            fx, fy, fz = samples[FX * row + k], samples[FY * row + k], samples[FZ * row + k]
            mixed = mix(colour, bases[k], sy, sx, fx, fy, fz, channels)
            samples[RED * row + k] = total(mixed * red)
            samples[GREEN * row + k] = total(mixed * green)
            samples[BLUE * row + k] = total(mixed * blue)


@njit(nogil=True, fastmath=FAST, forceinline=True)
def show(samples, place, w, lowest):
    """Colour of 16 samples in place of their value before the sigmoid; returns w * colour."""
    none = zeros(samples, LANES)
    value = below(lowest, w, sigmoid(load(samples, place, LANES)), none)
    store(samples, place, value)
    return w * value


@njit(nogil=True, cache=True, fastmath=FAST)
def shade(w_min, samples, row, n):
    """Colours and their sum, from what :func:`mix_samples` left; returns r, g, b, sum of w t.

    Samples with w <= w_min have no colour.
    """
    none = zeros(samples, LANES)
    red, green, blue, depth = none, none, none, none
    for k in range(0, n, len(LANES)):
        w = load(samples, WEIGHT * row + k, LANES)
        red = red + show(samples, RED * row + k, w, none + w_min)
        green = green + show(samples, GREEN * row + k, w, none + w_min)
        blue = blue + show(samples, BLUE * row + k, w, none + w_min)
        depth = depth + w * load(samples, TIME * row + k, LANES)
        store(samples, GRAD * row + k, none)
    return total(red), total(green), total(blue), total(depth)


@njit(nogil=True, cache=True, fastmath=FAST)
def warp(t, contracted, length):
    """Distance on the scale of the distortion loss: t / (t + L) when contracted, else t / L."""
    return t / (t + length) if contracted else t / length


@njit(nogil=True, cache=True, fastmath=FAST)
def distortion(settings, samples, row, n):
    """Distortion loss of one ray (mip-NeRF 360, eq. 15); adds strength * its gradient to GRAD."""
    length, contracted = settings[LENGTH], settings[SHELL] > 0
    total_w, total_s = 0.0, 0.0
    for i in range(n):
        w = samples[WEIGHT * row + i]
        total_w += w
        total_s += w * warp(samples[TIME * row + i], contracted, length)
    below_w, below_s, loss = 0.0, 0.0, 0.0
    for i in range(n):
        w, s = samples[WEIGHT * row + i], warp(samples[TIME * row + i], contracted, length)
        width = warp(samples[TIME * row + i] + samples[DELTA * row + i], contracted, length) - s
        above_w, above_s = total_w - below_w - w, total_s - below_s - w * s
        pull = s * (below_w - above_w) - (below_s - above_s)
        loss += w * pull + w * w * width / 3
        samples[GRAD * row + i] += settings[STRENGTH] * (2 * pull + 2 * w * width / 3)
        below_w += w
        below_s += w * s
    return loss
