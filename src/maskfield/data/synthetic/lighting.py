"""Light on diffuse surfaces: area lights with soft shadows, an ambient term, exposure and display curve."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from maskfield.data.synthetic.bvh import Tree, blocked
from maskfield.data.synthetic.primitives import Primitives
from maskfield.data.synthetic.solids import Vec, normal, to_object
from maskfield.data.synthetic.textures import hash01, surface_colour

_LIFT = 2e-3  # metres a shadow ray starts above its surface
_DARKEST = 2e-3  # contributions below this (display range 0..1) cast no shadow ray


class Lights(NamedTuple):
    """Area lights and what else the room's light needs.

    centre [l,3], u [l,3], v [l,3] half-edge vectors of a parallelogram, normal [l,3] (zero = shines
    all around), colour [l,3] linear; ambient [2,3] from above and from below; interior [2,3] room
    box used to darken corners; exposure []: linear light times this goes to the display curve.
    """

    centre: np.ndarray
    u: np.ndarray
    v: np.ndarray
    normal: np.ndarray
    colour: np.ndarray
    ambient: np.ndarray
    interior: np.ndarray
    exposure: np.ndarray


@njit(cache=True)
def surface(prims: Primitives, p: int, x: Vec) -> tuple[Vec, Vec]:
    """Outward normal and albedo (linear) of primitive ``p`` at its surface point ``x``."""
    c = prims.centre[p]
    q = to_object(prims, p, x[0] - c[0], x[1] - c[1], x[2] - c[2])
    height, seed = q[2] / prims.half[p, 2], int(prims.instance[p]) * 31 + p
    albedo = surface_colour(
        prims.texture[p], prims.colours[p], q[0], q[1], q[2], prims.scale[p], height, seed
    )
    return normal(prims, p, q), albedo


@njit(cache=True)
def towards(lights: Lights, i: int, x: Vec, n: Vec, s: float, t: float) -> tuple[float, Vec, float]:
    """How strongly point (s, t) in [-1, 1]^2 of light ``i`` would light ``x``: cos cos' / d^2.

    Returns that factor (0 where it makes no visible difference), direction and distance.
    """
    dx = lights.centre[i, 0] + s * lights.u[i, 0] + t * lights.v[i, 0] - x[0]
    dy = lights.centre[i, 1] + s * lights.u[i, 1] + t * lights.v[i, 1] - x[1]
    dz = lights.centre[i, 2] + s * lights.u[i, 2] + t * lights.v[i, 2] - x[2]
    distance = math.sqrt(dx * dx + dy * dy + dz * dz) + 1e-9
    d = (dx / distance, dy / distance, dz / distance)
    cosine = n[0] * d[0] + n[1] * d[1] + n[2] * d[2]
    ln = lights.normal[i]
    if ln[0] != 0.0 or ln[1] != 0.0 or ln[2] != 0.0:
        cosine *= max(0.0, -(ln[0] * d[0] + ln[1] * d[1] + ln[2] * d[2]))
    strength = cosine / max(distance * distance, 0.35)
    if cosine <= 0.0 or strength * lights.colour[i, 1] * lights.exposure[0] < _DARKEST:
        strength = 0.0
    return strength, d, distance


@njit(cache=True)
def shade(
    prims: Primitives, tree: Tree, lights: Lights, p: int, x: Vec, a: float, b: float, key: int
) -> Vec:
    """Light (linear, exposed) leaving point ``x`` on the surface of primitive ``p``.

    (a, b) in [0, 1)^2 is the point of every light that is looked at, shifted from light to light
    by a hash of ``key`` so that neighbouring pixels do not repeat each other's error.
    """
    n, albedo = surface(prims, p, x)
    glow = prims.emission[p]
    if glow > 0.0:
        return (albedo[0] * glow, albedo[1] * glow, albedo[2] * glow)
    start = (x[0] + n[0] * _LIFT, x[1] + n[1] * _LIFT, x[2] + n[2] * _LIFT)
    r, g, bl = ambient(lights, x, n)
    for i in range(lights.centre.shape[0]):
        s, t = a + hash01(key, i, 11, 0), b + hash01(key, i, 12, 0)
        s, t = 2.0 * (s - math.floor(s)) - 1.0, 2.0 * (t - math.floor(t)) - 1.0
        strength, d, distance = towards(lights, i, start, n, s, t)
        if strength > 0.0 and not blocked(prims, tree, start, d, distance - 2 * _LIFT):
            r += strength * lights.colour[i, 0]
            g += strength * lights.colour[i, 1]
            bl += strength * lights.colour[i, 2]
    e = lights.exposure[0]
    return (e * r * albedo[0], e * g * albedo[1], e * bl * albedo[2])


@njit(cache=True)
def ambient(lights: Lights, x: Vec, n: Vec) -> Vec:
    """Light from everywhere, less of it where planes of the room meet."""
    up = 0.5 + 0.5 * n[2]
    crowd = 1.0
    for a in range(3):
        along = 1.0 - abs(n[a])
        crowd *= 1.0 - 0.45 * along * math.exp(-max(0.0, x[a] - lights.interior[0, a]) / 0.28)
        crowd *= 1.0 - 0.45 * along * math.exp(-max(0.0, lights.interior[1, a] - x[a]) / 0.28)
    high, low = lights.ambient[0], lights.ambient[1]
    return (
        crowd * (up * high[0] + (1 - up) * low[0]),
        crowd * (up * high[1] + (1 - up) * low[1]),
        crowd * (up * high[2] + (1 - up) * low[2]),
    )


@njit(cache=True)
def display(light: float) -> float:
    """Display value in [0, 1] of exposed linear light: a soft shoulder, then the sRGB curve."""
    x = light if light < 0.6 else 1.0 - 0.4 * math.exp(-(light - 0.6) / 0.4)
    if x <= 0.0031308:
        return 12.92 * max(x, 0.0)
    return 1.055 * x ** (1.0 / 2.4) - 0.055
