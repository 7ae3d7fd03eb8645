"""Numba: where a ray through a voxel field is sampled: steps that lie in occupied cells.

Legend: p point in the field's frame (the box is [-1, 1] per axis), q contracted p, r = max |p|, t
distance along the ray (scene units), dt interval. Kernels have one float type, release the GIL and
know no threads; those called per ray take pointers to flat arrays (see ``ops.lanes``).

``settings`` (see ``VoxelSettings.packed``): unit, step, shift, stop, w_min, shell (0: bounded),
distortion length, distortion strength. Voxel i has its centre at i + 0.5 (geometry.grids).
"""

from __future__ import annotations

from numba import njit

from maskfield.ops.lanes_math import FAST

UNIT, STEP, SHIFT, STOP, W_MIN, SHELL, LENGTH, STRENGTH = range(8)
REACH = 64.0  # a contracted ray is followed to this many half boxes


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
def occupied(occupancy, cells, x, y, z):
    """Whether the cell of [0, 1]^3 that (x, y, z) lies in may hold something."""
    kx, ky, kz = cells
    return occupancy[(cell(x, kx) * ky + cell(y, ky)) * kz + cell(z, kz)] != 0


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
def march(occupancy, cells, settings, ray, span, times, deltas, limit):
    """Steps of step * stretch whose samples lie in occupied cells; returns their number.

    ``ray`` = origin and direction in the field's frame; ``span`` = near, far, offset (share of a
    step); ``times`` and ``deltas`` receive t and dt; the march ends when there are ``limit``.
    """
    shell = settings[SHELL]
    near, far = span[0], span[1]
    if shell == 0:
        near, far = clip(ray, near, far)
    t, count, first = near, 0, True
    while t < far and count < limit:
        x, y, z = ray[0] + t * ray[3], ray[1] + t * ray[4], ray[2] + t * ray[5]
        x, y, z, stretch = contract(x, y, z, shell)
        if stretch > REACH * REACH:
            break
        dt = settings[STEP] * max(stretch, 1.0)
        if first:
            t += dt * span[2]
            first = False
            continue
        if occupied(occupancy, cells, x, y, z):
            times[count], deltas[count] = t, dt
            count += 1
        t += dt
    return count


@njit(nogil=True, cache=True, fastmath=FAST)
def keep(occupancy, cells, settings, ray, given, many, times, deltas):
    """Those of ``many`` given steps (all t, then all dt) that lie in occupied cells."""
    count = 0
    for k in range(many):
        t, dt = given[k], given[many + k]
        x, y, z = ray[0] + t * ray[3], ray[1] + t * ray[4], ray[2] + t * ray[5]
        x, y, z, stretch = contract(x, y, z, settings[SHELL])
        if dt > 0 and stretch > 0 and occupied(occupancy, cells, x, y, z):
            times[count], deltas[count] = t, dt
            count += 1
    return count
