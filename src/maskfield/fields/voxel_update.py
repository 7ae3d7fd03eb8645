"""Numba kernels on compact gradients: sums over threads, total variation, RMSprop step."""

from __future__ import annotations

import math

from numba import njit

from maskfield.ops.lanes_math import FAST
from maskfield.ops.lanes_memory import data, load, store


@njit(nogil=True, cache=True, fastmath=FAST)
def merge(slots, touched, first, last):
    """Free the slots of rows [first, last) that are still a voxel's own."""
    for i in range(first, last):
        if touched[i] >= 0:
            slots[touched[i]] = -1


@njit(nogil=True, cache=True, fastmath=FAST)
def add_rows(touched, rows, table, first, last, entries):
    """Take over what another thread's ``table`` holds for the voxels of rows [first, last)."""
    other_slots, other_touched, other_rows = table
    own, other = data(rows), data(other_rows)
    for i in range(first, last):
        voxel = touched[i]
        if voxel < 0:
            continue
        k = other_slots[voxel]
        if k >= 0:
            place = i * len(entries)
            more = load(other, k * len(entries), entries)
            store(own, place, load(own, place, entries) + more)
            other_touched[k] = -1
            other_slots[voxel] = -1


@njit(nogil=True, cache=True, fastmath=FAST)
def neighbour(shape, x, y, z, side):
    """Offset of one of the six neighbours of a voxel, 0 at the border."""
    nx, ny, nz = shape
    if side == 0:
        return ny * nz if x + 1 < nx else 0
    if side == 1:
        return -ny * nz if x > 0 else 0
    if side == 2:
        return nz if y + 1 < ny else 0
    if side == 3:
        return -nz if y > 0 else 0
    if side == 4:
        return 1 if z + 1 < nz else 0
    return -1 if z > 0 else 0


@njit(nogil=True, cache=True, fastmath=FAST)
def smooth(density, colour, shape, touched, rows, first, last, for_density, for_colour, sparsity):
    """Add to the rows of touched voxels a Huber total variation (bound 1) and a pull to empty."""
    nz, nyz = shape[2], shape[1] * shape[2]
    channels = colour.shape[1]
    for i in range(first, last):
        voxel = touched[i]
        if voxel < 0:
            continue
        rows[i, channels] += sparsity
        for side in range(6):
            step = neighbour(shape, voxel // nyz, (voxel // nz) % shape[1], voxel % nz, side)
            if step == 0:
                continue
            d = density[voxel] - density[voxel + step]
            rows[i, channels] += for_density * min(max(d, -1.0), 1.0)
            for c in range(channels):
                d = colour[voxel, c] - colour[voxel + step, c]
                rows[i, c] += for_colour * min(max(d, -1.0), 1.0)


@njit(nogil=True, cache=True, fastmath=FAST)
def update(density, colour, moments, touched, rows, first, last, lr_density, lr_colour, beta):
    """RMSprop on the touched voxels, one second moment for density and one for all colours.

    ``moments`` [voxel, 3] = both second moments and the voxel's share of the density's step. The
    first touch sets a moment to the squared gradient, its bias-corrected value.
    """
    channels = colour.shape[1]
    for i in range(first, last):
        voxel = touched[i]
        if voxel < 0:
            continue
        g = rows[i, channels]
        v = moments[voxel, 0]
        v = g * g if v == 0 else beta * v + (1 - beta) * g * g
        moments[voxel, 0] = v
        density[voxel] -= moments[voxel, 2] * lr_density * g / (math.sqrt(v) + 1e-12)
        size = g * 0
        for c in range(channels):
            size += rows[i, c] * rows[i, c]
        if size > 0:
            size /= channels
            v = moments[voxel, 1]
            v = size if v == 0 else beta * v + (1 - beta) * size
            moments[voxel, 1] = v
            rate = lr_colour / (math.sqrt(v) + 1e-12)
            for c in range(channels):
                colour[voxel, c] -= rate * rows[i, c]


@njit(nogil=True, cache=True, fastmath=FAST)
def spread(touched, rows, first, last, density, colour):
    """Write rows into dense gradients."""
    channels = colour.shape[1]
    for i in range(first, last):
        voxel = touched[i]
        if voxel >= 0:
            density[voxel] = rows[i, channels]
            for c in range(channels):
                colour[voxel, c] = rows[i, c]


@njit(nogil=True, cache=True, fastmath=FAST)
def occupied_cells(density, shape, lowest, occupancy):
    """Cells of ``occupancy`` that can show a raw density above ``lowest``: exact for look-ups.

    A cell covers a whole number of voxels per axis; look-ups in it reach one voxel further.
    """
    nx, ny, nz = shape
    kx, ky, kz = occupancy.shape
    mx, my, mz = nx // kx, ny // ky, nz // kz
    for x in range(nx):
        for y in range(ny):
            for z in range(nz):
                if density[(x * ny + y) * nz + z] <= lowest:
                    continue
                for i in range(max(x - 1, 0) // mx, min(x + 1, nx - 1) // mx + 1):
                    for j in range(max(y - 1, 0) // my, min(y + 1, ny - 1) // my + 1):
                        for k in range(max(z - 1, 0) // mz, min(z + 1, nz - 1) // mz + 1):
                            occupancy[i, j, k] = 1
