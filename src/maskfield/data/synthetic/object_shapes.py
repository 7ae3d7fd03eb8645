"""The table of procedural objects: category -> builder; placed in the middle, scaled to a ball."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from maskfield.data.synthetic import seats, storage
from maskfield.data.synthetic import textures as tx
from maskfield.data.synthetic.object_paint import bright, coat, flat, recoloured
from maskfield.data.synthetic.object_vehicles import vehicle
from maskfield.data.synthetic.palette import darker, metal
from maskfield.data.synthetic.primitives import ELLIPSOID, Material, Shape

RADIUS = 0.5  # every object lies inside this ball
Builder = Callable[[np.random.Generator], Shape]


def chair(rng: np.random.Generator) -> Shape:
    """A chair or an armchair, in wood or in bright colours."""
    shape = (seats.chair if rng.random() < 0.7 else seats.armchair)(rng)
    return recoloured(shape, rng)


def table(rng: np.random.Generator) -> Shape:
    """A table or a desk with things towards one end."""
    if rng.random() < 0.35:
        return recoloured(storage.desk(rng), rng)
    shape = recoloured(storage.table(rng), rng)
    reach = shape.bounds()[1]
    top = max(s.centre[2] + s.half[2] for s in shape.solids if s.half[0] > 0.3)
    for _ in range(int(rng.integers(1, 4))):
        x, y = rng.uniform(0.25, 0.6) * reach[0], rng.uniform(-0.45, 0.45) * reach[1]
        size = (float(rng.uniform(0.12, 0.3)), float(rng.uniform(0.1, 0.25)))
        shape.block(
            (float(x), float(y), top), (*size, float(rng.uniform(0.04, 0.3))), flat(bright(rng))
        )
    return shape


def lamp(rng: np.random.Generator) -> Shape:
    """A desk lamp: foot, a bent arm, a shade that looks forward and down."""
    shape, paint, shade = Shape(), coat(rng), coat(rng)
    arm = metal(rng)
    foot, lower, upper = (float(v) for v in rng.uniform((0.16, 0.32, 0.28), (0.24, 0.5, 0.45)))
    lean, reach = float(rng.uniform(0.15, 0.5)), float(rng.uniform(0.7, 1.15))
    shape.tube((0, 0, 0), (foot, foot), 0.05, paint, taper=0.85)
    shape.ball((foot * 0.5, foot * 0.3, 0.055), (0.025, 0.025, 0.015), flat(bright(rng)))
    knee = (0.0, -lower * math.sin(lean), 0.05 + lower * math.cos(lean))
    _rod(shape, (0.0, 0.0, 0.05), knee, 0.02, arm)
    head = (0.0, knee[1] + upper * math.sin(reach), knee[2] + upper * math.cos(reach))
    _rod(shape, knee, head, 0.02, arm)
    shape.ball(knee, (0.035, 0.035, 0.035), paint)
    _shade(shape, rng, head, shade)
    return shape


def _rod(
    shape: Shape,
    start: tuple[float, float, float],
    stop: tuple[float, float, float],
    thick: float,
    material: Material,
) -> None:
    """A square bar between two points of the plane x = const."""
    dy, dz = stop[1] - start[1], stop[2] - start[2]
    length, pitch = math.hypot(dy, dz), math.atan2(-dy, dz)
    x, y, z = ((a + b) / 2 for a, b in zip(start, stop, strict=True))
    shape.block((x, y, z - length / 2), (thick, thick, length), material, pitch=pitch)


def _shade(
    shape: Shape, rng: np.random.Generator, head: tuple[float, float, float], paint: Material
) -> None:
    """A cone hanging forward of the arm's end with a shining bulb in it."""
    radius, tall = float(rng.uniform(0.13, 0.2)), float(rng.uniform(0.14, 0.24))
    x, y, z = head[0], head[1] + 0.05, head[2] - tall * 0.8
    shape.tube((x, y, z), (radius, radius), tall, paint, taper=float(rng.uniform(0.25, 0.6)))
    bulb = flat((1.0, 0.95, 0.75), emission=1.0)
    shape.ball((x, y, z + 0.01), (radius * 0.55, radius * 0.55, 0.06), bulb)


def house(rng: np.random.Generator) -> Shape:
    """A small house: walls, a pitched roof, door, windows and a chimney."""
    shape, walls, roof = Shape(), coat(rng), flat(darker(bright(rng), 0.7))
    w, d, h, top = (float(v) for v in rng.uniform((1.6, 1.8, 0.9, 0.5), (2.4, 3.0, 1.8, 1.2)))
    shape.block((0, 0, 0), (w, d, h), walls)
    ridge = float(rng.uniform(0.4, 1.0))
    shape.loft((0, 0, h), (w + 0.3, d + 0.3, top), roof, 0.04, (-ridge, ridge))
    pane, door = flat((0.25, 0.4, 0.6)), flat(bright(rng))
    shape.block((float(rng.uniform(-0.3, 0.3)) * w, d / 2, 0), (0.4, 0.08, 0.75), door)
    for x in (-w / 2, w / 2):
        for y in (-0.25 * d, 0.25 * d):
            shape.block((x, y, 0.4 * h), (0.06, 0.4, 0.4), pane)
    shape.block((0.1 * w, -d / 2, 0.45 * h), (0.6, 0.06, 0.4), pane)
    brick = Material(tx.TILES, (0.6, 0.25, 0.18), (0.8, 0.75, 0.7), 0.15)
    shape.block((0.28 * w, -0.2 * d, h), (0.28, 0.28, top + 0.15), brick)
    return shape


def composition(rng: np.random.Generator) -> Shape:
    """Four to nine solids stuck to one another at random, no two sides alike."""
    shape = Shape()
    _piece(shape, rng, np.zeros(3), rng.uniform(0.3, 0.6, 3))
    for _ in range(int(rng.integers(3, 9))):
        host = shape.solids[int(rng.integers(len(shape.solids)))]
        way = rng.normal(size=3)
        way /= np.linalg.norm(way)
        size = rng.uniform(0.12, 0.42, 3)
        gap = 0.48 * (np.abs(way) @ np.array(host.half) + np.abs(way) @ size)
        _piece(shape, rng, np.array(host.centre) + way * gap, size)
    return shape


def _piece(shape: Shape, rng: np.random.Generator, centre: np.ndarray, half: np.ndarray) -> None:
    """One solid of any kind around ``centre``."""
    (x, y, z), (a, b, c) = (float(v) for v in centre), (float(v) for v in half)
    kind, paint = int(rng.integers(4)), coat(rng)
    yaw, pitch = (float(v) for v in rng.uniform(-0.8, 0.8, 2))
    if kind == 0:
        shape.block((x, y, z - c), (2 * a, 2 * b, 2 * c), paint, yaw, pitch)
    elif kind == 1:
        shape.ball((x, y, z), (a, b, c), paint, yaw, pitch)
    elif kind == 2:
        shape.tube((x, y, z - c), (a, b), 2 * c, paint, taper=float(rng.uniform(0.0, 1.0)))
    else:
        top = (float(rng.uniform(-1, 0)), float(rng.uniform(0.2, 1)))
        shape.loft((x, y, z - c), (2 * a, 2 * b, 2 * c), paint, float(rng.uniform(0.2, 1)), top)


BUILDERS: dict[str, tuple[float, Builder]] = {
    "vehicle": (0.5, vehicle),
    "chair": (0.14, chair),
    "table": (0.10, table),
    "lamp": (0.07, lamp),
    "house": (0.06, house),
    "composition": (0.13, composition),
}
"""Category -> share of all objects, builder. Half of all objects are vehicles."""


def draw_object(rng: np.random.Generator) -> tuple[str, Shape]:
    """Category and shape, its box around the origin, inside the ball of ``RADIUS``."""
    shares = np.array([share for share, _ in BUILDERS.values()])
    name = tuple(BUILDERS)[int(rng.choice(len(shares), p=shares / shares.sum()))]
    shape = BUILDERS[name][1](rng)
    return name, fitted(shape, RADIUS * float(rng.uniform(0.92, 0.998)))


def fitted(shape: Shape, radius: float) -> Shape:
    """The shape with its box around the origin, scaled so that it reaches ``radius``."""
    middle = shape.bounds().mean(0)
    scale = radius / float(np.linalg.norm(outline(shape) - middle, axis=1).max())
    return Shape(
        [
            s._replace(
                centre=tuple(float(v) for v in (np.array(s.centre) - middle) * scale),
                half=tuple(float(v) * scale for v in s.half),
                material=s.material._replace(scale=s.material.scale * scale),
            )
            for s in shape.solids
        ]
    )


def outline(shape: Shape) -> np.ndarray:
    """Points [n, 3] that enclose every solid of a shape: corners of their own boxes.

    Ellipsoids, which fill their corners badly, give a fine net of their surface instead.
    """
    corners = np.stack(np.meshgrid(*[(-1.0, 1.0)] * 3), -1).reshape(-1, 3)
    net = np.concatenate([_NET, corners / math.sqrt(3.0)])
    out = []
    for s in shape.solids:
        wide = np.array((max(1.0, s.taper), max(1.0, s.taper), 1.0))
        points = net if s.kind == ELLIPSOID else corners * wide
        out.append(points * s.half @ s.axes.T + s.centre)
    return np.concatenate(out)


def _net(count: int) -> np.ndarray:
    """Evenly spread unit vectors."""
    z = 1.0 - (2.0 * np.arange(count) + 1.0) / count
    angle = 2.399963 * np.arange(count)
    return np.stack([np.sqrt(1 - z * z) * np.cos(angle), np.sqrt(1 - z * z) * np.sin(angle), z], 1)


_NET = _net(200) * 1.01  # a little outside, so that what lies between the points is inside
