"""Procedural patterns, evaluated in object space (metres) from an integer hash."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

FLAT, CHECKER, STRIPES, WOOD, NOISE, PLANKS, TILES, SKY, PATCHES, DOTS = range(10)

_MASK = np.uint64(0xFFFFFFFF)


@njit(cache=True)
def hash01(x: int, y: int, z: int, w: int) -> float:
    """Deterministic noise in [0, 1) from four integers (xor-multiply mixing in 32 bits)."""
    h = (np.uint64(x) * np.uint64(0x9E3779B1)) & _MASK
    h = ((h ^ (np.uint64(y) & _MASK)) * np.uint64(0x85EBCA77)) & _MASK
    h = ((h ^ (h >> np.uint64(15)) ^ (np.uint64(z) & _MASK)) * np.uint64(0xC2B2AE3D)) & _MASK
    h = ((h ^ (h >> np.uint64(13)) ^ (np.uint64(w) & _MASK)) * np.uint64(0x27D4EB2F)) & _MASK
    h = ((h ^ (h >> np.uint64(16))) * np.uint64(0x165667B1)) & _MASK
    return float((h ^ (h >> np.uint64(15))) & _MASK) / 4294967296.0


@njit(cache=True)
def value_noise(x: float, y: float, z: float, seed: int) -> float:
    """Smooth noise in [0, 1), one random value per unit lattice point."""
    i, j, k = math.floor(x), math.floor(y), math.floor(z)
    fx, fy, fz = x - i, y - j, z - k
    fx, fy, fz = fx * fx * (3 - 2 * fx), fy * fy * (3 - 2 * fy), fz * fz * (3 - 2 * fz)
    total = 0.0
    for corner in range(8):
        a, b, c = corner & 1, (corner >> 1) & 1, (corner >> 2) & 1
        weight = (fx if a else 1 - fx) * (fy if b else 1 - fy) * (fz if c else 1 - fz)
        total += weight * hash01(int(i) + a, int(j) + b, int(k) + c, seed)
    return total


@njit(cache=True)
def pattern(texture: int, x: float, y: float, z: float, scale: float, seed: int) -> float:
    """How much of the second colour shows at object-space point (x, y, z), in [0, 1]."""
    x, y, z = x / scale + 0.137, y / scale + 0.291, z / scale + 0.413
    if texture == CHECKER:
        return float((math.floor(x) + math.floor(y) + math.floor(z)) & 1)
    if texture == STRIPES:
        return 1.0 if (x - math.floor(x)) < 0.45 else 0.0
    if texture == WOOD:
        return _wood(x, y, z, seed)
    if texture == NOISE:
        return 0.6 * value_noise(x, y, z, seed) + 0.4 * value_noise(3 * x, 3 * y, 3 * z, seed)
    if texture == PLANKS:
        return _planks(x, y, seed)
    if texture == TILES:
        return _tiles(x, y, z, seed)
    if texture == DOTS:
        return _dots(x, y, z)
    return 0.0


@njit(cache=True)
def _wood(x: float, y: float, z: float, seed: int) -> float:
    warp = value_noise(0.7 * x, 2.0 * y, 2.0 * z, seed)
    fibre = value_noise(1.5 * x, 14.0 * y, 14.0 * z, seed + 1)
    ring = 0.5 + 0.5 * math.sin(6.2832 * (1.6 * y + 1.6 * z + 1.8 * warp))
    return 0.55 * ring + 0.45 * fibre


@njit(cache=True)
def _planks(x: float, y: float, seed: int) -> float:
    """Boards along x, one unit wide, about six units long, each with its own tone and grain."""
    row = math.floor(y)
    along = x / 6.0 + hash01(int(row), 3, 5, seed)
    board = math.floor(along)
    gap = min(y - row, (along - board) * 6.0)
    tone = hash01(int(row), int(board), 7, seed)
    grain = value_noise(0.8 * x, 9.0 * y, tone * 17.0, seed)
    return 1.0 if gap < 0.05 else 0.1 + 0.45 * tone + 0.3 * grain


@njit(cache=True)
def _tiles(x: float, y: float, z: float, seed: int) -> float:
    i, j, k = math.floor(x), math.floor(y), math.floor(z)
    edge = min(_edge(x - i), min(_edge(y - j), _edge(z - k)))
    return 1.0 if edge < 0.035 else 0.25 * hash01(int(i), int(j), int(k), seed)


@njit(cache=True)
def _edge(fraction: float) -> float:
    return min(fraction, 1.0 - fraction)


@njit(cache=True)
def _dots(x: float, y: float, z: float) -> float:
    dx, dy, dz = x - round(x), y - round(y), z - round(z)
    return 1.0 if dx * dx + dy * dy + dz * dz < 0.09 else 0.0


@njit(cache=True)
def surface_colour(
    texture: int,
    colours: np.ndarray,
    x: float,
    y: float,
    z: float,
    scale: float,
    relative_height: float,
    seed: int,
) -> tuple[float, float, float]:
    """Albedo (linear light) at an object-space point; ``relative_height`` in [-1, 1]."""
    if texture == SKY:
        return _sky(colours, x, y, relative_height, seed)
    if texture == PATCHES:
        return _patches(x / scale, y / scale, z / scale, seed)
    m = 0.0 if texture == FLAT else pattern(texture, x, y, z, scale, seed)
    a, b = colours[0], colours[1]
    return a[0] + m * (b[0] - a[0]), a[1] + m * (b[1] - a[1]), a[2] + m * (b[2] - a[2])


@njit(cache=True)
def _sky(
    colours: np.ndarray, x: float, y: float, height: float, seed: int
) -> tuple[float, float, float]:
    """Sky paling towards the horizon, above a rolling line of green."""
    horizon = -0.45 + 0.35 * value_noise(3.0 * x, 3.0 * y, 0.0, seed)
    if height < horizon:
        leaf = 0.5 + 0.5 * value_noise(14.0 * x, 14.0 * y, 9.0 * height, seed + 1)
        return 0.10 * leaf, 0.22 * leaf, 0.06 * leaf
    m = min(1.0, (height - horizon) / (1.0 - horizon))
    a, b = colours[0], colours[1]
    return a[0] + m * (b[0] - a[0]), a[1] + m * (b[1] - a[1]), a[2] + m * (b[2] - a[2])


@njit(cache=True)
def _patches(x: float, y: float, z: float, seed: int) -> tuple[float, float, float]:
    """An abstract painting: the nearest of jittered points chooses a random colour."""
    best, red, green, blue = 1e9, 0.0, 0.0, 0.0
    for a in range(-1, 2):
        for c in range(-1, 2):
            i, k = math.floor(x) + a, math.floor(z) + c
            dx = i + hash01(i, k, 1, seed) - x
            dz = k + hash01(i, k, 2, seed) - z
            if dx * dx + dz * dz < best:
                best = dx * dx + dz * dz
                red, green, blue = (
                    hash01(i, k, 3, seed),
                    hash01(i, k, 4, seed),
                    hash01(i, k, 5, seed),
                )
    return red * red, green * green, blue * blue
