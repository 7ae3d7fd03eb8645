"""Builders of tables, cupboards, shelves. Each returns a Shape on its own origin, front to +y."""

from __future__ import annotations

import numpy as np

from maskfield.data.synthetic import textures as tx
from maskfield.data.synthetic.palette import darker, hue, metal, paint, wood
from maskfield.data.synthetic.primitives import Material, Shape
from maskfield.data.synthetic.seats import four_legs

_BOOK_HUES = (0.0, 0.06, 0.12, 0.33, 0.55, 0.62, 0.78)


def table(rng: np.random.Generator) -> Shape:
    """A dining table, rectangular or round, with a bowl or a vase on it."""
    shape, height, material = Shape(), rng.uniform(0.72, 0.77), wood(rng)
    if rng.random() < 0.3:
        radius = rng.uniform(0.45, 0.62)
        shape.tube((0, 0, 0), (radius * 0.5, radius * 0.5), 0.04, material)
        shape.tube((0, 0, 0.04), (0.06, 0.06), height - 0.08, material)
        shape.tube((0, 0, height - 0.04), (radius, radius), 0.04, material)
    else:
        width, depth = rng.uniform(1.1, 1.7), rng.uniform(0.72, 0.95)
        four_legs(shape, width - 0.06, depth - 0.06, height - 0.04, 0.07, material, False)
        shape.block((0, 0, height - 0.04), (width, depth, 0.04), material)
    _vase(shape, rng, float(rng.uniform(-0.15, 0.15)), float(rng.uniform(-0.1, 0.1)), height)
    return shape


def _vase(shape: Shape, rng: np.random.Generator, x: float, y: float, z: float) -> None:
    clay = Material(tx.STRIPES, hue(rng, (0.02, 0.1, 0.55), 0.6, 0.75), (0.95, 0.93, 0.88), 0.08)
    if rng.random() < 0.5:
        shape.tube((x, y, z), (0.07, 0.07), 0.09, clay, taper=1.9)
        shape.ball(
            (x, y, z + 0.1),
            (0.11, 0.11, 0.045),
            Material(tx.DOTS, (0.85, 0.3, 0.15), (0.9, 0.75, 0.2), 0.07),
        )
    else:
        shape.tube((x, y, z), (0.06, 0.06), 0.2, clay, taper=0.6)


def desk(rng: np.random.Generator) -> Shape:
    """A desk with a drawer block and a screen, a lamp of books or both."""
    shape, width, depth = Shape(), rng.uniform(1.1, 1.5), rng.uniform(0.58, 0.7)
    height, top = rng.uniform(0.72, 0.76), wood(rng, light=True)
    body = paint(rng, 0.85) if rng.random() < 0.5 else top
    shape.block((0, 0, height - 0.035), (width, depth, 0.035), top)
    side = 1 if rng.random() < 0.5 else -1
    _drawers(shape, rng, side * (width / 2 - 0.2), (0.38, depth - 0.04, height - 0.035), 3, body)
    for y in (-depth / 2 + 0.03, depth / 2 - 0.03):
        shape.block((-side * (width / 2 - 0.04), y, 0), (0.05, 0.05, height - 0.035), body)
    black = Material(tx.FLAT, (0.08, 0.08, 0.09), (0, 0, 0))
    shape.block((-side * 0.12, -depth / 2 + 0.16, height), (0.22, 0.14, 0.02), black)
    shape.block((-side * 0.12, -depth / 2 + 0.13, height), (0.04, 0.03, 0.16), black)
    shape.block((-side * 0.12, -depth / 2 + 0.15, height + 0.1), (0.54, 0.03, 0.32), black)
    _books(shape, rng, side * (width / 2 - 0.2), -depth / 2 + 0.14, height, 0.28, 0.18)
    return shape


def _drawers(
    shape: Shape,
    rng: np.random.Generator,
    x: float,
    size: tuple[float, float, float],
    count: int,
    body: Material,
    bottom: float = 0.0,
) -> None:
    """A carcass with ``count`` drawer fronts and knobs, one above the other."""
    width, depth, height = size
    front, knob = body._replace(colour=darker(body.colour, 1.12)), metal(rng)
    shape.block(
        (x, -0.01, bottom),
        (width, depth - 0.02, height),
        body._replace(colour=darker(body.colour, 0.8)),
    )
    each = height / count
    for i in range(count):
        z = bottom + i * each
        shape.block((x, depth / 2 - 0.02, z + 0.012), (width - 0.024, 0.03, each - 0.024), front)
        shape.ball((x, depth / 2, z + each / 2), (0.018, 0.018, 0.018), knob)


def _books(
    shape: Shape, rng: np.random.Generator, x: float, y: float, z: float, width: float, tall: float
) -> None:
    """A row of books of different thickness and colour, centred at x."""
    left, end = x - width / 2, x + width / 2
    while left < end - 0.03:
        thick = min(float(rng.uniform(0.03, 0.075)), end - left)
        high, deep = tall * float(rng.uniform(0.72, 1.0)), float(rng.uniform(0.13, 0.18))
        cover = Material(tx.FLAT, hue(rng, _BOOK_HUES, 0.65, 0.65), (0, 0, 0))
        shape.block((left + thick / 2, y, z), (thick - 0.004, deep, high), cover)
        left += thick


def bookshelf(rng: np.random.Generator) -> Shape:
    """An open shelf with rows of books."""
    shape, width, depth = Shape(), rng.uniform(0.75, 1.2), rng.uniform(0.28, 0.34)
    height, material = rng.uniform(1.6, 2.1), wood(rng)
    shelves, board = int(rng.integers(4, 6)), 0.03
    shape.block((0, -depth / 2 + 0.01, 0), (width, 0.02, height), material)
    for x in (-width / 2 + board / 2, width / 2 - board / 2):
        shape.block((x, 0, 0), (board, depth, height), material)
    pitch = (height - board) / shelves
    for i in range(shelves + 1):
        shape.block((0, 0, i * pitch), (width - 2 * board, depth, board), material)
    for i in range(shelves):
        if rng.random() < 0.85:
            inner = width - 2 * board - 0.02
            fill = inner * float(rng.uniform(0.55, 1.0))
            x = float(rng.uniform(-0.5, 0.5)) * (inner - fill)
            _books(shape, rng, x, 0.0, i * pitch + board, fill, pitch - board - 0.05)
    return shape


def wardrobe(rng: np.random.Generator) -> Shape:
    """Two to three tall doors with handles."""
    doors = int(rng.integers(2, 4))
    width, depth = doors * rng.uniform(0.45, 0.58), rng.uniform(0.55, 0.65)
    shape, height = Shape(), rng.uniform(1.85, 2.15)
    body = wood(rng) if rng.random() < 0.65 else paint(rng, 0.9)
    front, knob = body._replace(colour=darker(body.colour, 1.1)), metal(rng)
    shape.block(
        (0, -0.015, 0),
        (width, depth - 0.03, height),
        body._replace(colour=darker(body.colour, 0.75)),
    )
    each = width / doors
    for i in range(doors):
        x = -width / 2 + each * (i + 0.5)
        shape.block((x, depth / 2 - 0.025, 0.05), (each - 0.02, 0.03, height - 0.08), front)
        handle = x + (0.4 if i % 2 == 0 else -0.4) * each
        shape.block((handle, depth / 2 - 0.005, height * 0.45), (0.02, 0.025, 0.22), knob)
    return shape


def cabinet(rng: np.random.Generator) -> Shape:
    """A chest of drawers on a plinth with something on top."""
    shape, width, depth = Shape(), rng.uniform(0.8, 1.2), rng.uniform(0.42, 0.5)
    height, body = rng.uniform(0.75, 1.0), (wood(rng) if rng.random() < 0.6 else paint(rng, 0.9))
    four_legs(shape, width - 0.04, depth - 0.08, 0.1, 0.05, body, False)
    _drawers(shape, rng, 0, (width, depth, height - 0.13), int(rng.integers(3, 5)), body, 0.1)
    shape.block((0, 0, height - 0.03), (width + 0.02, depth + 0.02, 0.03), body)
    _vase(shape, rng, float(rng.uniform(-0.25, 0.25)), 0.0, height)
    return shape


def nightstand(rng: np.random.Generator) -> Shape:
    """A small chest with a shaded lamp."""
    shape, width, height = Shape(), rng.uniform(0.4, 0.5), rng.uniform(0.45, 0.58)
    body = wood(rng) if rng.random() < 0.7 else paint(rng, 0.9)
    four_legs(shape, width - 0.04, 0.34, 0.1, 0.04, body, True)
    _drawers(shape, rng, 0, (width, 0.4, height - 0.1), 2, body, 0.1)
    shade = Material(
        tx.FLAT, hue(rng, (0.1, 0.13), 0.25, 0.95), (0, 0, 0), emission=0.8, shadow=False
    )
    shape.tube((0, -0.05, height), (0.06, 0.06), 0.02, metal(rng))
    shape.tube((0, -0.05, height), (0.015, 0.015), 0.18, metal(rng))
    shape.tube((0, -0.05, height + 0.16), (0.12, 0.12), 0.17, shade, taper=0.65)
    return shape


def tv_stand(rng: np.random.Generator) -> Shape:
    """A low board with a television on it."""
    shape, width, depth = Shape(), rng.uniform(1.2, 1.7), rng.uniform(0.38, 0.45)
    height, body = rng.uniform(0.42, 0.52), wood(rng, light=bool(rng.random() < 0.4))
    for sign in (-1, 1):
        _drawers(shape, rng, sign * width / 4, (width / 2, depth, height - 0.1), 2, body, 0.1)
    four_legs(shape, width - 0.1, depth - 0.08, 0.1, 0.05, body, False)
    black = Material(tx.FLAT, (0.06, 0.06, 0.07), (0, 0, 0))
    screen = Material(tx.NOISE, (0.10, 0.16, 0.26), (0.05, 0.07, 0.12), 0.5)
    wide, tall = width * rng.uniform(0.7, 0.85), width * rng.uniform(0.4, 0.48)
    shape.block((0, -0.05, height), (0.35, 0.2, 0.02), black)
    shape.block((0, -0.06, height), (0.08, 0.04, 0.1), black)
    shape.block((0, -0.05, height + 0.07), (wide, 0.04, tall), black)
    shape.block((0, -0.028, height + 0.09), (wide - 0.04, 0.005, tall - 0.04), screen)
    return shape
