"""Rugs, pictures and the pendant lamp."""

from __future__ import annotations

import math

import numpy as np

from maskfield.data.synthetic import textures as tx
from maskfield.data.synthetic.classes import CLASS_ID
from maskfield.data.synthetic.layout import Stand
from maskfield.data.synthetic.palette import FABRICS, darker, glow, hue, metal
from maskfield.data.synthetic.primitives import Material, Placed, Shape
from maskfield.data.synthetic.shell import (
    Opening,
    picture_shape,
    wall_distance,
    wall_length,
    wall_yaw,
)

_PILE = 0.012  # metres a rug stands above the floor


def lay_rug(rng: np.random.Generator, half: tuple[float, float]) -> list[Placed]:
    """A patterned rug near the middle of the floor, in two rooms of three."""
    if rng.random() > 0.67:
        return []
    width, depth = rng.uniform(1.4, 2.4), rng.uniform(1.0, 1.7)
    colour = hue(rng, FABRICS, 0.55, 0.6)
    texture = int(rng.choice([tx.CHECKER, tx.STRIPES, tx.DOTS, tx.NOISE]))
    pile = Material(texture, colour, (0.86, 0.82, 0.72), float(rng.uniform(0.16, 0.3)))
    border = Material(tx.FLAT, darker(colour, 0.6), (0, 0, 0))
    shape = Shape()  # reaches into the floor, so that it owns the floor's surface below it
    shape.block((0, 0, -0.1), (width, depth, 0.1 + _PILE - 0.002), border)
    shape.block((0, 0, -0.1), (width - 0.16, depth - 0.16, 0.1 + _PILE), pile)
    x, y = (float(rng.uniform(-0.25, 0.25)) * h for h in half)
    box = np.array([(-width / 2, -depth / 2, 0.0), (width / 2, depth / 2, _PILE)])
    yaw = float(rng.normal(0, 0.08))
    return [Placed("rug", shape, (x, y, 0.0), yaw, CLASS_ID["rug"], 0, box)]


def pendant(rng: np.random.Generator, half: tuple[float, float], height: float) -> list[Placed]:
    """A lamp hanging from the ceiling; its light is added in ``lights``."""
    shape, radius = Shape(), float(rng.uniform(0.16, 0.25))
    warm = glow((1.0, 0.93, 0.80), 1.1)
    if rng.random() < 0.5:
        drop = 0.35
        shape.ball((0, 0, -drop), (radius, radius, radius * 0.8), warm)
        shape.tube((0, 0, -drop), (0.012, 0.012), drop, metal(rng)._replace(shadow=False))
    else:
        shape.tube((0, 0, -0.1), (radius * 1.3, radius * 1.3), 0.1, warm, taper=1.05)
    x, y = (float(rng.uniform(-0.25, 0.25)) * h for h in half)
    return [Placed("lamp", shape, (x, y, height), 0.0, CLASS_ID["lamp"], 0)]


def hang_pictures(
    rng: np.random.Generator,
    half: tuple[float, float],
    height: float,
    openings: list[Opening],
    stands: list[Stand],
) -> list[Placed]:
    """Up to three pictures at eye height where neither opening nor tall furniture is in the way."""
    tall = [s.footprint() for s in stands if s.bounds[1, 2] > 1.05]
    placed, spans = [], [(o.wall, o.middle, o.width) for o in openings]
    for _ in range(int(rng.integers(1, 5))):
        wall, width, high = int(rng.integers(4)), rng.uniform(0.4, 0.95), rng.uniform(0.4, 0.65)
        distance = wall_distance(half, wall)
        reach = wall_length(half, wall) / 2 - width / 2 - 0.15
        middle, z = float(rng.uniform(-reach, reach)), float(rng.uniform(1.5, 1.65))
        taken = any(w == wall and abs(middle - m) < (width + v) / 2 + 0.12 for w, m, v in spans)
        if taken or z + high / 2 > height - 0.1 or _hidden(middle, width, distance, wall, tall):
            continue
        spans.append((wall, middle, width))
        yaw = wall_yaw(wall)
        x, y = _turned(middle, -distance, yaw)
        box = np.array([(-width / 2, 0.0, -high / 2), (width / 2, 0.045, high / 2)])
        shape = picture_shape(rng, float(width), float(high))
        placed.append(Placed("picture", shape, (x, y, z), yaw, CLASS_ID["picture"], 0, box))
    return placed


def _hidden(
    middle: float, width: float, distance: float, wall: int, tall: list[np.ndarray]
) -> bool:
    c, s = math.cos(wall_yaw(wall)), math.sin(wall_yaw(wall))
    back = np.array([[c, -s], [s, c]])
    for corners in tall:
        local = corners @ back
        near = local[:, 1].min() < -distance + 0.5
        if (
            near
            and local[:, 0].min() < middle + width / 2
            and local[:, 0].max() > middle - width / 2
        ):
            return True
    return False


def _turned(x: float, y: float, yaw: float) -> tuple[float, float]:
    c, s = math.cos(yaw), math.sin(yaw)
    return c * x - s * y, s * x + c * y
