"""Numba kernels over a block of rays: march, render, gradient, and the fused fitting pass.

One block belongs to one thread with its own scratch and its own compact gradient, so sums are
formed in a fixed order. ``volume`` = (density [voxel], colour [voxel, channel], (x, y, z),
occupancy [x, y, z]); ``lines`` = (rays [ray, 6], basis [ray, term], spans [ray, 3], given
[ray, k, 2] steps chosen elsewhere, k = 0: march here; background [ray, 3]).
Legend: see ``voxel_march``.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from maskfield.fields.voxel_march import FAST, GRAD, SCRATCH_COLUMNS, TIME, march, trace
from maskfield.fields.voxel_shade import BLOCK, distortion, scatter, shade


@njit(nogil=True, cache=True, fastmath=FAST)
def march_rays(occupancy, settings, rays, spans, first, last, steps, counts):
    """``steps`` [ray, limit, 2] and their number per ray."""
    for i in range(first, last):
        counts[i] = march(occupancy, settings, rays[i], spans[i], steps[i])


@njit(nogil=True, cache=True, fastmath=FAST)
def scratch_space(volume, limit):
    """What one thread needs for one ray: steps, samples, bases, weights, mixed, sums."""
    density, colour, _, _ = volume
    kind = density.dtype
    return (
        np.empty((limit, 2), kind),
        np.empty((limit, SCRATCH_COLUMNS), kind),
        np.empty(limit, np.int64),
        np.empty(8, kind),
        np.zeros((colour.shape[1] + BLOCK) // BLOCK * BLOCK, kind),
        np.empty(4, kind),
    )


@njit(nogil=True, cache=True, fastmath=FAST)
def forward(volume, settings, lines, i, space):
    """Trace and shade ray i; returns (samples, T behind the last)."""
    density, colour, shape, occupancy = volume
    rays, basis, spans, given, _ = lines
    steps, samples, bases, weights, mixed, sums = space
    count = given.shape[1]
    if count > 0:
        n, through = trace(
            density, shape, occupancy, settings, rays[i], given[i], count, samples, bases
        )
    else:
        count = march(occupancy, settings, rays[i], spans[i], steps)
        n, through = trace(
            density, shape, occupancy, settings, rays[i], steps, count, samples, bases
        )
    strides = (shape[2], shape[1] * shape[2])
    shade(colour, strides, basis[i], settings, samples, bases, n, weights, mixed, sums)
    return n, through


@njit(nogil=True, cache=True, fastmath=FAST)
def render_rays(volume, settings, lines, first, last, limit, out):
    """Rays [first, last) into ``out`` [ray, 5] = r, g, b, sum of w t, opacity."""
    space = scratch_space(volume, limit)
    background, sums = lines[4], space[5]
    for i in range(first, last):
        _, through = forward(volume, settings, lines, i, space)
        for c in range(3):
            out[i, c] = sums[c] + through * background[i, c]
        out[i, 3], out[i, 4] = sums[3], 1 - through


@njit(nogil=True, cache=True, fastmath=FAST)
def render_rays_gradient(volume, settings, lines, first, last, limit, upstream, table, count):
    """Gradient of :func:`render_rays` for ``upstream`` [ray, 5]; the rays are traced again.

    Returns (ray to go on with, rows in use): it stops early when the table could overflow.
    """
    space = scratch_space(volume, limit)
    _, samples, bases, weights, mixed, _ = space
    shape, background = volume[2], lines[4]
    strides = (shape[2], shape[1] * shape[2])
    for i in range(first, last):
        n, through = forward(volume, settings, lines, i, space)
        if count + 8 * n > table[1].shape[0]:
            return i, count
        for k in range(n):
            samples[k, GRAD] = upstream[i, 3] * samples[k, TIME] + upstream[i, 4]
        back = samples[0, 0] * 0
        for c in range(3):
            back += upstream[i, c] * background[i, c]
        count = scatter(
            strides, lines[1][i], settings, samples, bases, n, through, upstream[i], back,
            weights, mixed, table, count,
        )  # fmt: skip
    return last, count


@njit(nogil=True, cache=True, fastmath=FAST)
def fit_rays(volume, settings, lines, first, last, limit, photo, table, count, report):
    """Forward, loss and gradient of rays [first, last) in one pass; the loss is a SUM over rays.

    loss = |gain * colour - target|^2 / 3 + strength * distortion. ``photo`` = (target [ray, 3],
    gains [image, 3], image [ray], gradient of the gains [image, 3]); ``report`` += squared error,
    distortion, samples, rays. Returns as :func:`render_rays_gradient`.
    """
    space = scratch_space(volume, limit)
    _, samples, bases, weights, mixed, sums = space
    shape, background = volume[2], lines[4]
    target, gains, image, gain_grad = photo
    strides = (shape[2], shape[1] * shape[2])
    grad = np.empty(3, samples.dtype)
    for i in range(first, last):
        n, through = forward(volume, settings, lines, i, space)
        if count + 8 * n > table[1].shape[0]:
            return i, count
        back = samples[0, 0] * 0
        for c in range(3):
            plain, gain = sums[c] + through * background[i, c], gains[image[i], c]
            error = gain * plain - target[i, c]
            report[0] += error * error / 3
            gain_grad[image[i], c] += 2 * error / 3 * plain
            grad[c] = 2 * error / 3 * gain
            back += grad[c] * background[i, c]
        if settings[7] > 0:
            report[1] += distortion(settings, samples, n)
        report[2] += n
        report[3] += 1
        count = scatter(
            strides, lines[1][i], settings, samples, bases, n, through, grad, back,
            weights, mixed, table, count,
        )  # fmt: skip
    return last, count
