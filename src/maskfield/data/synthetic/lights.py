"""Which lights a room has: the pendant, every window, and up to one floor lamp."""

from __future__ import annotations

import math

import numpy as np

from maskfield.data.synthetic.lighting import AIR, LAMP, Lights
from maskfield.data.synthetic.primitives import Placed
from maskfield.data.synthetic.shell import Opening, wall_distance, wall_yaw

Light = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def room_lights(
    rng: np.random.Generator, interior: np.ndarray, openings: list[Opening], things: list[Placed]
) -> Lights:
    """Lights of a furnished room; strengths vary, the exposure is measured later."""
    half = (float(interior[1, 0]), float(interior[1, 1]))
    day = float(rng.uniform(0.5, 1.5))
    found = [_window(o, half, day) for o in openings if o.kind == "window"]
    lamps = [t for t in things if t.name == "lamp"]
    hanging = [t for t in lamps if t.position[2] > 1.0]
    standing = [t for t in lamps if t.position[2] <= 1.0]
    found += [_pendant(t, float(rng.uniform(1.6, 3.0))) for t in hanging]
    found += [_floor_lamp(t, float(rng.uniform(0.35, 0.7))) for t in standing[:1]]
    ambient = np.array([(0.42, 0.43, 0.46), (0.34, 0.31, 0.27)]) * (0.6 + 0.4 * day)
    return pack_lights(found, ambient, interior)


def pack_lights(found: list[Light], ambient: np.ndarray, interior: np.ndarray) -> Lights:
    """Records from (centre, u, v, normal, colour) rows; no rows: ambient light only."""
    lamps, air = np.zeros(len(found), LAMP), np.zeros(1, AIR)
    for i, name in enumerate(("centre", "u", "v", "normal", "colour")):
        lamps[name] = np.array([f[i] for f in found], np.float64).reshape(-1, 3)
    air["ambient"], air["interior"], air["exposure"] = ambient, interior, 1.0
    return Lights(lamps, air)


def _window(opening: Opening, half: tuple[float, float], day: float) -> Light:
    yaw = wall_yaw(opening.wall)
    c, s = math.cos(yaw), math.sin(yaw)
    inward, along = np.array([-s, c, 0.0]), np.array([c, s, 0.0])
    tall = opening.top - opening.bottom
    centre = along * opening.middle - inward * (wall_distance(half, opening.wall) + 0.05)
    centre[2] = (opening.bottom + opening.top) / 2
    strength = 2.2 * day * opening.width * tall
    colour = strength * np.array([0.92, 0.98, 1.08])
    return centre, along * opening.width * 0.46, np.array([0, 0, tall * 0.46]), inward, colour


def _pendant(thing: Placed, strength: float) -> Light:
    low, high = thing.shape.bounds()
    radius = 0.5 * float(high[0] - low[0])
    x, y, z = thing.position
    centre = np.array([x, y, z + float(low[2]) - 0.01])
    edge = 0.8 * radius
    colour = strength * np.array([1.05, 0.97, 0.84])
    return centre, np.array([edge, 0, 0]), np.array([0, edge, 0]), np.zeros(3), colour


def _floor_lamp(thing: Placed, strength: float) -> Light:
    top = float(thing.shape.bounds()[1, 2])
    centre = np.array([thing.position[0], thing.position[1], top - 0.12])
    colour = strength * np.array([1.12, 0.92, 0.68])
    return centre, np.array([0.1, 0, 0]), np.array([0, 0.1, 0.05]), np.zeros(3), colour
