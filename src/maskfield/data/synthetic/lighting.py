"""Light on diffuse surfaces: area lights, soft shadows, ambient light, exposure, display curve."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from maskfield.data.synthetic.bvh import blocked
from maskfield.data.synthetic.primitives import Record
from maskfield.data.synthetic.solids import Vec, normal, to_object
from maskfield.data.synthetic.textures import hash01, surface_colour

_LIFT = 2e-3  # metres a shadow ray starts above its surface
_DARKEST = 2e-3  # contributions below this (display range 0..1) cast no shadow ray


LAMP = np.dtype(
    [
        ("centre", np.float64, (3,)),
        ("u", np.float64, (3,)),  # half edges of a shining parallelogram
        ("v", np.float64, (3,)),
        ("normal", np.float64, (3,)),  # zero = shines all around
        ("colour", np.float64, (3,)),  # linear light
    ],
    align=True,
)

AIR = np.dtype(
    [
        ("ambient", np.float64, (2, 3)),  # light from above and from below
        ("interior", np.float64, (2, 3)),  # room, used to darken corners
        ("exposure", np.float64),  # linear light times this goes to the display curve
    ],
    align=True,
)


class Lights(NamedTuple):
    """lamps: records of ``LAMP``. air: one record of ``AIR``."""

    lamps: np.ndarray
    air: np.ndarray


@njit(cache=True)
def surface(solid: Record, x: Vec) -> tuple[Vec, Vec]:
    """Outward normal and albedo (linear) of a solid at its surface point ``x``."""
    c = solid.centre
    q = to_object(solid, x[0] - c[0], x[1] - c[1], x[2] - c[2])
    height, seed = q[2] / solid.half[2], int(solid.instance)
    albedo = surface_colour(
        solid.texture, solid.colours, q[0], q[1], q[2], solid.scale, height, seed
    )
    return normal(solid, q), albedo


@njit(cache=True)
def towards(lights: Lights, i: int, x: Vec, n: Vec, s: float, t: float) -> tuple[float, Vec, float]:
    """How strongly point (s, t) in [-1, 1]^2 of light ``i`` would light ``x``: cos cos' / d^2.

    Returns that factor (0 where it makes no visible difference), direction and distance.
    """
    dx = lights.lamps[i].centre[0] + s * lights.lamps[i].u[0] + t * lights.lamps[i].v[0] - x[0]
    dy = lights.lamps[i].centre[1] + s * lights.lamps[i].u[1] + t * lights.lamps[i].v[1] - x[1]
    dz = lights.lamps[i].centre[2] + s * lights.lamps[i].u[2] + t * lights.lamps[i].v[2] - x[2]
    distance = math.sqrt(dx * dx + dy * dy + dz * dz) + 1e-9
    d = (dx / distance, dy / distance, dz / distance)
    cosine = n[0] * d[0] + n[1] * d[1] + n[2] * d[2]
    ln = lights.lamps[i].normal
    if ln[0] != 0.0 or ln[1] != 0.0 or ln[2] != 0.0:
        cosine *= max(0.0, -(ln[0] * d[0] + ln[1] * d[1] + ln[2] * d[2]))
    strength = cosine / max(distance * distance, 0.35)
    if cosine <= 0.0 or strength * lights.lamps[i].colour[1] * lights.air[0].exposure < _DARKEST:
        strength = 0.0
    return strength, d, distance


@njit(cache=True)
def shade(
    prims: np.ndarray, tree: np.ndarray, lights: Lights, p: int, x: Vec, a: float, b: float
) -> Vec:
    """Light (linear, exposed) leaving point ``x`` on the surface of primitive ``p``.

    (a, b) modulo 1 is the point of every light that is looked at, shifted from light to light.
    """
    n, albedo = surface(prims[p], x)
    glow = prims[p].emission
    if glow > 0.0:
        return (albedo[0] * glow, albedo[1] * glow, albedo[2] * glow)
    start = (x[0] + n[0] * _LIFT, x[1] + n[1] * _LIFT, x[2] + n[2] * _LIFT)
    r, g, bl = ambient(lights, x, n)
    for i in range(lights.lamps.shape[0]):
        s, t = a + hash01(i, 11, 0, 0), b + hash01(i, 12, 0, 0)
        s, t = 2.0 * (s - math.floor(s)) - 1.0, 2.0 * (t - math.floor(t)) - 1.0
        strength, d, distance = towards(lights, i, start, n, s, t)
        if strength > 0.0 and not blocked(prims, tree, start, d, distance - 2 * _LIFT):
            r += strength * lights.lamps[i].colour[0]
            g += strength * lights.lamps[i].colour[1]
            bl += strength * lights.lamps[i].colour[2]
    e = lights.air[0].exposure
    return (e * r * albedo[0], e * g * albedo[1], e * bl * albedo[2])


@njit(cache=True)
def ambient(lights: Lights, x: Vec, n: Vec) -> Vec:
    """Light from everywhere, less of it where planes of the room meet."""
    air, up = lights.air[0], 0.5 + 0.5 * n[2]
    crowd = 1.0
    for a in range(3):
        along = 1.0 - abs(n[a])
        crowd *= 1.0 - 0.45 * along * math.exp(-max(0.0, x[a] - air.interior[0, a]) / 0.28)
        crowd *= 1.0 - 0.45 * along * math.exp(-max(0.0, air.interior[1, a] - x[a]) / 0.28)
    high, low = air.ambient[0], air.ambient[1]
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
