"""Numba: how the pixels of a voxel field change when their rays move, in one pass.

Samples keep their distance t, so that sample k at x_k = o + t_k d moves with its ray: from the
derivatives g_k = dC/dx_k follow dC/do = sum g_k and dC/dd = sum t_k g_k, and with them the
derivative by any motion of the ray. Harmonics see d as well: ``views`` = sum over samples of
dC/dY_b, for each of r, g, b and each basis function b.

Legend, ``volume``, ``lines``, ``space``, ``samples``: see ``voxel_kernels`` and ``voxel_trace``.
Numbers of a pixel: r, g, b, sum of w t, opacity; derivatives are in the field's frame.
"""

from __future__ import annotations

import math

from numba import njit

from maskfield.fields.voxel_kernels import forward, pointers
from maskfield.fields.voxel_march import SHELL, W_MIN
from maskfield.fields.voxel_shade import AHEAD, fetch_cell
from maskfield.fields.voxel_trace import (
    AFTER,
    BLUE,
    FX,
    FY,
    FZ,
    GREEN,
    RED,
    SLOPE,
    TIME,
    WEIGHT,
)
from maskfield.ops.lanes import total
from maskfield.ops.lanes_math import FAST
from maskfield.ops.lanes_memory import data, load, offset, store, zeros

NUMBERS = 5  # r, g, b, sum of w t, opacity


@njit(nogil=True, fastmath=FAST, forceinline=True)
def look_up_slopes(volume, base, sy, sx, fx, fy, fz):
    """Derivatives of ``voxel_trace.look_up`` by the place in the cell."""
    i, j, k = base + sy, base + sx, base + sx + sy
    da, db = volume[base + 1] - volume[base], volume[i + 1] - volume[i]
    dc, dd = volume[j + 1] - volume[j], volume[k + 1] - volume[k]
    a, b = volume[base] + fz * da, volume[i] + fz * db
    c, d = volume[j] + fz * dc, volume[k] + fz * dd
    by_z = (1 - fx) * (da + fy * (db - da)) + fx * (dc + fy * (dd - dc))
    by_y = (b - a) + fx * ((d - c) - (b - a))
    by_x = (c + fy * (d - c)) - (a + fy * (b - a))
    return by_x, by_y, by_z


@njit(nogil=True, fastmath=FAST, forceinline=True)
def mix_slopes(colour, base, sy, sx, fx, fy, fz, channels):
    """``voxel_shade.mix`` and its derivatives by the place in the cell, per channel."""
    width, i, j, k = len(channels), base + sy, base + sx, base + sx + sy
    a, b = load(colour, base * width, channels), load(colour, i * width, channels)
    c, d = load(colour, j * width, channels), load(colour, k * width, channels)
    da = load(colour, (base + 1) * width, channels) - a
    db = load(colour, (i + 1) * width, channels) - b
    dc = load(colour, (j + 1) * width, channels) - c
    dd = load(colour, (k + 1) * width, channels) - d
    near, far = da + (db - da) * fy, dc + (dd - dc) * fy
    a, b, c, d = a + da * fz, b + db * fz, c + dc * fz, d + dd * fz
    low, high = a + (b - a) * fy, c + (d - c) * fy
    by_y = (b - a) + ((d - c) - (b - a)) * fx
    return low + (high - low) * fx, high - low, by_y, near + (far - near) * fx


@njit(nogil=True, fastmath=FAST, forceinline=True)
def inner(share):
    """1 where a look-up follows its point along an axis, 0 in the outer half of border voxels."""
    return 1.0 if 0 < share < 1 else 0.0


@njit(nogil=True, cache=True, fastmath=FAST)
def frame_at(ray, t, shell):
    """p at t; dq/dp = shrink (without the radial part), and that part: axis, dq/d|p| / p, and
    d(stretch)/d|p| / stretch, the last two with the sign of p on the axis; axis -1: in the box."""
    x, y, z = ray[0] + t * ray[3], ray[1] + t * ray[4], ray[2] + t * ray[5]
    ax, ay, az = abs(x), abs(y), abs(z)
    r, half = max(ax, max(ay, az)), 0.5 / (1 + shell)
    if r <= 1 or shell == 0:
        return x, y, z, half, -1, half * 0, half * 0
    axis = 0 if ax == r else (1 if ay == r else 2)
    sign = math.copysign(1.0, x if axis == 0 else (y if axis == 1 else z))
    beyond = r - 1 + shell
    grown = (1 + shell - shell * shell / beyond) / r
    bend = (shell * shell / (beyond * beyond) - grown) / r
    return x, y, z, half * grown, axis, sign * half * bend, sign * 2 / beyond


@njit(nogil=True, fastmath=FAST, forceinline=True)
def pull_back(frame, gx, gy, gz, by_log_stretch):
    """Derivative by p from those by q and by log(stretch)."""
    x, y, z, shrink, axis, bend, widen = frame
    dx, dy, dz = shrink * gx, shrink * gy, shrink * gz
    if axis >= 0:
        radial = bend * (gx * x + gy * y + gz * z) + widen * by_log_stretch
        if axis == 0:
            dx += radial
        elif axis == 1:
            dy += radial
        else:
            dz += radial
    return dx, dy, dz


@njit(nogil=True, fastmath=FAST, forceinline=True)
def add(out, place, t, share, slope):
    """Add share * slope to a number's derivatives by origin and, times t, by direction."""
    for axis in range(3):
        g = share * slope[axis]
        out[place + axis] += g
        out[place + 3 + axis] += t * g


@njit(nogil=True, fastmath=FAST, forceinline=True)
def density_slope(volume, settings, samples, row, bases, k, frame, reach, passing):
    """da/dp of sample k, a its optical depth, with exp(-a) = ``passing``."""
    density, shape = volume[0], volume[2]
    fx, fy, fz = samples[FX * row + k], samples[FY * row + k], samples[FZ * row + k]
    sx = shape[1] * shape[2]
    by = look_up_slopes(density, bases[k], shape[2], sx, fx, fy, fz)
    slope = samples[SLOPE * row + k]
    a = 0.0
    if frame[4] >= 0:
        a = math.log(max(passing, 1e-30))
    return pull_back(
        frame, slope * by[0] * reach[0], slope * by[1] * reach[1], slope * by[2] * reach[2], a
    )


@njit(nogil=True, fastmath=FAST, forceinline=True)
def colour_slope(frame, reach, pattern, by_x, by_y, by_z):
    """d(colour before the sigmoid)/dp of one of r, g, b."""
    gx, gy = total(by_x * pattern) * reach[0], total(by_y * pattern) * reach[1]
    return pull_back(frame, gx, gy, total(by_z * pattern) * reach[2], 0.0)


@njit(nogil=True, cache=True, fastmath=FAST)
def move_ray(volume, settings, ray, behind, space, n, through, terms, out, views):
    """Derivatives of a traced and shaded ray's numbers into ``out`` [number, 6] and ``views``
    [r g b, channel], both zero before; from the last sample to the first, with the light ``tail``
    that comes from behind each."""
    colour, shape, channels, entries = volume[1], volume[2], volume[5], volume[6]
    samples, row, bases, patterns = space
    sy, sx, width = shape[2], shape[1] * shape[2], len(channels)
    red = load(patterns, 0, channels)
    green = load(patterns, len(entries), channels)
    blue = load(patterns, 2 * len(entries), channels)
    view_r, view_g, view_b = zeros(views, channels), zeros(views, channels), zeros(views, channels)
    tail_r, tail_g, tail_b = through * behind[0], through * behind[1], through * behind[2]
    tail_t = through * 0
    for j in range(n):
        k = n - 1 - j
        fetch_cell(colour, bases[max(k - AHEAD, 0)], sy, sx, channels)
        w = samples[WEIGHT * row + k]
        if w <= settings[W_MIN]:
            tail_t += w * samples[TIME * row + k]
            continue
        t, after = samples[TIME * row + k], samples[AFTER * row + k]
        r, g, b = samples[RED * row + k], samples[GREEN * row + k], samples[BLUE * row + k]
        fx, fy, fz = samples[FX * row + k], samples[FY * row + k], samples[FZ * row + k]
        frame = frame_at(ray, t, settings[SHELL])
        reach = shape[0] * inner(fx), shape[1] * inner(fy), shape[2] * inner(fz)
        da = density_slope(
            volume, settings, samples, row, bases, k, frame, reach, after / (after + w)
        )
        add(out, 0, t, after * r - tail_r, da)
        add(out, 6, t, after * g - tail_g, da)
        add(out, 12, t, after * b - tail_b, da)
        add(out, 18, t, after * t - tail_t, da)
        add(out, 24, t, through, da)
        mixed, by_x, by_y, by_z = mix_slopes(colour, bases[k], sy, sx, fx, fy, fz, channels)
        wr, wg, wb = w * r * (1 - r), w * g * (1 - g), w * b * (1 - b)
        add(out, 0, t, wr, colour_slope(frame, reach, red, by_x, by_y, by_z))
        add(out, 6, t, wg, colour_slope(frame, reach, green, by_x, by_y, by_z))
        add(out, 12, t, wb, colour_slope(frame, reach, blue, by_x, by_y, by_z))
        view_r, view_g, view_b = view_r + mixed * wr, view_g + mixed * wg, view_b + mixed * wb
        tail_r, tail_g, tail_b = tail_r + w * r, tail_g + w * g, tail_b + w * b
        tail_t += w * t
    store(views, 0, view_r)
    store(views, width, view_g)
    store(views, 2 * width, view_b)


@njit(nogil=True, cache=True, fastmath=FAST)
def move_rays(volume, settings, lines, first, last, space, out, slopes, views):
    """Rays [first, last): ``out`` [ray, 5], ``slopes`` [ray, 5, 6] by origin and direction,
    ``views`` [ray, 3, channel]; slopes are zero before."""
    plain = pointers(volume, settings, lines, space)
    background, terms, width = lines[4], lines[1].shape[1], len(volume[4])
    for i in range(first, last):
        n, through, sums = forward(*plain[:4], i, plain[4])
        for c in range(3):
            out[i, c] = sums[c] + through * background[i, c]
        out[i, 3], out[i, 4] = sums[3], 1 - through
        move_ray(
            plain[0], plain[1], offset(plain[2][0], 6 * i), offset(plain[2][4], 3 * i), plain[4],
            n, through, terms, offset(data(slopes), NUMBERS * 6 * i),
            offset(data(views), 3 * width * i),
        )  # fmt: skip
