"""Soft shadows on voxels: light sweeps outwards from a source, thinned by what it meets.

A voxel takes its light from the point one layer nearer to the source (bilinear between four voxels
of that layer), so one pass serves every surface, and shadows grow softer with distance.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from maskfield.data.synthetic.lighting import Lights

_HARD = 2.0  # a voxel half full of matter stops all light


@njit(cache=True, nogil=True)
def visibility(lights: Lights, dark: np.ndarray, low: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Share of every light [light, x, y, z] that reaches a voxel; ``dark`` = matter per voxel."""
    count = lights.lamps.shape[0]
    seen = np.zeros((count, dark.shape[0], dark.shape[1], dark.shape[2]), np.float32)
    source = np.empty(3, np.int64)
    for i in range(count):
        for a in range(3):
            # windows shine from their wall: start in the air before it
            at = (lights.lamps[i].centre[a] - low[a]) / cell[a] + 2.0 * lights.lamps[i].normal[a]
            source[a] = min(max(int(at), 0), dark.shape[a] - 1)
        seen[i, source[0], source[1], source[2]] = 1.0
        farthest = 0
        for a in range(3):
            farthest = max(farthest, max(source[a], dark.shape[a] - 1 - source[a]))
        for r in range(1, farthest + 1):
            for axis in range(3):
                _sweep_layer(seen[i], dark, source, r, axis, 1)
                _sweep_layer(seen[i], dark, source, r, axis, -1)
    return seen


@njit(cache=True)
def _sweep_layer(
    seen: np.ndarray, dark: np.ndarray, source: np.ndarray, r: int, axis: int, side: int
) -> None:
    """Light of the voxels r steps from the source along ``axis`` and at most r along the others."""
    layer = source[axis] + side * r
    if layer < 0 or layer >= dark.shape[axis]:
        return
    b, c = (axis + 1) % 3, (axis + 2) % 3
    stride = np.array((dark.shape[1] * dark.shape[2], dark.shape[2], 1), dtype=np.int64)
    light, matter = seen.reshape(-1), dark.reshape(-1)
    shrink, back = (r - 1.0) / r, (layer - side) * stride[axis]
    for j in range(max(0, source[b] - r), min(dark.shape[b], source[b] + r + 1)):
        y = source[b] + (j - source[b]) * shrink
        j0 = int(y)
        j1, fy = min(j0 + 1, dark.shape[b] - 1), y - j0
        row0, row1 = back + j0 * stride[b], back + j1 * stride[b]
        out = layer * stride[axis] + j * stride[b]
        for k in range(max(0, source[c] - r), min(dark.shape[c], source[c] + r + 1)):
            z = source[c] + (k - source[c]) * shrink
            k0 = int(z)
            k1, fz = min(k0 + 1, dark.shape[c] - 1) * stride[c], z - k0
            k0 = k0 * stride[c]
            near = (1 - fz) * _passing(light, matter, row0 + k0) + fz * _passing(
                light, matter, row0 + k1
            )
            far = (1 - fz) * _passing(light, matter, row1 + k0) + fz * _passing(
                light, matter, row1 + k1
            )
            light[out + k * stride[c]] = (1 - fy) * near + fy * far


@njit(cache=True)
def _passing(light: np.ndarray, matter: np.ndarray, at: int) -> float:
    """Light that leaves a voxel on its far side."""
    return light[at] * max(0.0, 1.0 - _HARD * matter[at])
