"""Numba: densities, opacities and compositing weights along one ray.

Legend and ``settings``: see ``voxel_march``. a = sigma * dt, T transmittance. A ray's samples are
kept as rows of ``samples`` [column, sample], so that what is done to each of them is done to 16 at
a time; a row has room for 16 numbers behind the last sample. Element (c, k) is c * row + k, with
``row`` the length of a row.
"""

from __future__ import annotations

from numba import njit

from maskfield.fields.voxel_march import SHELL, SHIFT, STOP, UNIT
from maskfield.ops.lanes import LANES, below, like, real, whole
from maskfield.ops.lanes_math import FAST, exp, larger, smaller, softplus
from maskfield.ops.lanes_memory import load, store, zeros

# t, dt; place in the cell; dw/da without T; w; T behind; colour; dL/dw; density's gradient
TIME, DELTA, FX, FY, FZ, SLOPE, WEIGHT, AFTER, RED, GREEN, BLUE, GRAD, RAW = range(13)
COLUMNS = 13


@njit(nogil=True, fastmath=FAST, forceinline=True)
def contract_lanes(x, y, z, shell):
    """As ``voxel_march.contract``, without a mark for points outside."""
    r = larger(larger(larger(x, 0 - x), larger(y, 0 - y)), larger(z, 0 - z))
    one, half = like(x, 1.0), like(x, 0.5)
    shrink, stretch = half, one
    if shell > 0:
        beyond = r - 1 + shell
        outside = (1 + shell - shell * shell / beyond) / r
        shrink = 0.5 / (1 + shell) * below(one, r, outside, one)
        beyond = beyond / shell
        stretch = below(one, r, beyond * beyond, one)
    return x * shrink + half, y * shrink + half, z * shrink + half, stretch


@njit(nogil=True, fastmath=FAST, forceinline=True)
def corner_lanes(q, count):
    """Lower neighbour and share of the upper one along an axis; border voxels go on outwards."""
    g = larger(q * count - 0.5, like(q, 0.0))
    low = whole(smaller(g, like(q, count - 2)))
    return low, smaller(g - real(low, q), like(q, 1.0))


@njit(nogil=True, fastmath=FAST, forceinline=True)
def look_up(volume, base, sy, sx, fx, fy, fz):
    """Trilinear value of a flat scalar volume; ``base`` is the lowest corner of the cell."""
    i, j, k = base + sy, base + sx, base + sx + sy
    a = volume[base] + fz * (volume[base + 1] - volume[base])
    b = volume[i] + fz * (volume[i + 1] - volume[i])
    c = volume[j] + fz * (volume[j + 1] - volume[j])
    d = volume[k] + fz * (volume[k + 1] - volume[k])
    a += fy * (b - a)
    c += fy * (d - c)
    return a + fx * (c - a)


@njit(nogil=True, fastmath=FAST, forceinline=True)
def place(shape, shell, ray, samples, row, bases, k):
    """Cells of the samples [k, k + 16), their place in them, and how much longer steps are."""
    t = load(samples, TIME * row + k, LANES)
    x, y, z, stretch = contract_lanes(
        t * ray[3] + ray[0], t * ray[4] + ray[1], t * ray[5] + ray[2], shell
    )
    bx, fx = corner_lanes(x, shape[0])
    by, fy = corner_lanes(y, shape[1])
    bz, fz = corner_lanes(z, shape[2])
    store(bases, k, (bx * shape[1] + by) * shape[2] + bz)
    store(samples, FX * row + k, fx)
    store(samples, FY * row + k, fy)
    store(samples, FZ * row + k, fz)
    return stretch


@njit(nogil=True, fastmath=FAST, forceinline=True)
def absorb(density, shape, settings, ray, samples, row, bases, k):
    """exp(-a), as WEIGHT, and SLOPE of the samples [k, k + 16)."""
    stretch = place(shape, settings[SHELL], ray, samples, row, bases, k)
    for j in range(k, k + len(LANES)):
        fx, fy, fz = samples[FX * row + j], samples[FY * row + j], samples[FZ * row + j]
        raw = look_up(density, bases[j], shape[2], shape[1] * shape[2], fx, fy, fz)
        samples[WEIGHT * row + j] = raw
    raw = load(samples, WEIGHT * row + k, LANES)
    value, slope = softplus(raw + settings[SHIFT])
    scale = load(samples, DELTA * row + k, LANES) / (stretch * settings[UNIT])
    store(samples, SLOPE * row + k, slope * scale)
    store(samples, WEIGHT * row + k, exp(0 - value * scale))


@njit(nogil=True, cache=True, fastmath=FAST)
def trace(density, shape, settings, ray, samples, row, bases, count):
    """Weights of a ray's ``count`` steps, near to far, until T < stop.

    Returns (samples, T behind the last); 16 weights behind the last sample are 0.
    """
    through, n, stop = 1.0, 0, settings[STOP]
    for k in range(0, count, len(LANES)):
        absorb(density, shape, settings, ray, samples, row, bases, k)
        while n < min(k + len(LANES), count) and through >= stop:
            passing = samples[WEIGHT * row + n]
            samples[WEIGHT * row + n] = through * (1 - passing)
            through *= passing
            samples[AFTER * row + n] = through
            n += 1
        if through < stop:
            break
    store(samples, WEIGHT * row + n, zeros(samples, LANES))
    return n, through
