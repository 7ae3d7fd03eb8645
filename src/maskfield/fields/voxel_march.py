"""Numba: one ray through a voxel field: steps in occupied cells, then densities and weights.

Legend: p point in the field's frame (the box is [-1, 1] per axis), q contracted p, r = max |p|, t
distance along the ray (scene units), dt interval, a = sigma * dt, w compositing weight, T
transmittance. Kernels take plain arrays of one float type, release the GIL and know no threads.

``settings`` (see ``VoxelSettings.packed``): unit, step, shift, stop, w_min, shell (0: bounded),
distortion length, distortion strength. Voxel i has its centre at i + 0.5 (geometry.grids).
"""

from __future__ import annotations

import math

from numba import njit

UNIT, STEP, SHIFT, STOP, W_MIN, SHELL, LENGTH, STRENGTH = range(8)
FX, FY, FZ, SLOPE, WEIGHT, AFTER, TIME, DELTA, RED, GREEN, BLUE, GRAD = range(12)
SCRATCH_COLUMNS = 12
REACH = 64.0  # a contracted ray is followed to this many half boxes
FAST = {"contract", "reassoc", "nsz", "arcp", "afn"}  # infinities stay legal: far may be infinite


@njit(nogil=True, cache=True, fastmath=FAST)
def contract(x, y, z, shell):
    """q in [0, 1] of the volume, and how much longer than inside a step is; 0: outside.

    ``shell`` 0 is a bounded field. See ``contraction``.
    """
    r = max(abs(x), max(abs(y), abs(z)))
    shrink = 0.5 / (1 + shell)
    stretch = 1.0
    if r > 1:
        if shell == 0:
            return x, y, z, 0.0
        beyond = r - 1 + shell
        shrink *= (1 + shell - shell * shell / beyond) / r
        stretch = (beyond / shell) * (beyond / shell)
    return x * shrink + 0.5, y * shrink + 0.5, z * shrink + 0.5, stretch


@njit(nogil=True, cache=True, fastmath=FAST)
def cell(q, count):
    """Index of the cell of [0, 1] that q lies in."""
    return min(max(int(q * count), 0), count - 1)


@njit(nogil=True, cache=True, fastmath=FAST)
def clip(ray, near, far):
    """near, far cut to the box [-1, 1]; far <= near: a miss."""
    for axis in range(3):
        p, u = ray[axis], ray[axis + 3]
        if abs(u) < 1e-12:
            if abs(p) > 1:
                far = near
        else:
            a, b = (-1 - p) / u, (1 - p) / u
            near, far = max(near, min(a, b)), min(far, max(a, b))
    return near, far


@njit(nogil=True, cache=True, fastmath=FAST)
def march(occupancy, settings, ray, span, steps):
    """Steps of step * stretch whose samples lie in occupied cells; returns their number.

    ray = origin and direction in the field's frame; span = near, far, offset (share of a step);
    ``steps`` [limit, 2] receives (t, dt); the march ends when it is full.
    """
    kx, ky, kz = occupancy.shape
    shell = settings[SHELL]
    near, far = span[0], span[1]
    if shell == 0:
        near, far = clip(ray, near, far)
    t, count, first = near, 0, True
    while t < far and count < steps.shape[0]:
        x, y, z = ray[0] + t * ray[3], ray[1] + t * ray[4], ray[2] + t * ray[5]
        x, y, z, stretch = contract(x, y, z, shell)
        if stretch > REACH * REACH:
            break
        dt = settings[STEP] * max(stretch, 1.0)
        if first:
            t += dt * span[2]
            first = False
            continue
        if occupancy[cell(x, kx), cell(y, ky), cell(z, kz)] != 0:
            steps[count, 0], steps[count, 1] = t, dt
            count += 1
        t += dt
    return count


@njit(nogil=True, cache=True, fastmath=FAST)
def softplus(x):
    """log(1 + exp(x)) and its derivative, in the type of x."""
    e = math.exp(-abs(x))
    log = math.log1p(e)
    if x < 0:
        return log, e / (1 + e)
    return x + log, 1 / (1 + e)


@njit(nogil=True, cache=True, fastmath=FAST)
def look_up(volume, base, sy, sx, fx, fy, fz):
    """Trilinear value of a flat scalar volume; ``base`` is the lowest corner of the cell."""
    a = volume[base] + fz * (volume[base + 1] - volume[base])
    i = base + sy
    b = volume[i] + fz * (volume[i + 1] - volume[i])
    i = base + sx
    c = volume[i] + fz * (volume[i + 1] - volume[i])
    i = base + sx + sy
    d = volume[i] + fz * (volume[i + 1] - volume[i])
    a += fy * (b - a)
    c += fy * (d - c)
    return a + fx * (c - a)


@njit(nogil=True, cache=True, fastmath=FAST)
def corner(q, count):
    """Lower neighbour and share of the upper one along an axis; border voxels go on outwards."""
    g = q * count - 0.5
    low = min(max(math.floor(g), 0), count - 2)
    return low, min(max(g - low, 0.0), 1.0)


@njit(nogil=True, cache=True, fastmath=FAST)
def trace(density, shape, occupancy, settings, ray, steps, count, scratch, bases):
    """Weights of the steps, near to far, until T < stop; returns (samples, T behind the last)."""
    nx, ny, nz = shape
    kx, ky, kz = occupancy.shape
    shell = settings[SHELL]
    through, n = 1.0, 0
    number = density.dtype.type
    for k in range(count):
        t, dt = steps[k, 0], steps[k, 1]
        x, y, z = ray[0] + t * ray[3], ray[1] + t * ray[4], ray[2] + t * ray[5]
        x, y, z, stretch = contract(x, y, z, shell)
        if stretch == 0 or occupancy[cell(x, kx), cell(y, ky), cell(z, kz)] == 0:
            continue
        bx, fx = corner(x, nx)
        by, fy = corner(y, ny)
        bz, fz = corner(z, nz)
        base = (bx * ny + by) * nz + bz
        raw = look_up(density, base, nz, ny * nz, fx, fy, fz)
        value, slope = softplus(number(raw + settings[SHIFT]))
        scale = dt / (settings[UNIT] * stretch)
        passing = math.exp(number(-value * scale))  # float32 exp is twice as fast as float64
        scratch[n, FX], scratch[n, FY], scratch[n, FZ] = fx, fy, fz
        scratch[n, SLOPE], scratch[n, WEIGHT] = slope * scale, through * (1 - passing)
        through *= passing
        scratch[n, AFTER], scratch[n, TIME], scratch[n, DELTA] = through, t, dt
        bases[n] = base
        n += 1
        if through < settings[STOP]:
            break
    return n, through
