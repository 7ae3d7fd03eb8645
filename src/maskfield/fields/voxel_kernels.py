"""Numba kernels over a block of rays: march, render, gradient, and the fused fitting pass.

One block belongs to one thread with its own scratch and its own compact gradient, so sums are
formed in a fixed order. ``volume`` = (density [voxel], colour [voxel, channel], (x, y, z),
occupancy [x, y, z], channels, entries: see ``voxel_shade``); ``lines`` = (rays [ray, 6], basis
[ray, term], spans [ray, 3], given [ray, 2, k] steps chosen elsewhere, k = 0: march here;
background [ray, 3]); ``space`` is a thread's scratch. Legend: see ``voxel_march``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from maskfield.fields.voxel_march import STRENGTH, W_MIN, keep, march
from maskfield.fields.voxel_scatter import scatter, to_samples
from maskfield.fields.voxel_shade import distortion, mix_samples, set_patterns, shade
from maskfield.fields.voxel_trace import COLUMNS, DELTA, GRAD, TIME, trace
from maskfield.ops.lanes import LANES
from maskfield.ops.lanes_math import FAST
from maskfield.ops.lanes_memory import data, offset


def scratch_space(volume: tuple[Any, ...], limit: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What one thread needs for one ray of up to ``limit`` steps: samples, bases, patterns."""
    kind, room = volume[0].dtype, limit + 2 * len(LANES)
    samples = np.zeros((COLUMNS, room), kind)
    return samples, np.zeros(room, np.int32), np.zeros(4 * len(volume[5]), kind)


@njit(nogil=True, cache=True, fastmath=FAST)
def march_rays(occupancy, settings, rays, spans, first, last, steps, counts):
    """``steps`` [ray, 2, limit] and their number per ray."""
    cells, limit = occupancy.shape, steps.shape[2]
    for i in range(first, last):
        times = offset(data(steps), 2 * i * limit)
        counts[i] = march(
            data(occupancy), cells, data(settings), offset(data(rays), 6 * i),
            offset(data(spans), 3 * i), times, offset(times, limit), limit,
        )  # fmt: skip


@njit(nogil=True, cache=True, fastmath=FAST)
def pointers(volume, settings, lines, space):
    """The same without references to arrays; see ``ops.lanes``."""
    density, colour, shape, occupancy, channels, entries = volume
    rays, basis, spans, given, background = lines
    samples, bases, patterns = space
    return (
        (data(density), data(colour), shape, data(occupancy), occupancy.shape, channels, entries),
        data(settings),
        (data(rays), data(basis), data(spans), data(given), data(background)),
        (basis.shape[1], given.shape[2]),
        (data(samples), samples.shape[1], data(bases), data(patterns)),
    )


@njit(nogil=True, cache=True, fastmath=FAST)
def forward(volume, settings, lines, sizes, i, space):
    """Trace and shade ray i; returns samples, T behind the last, (r, g, b, sum of w t)."""
    density, colour, shape, occupancy, cells, channels, entries = volume
    samples, row, bases, patterns = space
    terms, many = sizes
    ray, times, deltas = offset(lines[0], 6 * i), samples, offset(samples, DELTA * row)
    if many > 0:
        given = offset(lines[3], 2 * many * i)
        count = keep(occupancy, cells, settings, ray, given, many, times, deltas)
    else:
        limit, span = row - 2 * len(LANES), offset(lines[2], 3 * i)
        count = march(occupancy, cells, settings, ray, span, times, deltas, limit)
    n, through = trace(density, shape, settings, ray, samples, row, bases, count)
    set_patterns(patterns, offset(lines[1], terms * i), terms, entries)
    w_min = settings[W_MIN]
    mix_samples(colour, shape, channels, entries, w_min, samples, row, bases, n, patterns)
    return n, through, shade(w_min, samples, row, n)


@njit(nogil=True, cache=True, fastmath=FAST)
def render_rays(volume, settings, lines, first, last, space, out):
    """Rays [first, last) into ``out`` [ray, 5] = r, g, b, sum of w t, opacity."""
    plain = pointers(volume, settings, lines, space)
    background = lines[4]
    for i in range(first, last):
        _, through, sums = forward(*plain[:4], i, plain[4])
        for c in range(3):
            out[i, c] = sums[c] + through * background[i, c]
        out[i, 3], out[i, 4] = sums[3], 1 - through


@njit(nogil=True, cache=True, fastmath=FAST)
def backward(volume, settings, space, n, through, colour, back, table, count):
    """Gradient of a ray whose dL/d(r, g, b) is ``colour`` into a compact gradient."""
    samples, row, bases, patterns = space
    slots, touched, rows = table
    to_samples(samples, row, n, through, colour[0], colour[1], colour[2], back)
    return scatter(
        volume[2], volume[6], settings[W_MIN], samples, row, bases, n, patterns,
        slots, touched, rows, count,
    )  # fmt: skip


@njit(nogil=True, cache=True, fastmath=FAST)
def render_rays_gradient(volume, settings, lines, first, last, space, upstream, table, count):
    """Gradient of :func:`render_rays` for ``upstream`` [ray, 5]; the rays are traced again.

    Returns (ray to go on with, rows in use): it stops early when the table could overflow.
    """
    plain = pointers(volume, settings, lines, space)
    room, flat = len(table[1]), (data(table[0]), data(table[1]), data(table[2]))
    samples, row = plain[4][:2]
    for i in range(first, last):
        n, through, _ = forward(*plain[:4], i, plain[4])
        if count + 8 * n > room:
            return i, count
        for k in range(n):
            time = samples[TIME * row + k]
            samples[GRAD * row + k] = upstream[i, 3] * time + upstream[i, 4]
        colour = upstream[i, 0], upstream[i, 1], upstream[i, 2]
        back = behind(colour, data(lines[4]), i)
        count = backward(plain[0], plain[1], plain[4], n, through, colour, back, flat, count)
    return last, count


@njit(nogil=True, cache=True, fastmath=FAST)
def behind(colour, background, i):
    """dL/dT behind a ray's last sample from dL/d(r, g, b)."""
    back = colour[0] * background[3 * i] + colour[1] * background[3 * i + 1]
    return back + colour[2] * background[3 * i + 2]


@njit(nogil=True, cache=True, fastmath=FAST)
def compare(photo, i, c, plain):
    """Squared error / 3 of colour c of pixel i and its derivative for ``plain``, the colour
    without gain; adds to the gradient of the gains."""
    target, gains, image, to_gains = photo
    place = 3 * image[i] + c
    error = gains[place] * plain - target[3 * i + c]
    to_gains[place] += 2 * error / 3 * plain
    return error * error / 3, 2 * error / 3 * gains[place]


@njit(nogil=True, cache=True, fastmath=FAST)
def fit_rays(volume, settings, lines, first, last, space, photo, table, count, report):
    """Forward, loss and gradient of rays [first, last) in one pass; the loss is a SUM over rays.

    loss = |gain * colour - target|^2 / 3 + strength * distortion. ``photo`` = (target [ray, 3],
    gains [image, 3], image [ray], gradient of the gains [image, 3]); ``report`` += squared error,
    distortion, samples, rays. Returns as :func:`render_rays_gradient`.
    """
    plain = pointers(volume, settings, lines, space)
    room, flat = len(table[1]), (data(table[0]), data(table[1]), data(table[2]))
    pixels = data(photo[0]), data(photo[1]), data(photo[2]), data(photo[3])
    background, strength = data(lines[4]), settings[STRENGTH]
    squared, spread, seen, i = 0.0, 0.0, 0, first  # not in ``report``: threads share its lines
    while i < last:
        n, through, sums = forward(*plain[:4], i, plain[4])
        if count + 8 * n > room:
            break
        at_red, red = compare(pixels, i, 0, sums[0] + through * background[3 * i])
        at_green, green = compare(pixels, i, 1, sums[1] + through * background[3 * i + 1])
        at_blue, blue = compare(pixels, i, 2, sums[2] + through * background[3 * i + 2])
        if strength > 0:
            spread += distortion(plain[1], plain[4][0], plain[4][1], n)
        colour = red, green, blue
        back = behind(colour, background, i)
        count = backward(plain[0], plain[1], plain[4], n, through, colour, back, flat, count)
        squared += at_red + at_green + at_blue
        seen += n
        i += 1
    report[0], report[1] = report[0] + squared, report[1] + spread
    report[2], report[3] = report[2] + seen, report[3] + i - first
    return i, count
