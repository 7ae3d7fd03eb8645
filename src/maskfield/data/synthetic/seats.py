"""Builders of things to sit and lie on. Each returns a Shape on its own origin, front to +y."""

from __future__ import annotations

import numpy as np

from maskfield.data.synthetic import textures as tx
from maskfield.data.synthetic.palette import FABRICS, darker, fabric, hue, metal, paint, wood
from maskfield.data.synthetic.primitives import Material, Shape


def four_legs(
    shape: Shape,
    width: float,
    depth: float,
    height: float,
    thick: float,
    material: Material,
    round_: bool,
) -> None:
    """Legs just inside the corners of a width x depth rectangle."""
    x, y = width / 2 - thick / 2, depth / 2 - thick / 2
    for sx, sy in ((-x, -y), (x, -y), (-x, y), (x, y)):
        if round_:
            shape.tube((sx, sy, 0), (thick / 2, thick / 2), height, material)
        else:
            shape.block((sx, sy, 0), (thick, thick, height), material)


def bed(rng: np.random.Generator) -> Shape:
    """A frame with mattress, cover, pillows and headboard; metres, the head towards -y."""
    shape, width = Shape(), float(rng.choice([0.95, 1.45, 1.65])) + rng.uniform(-0.05, 0.1)
    length, frame = rng.uniform(1.95, 2.1), wood(rng)
    cover = fabric(rng, hue(rng, FABRICS, 0.55, 0.7))
    sheet = Material(tx.NOISE, (0.95, 0.94, 0.92), (0.86, 0.86, 0.88), 0.2)
    shape.block((0, 0, 0.06), (width, length, 0.22), frame)
    four_legs(shape, width, length, 0.06, 0.08, frame, False)
    shape.block((0, 0.02, 0.28), (width - 0.06, length - 0.06, 0.2), sheet)
    shape.block((0, length * 0.17, 0.30), (width - 0.02, length * 0.62, 0.21), cover)
    shape.block((0, -length / 2 - 0.03, 0.0), (width, 0.06, rng.uniform(0.85, 1.1)), frame)
    for x in (0.0,) if width < 1.2 else (-width / 4, width / 4):
        shape.ball((x, -length / 2 + 0.27, 0.53), (min(0.33, width / 4.4), 0.19, 0.09), sheet)
    return shape


def _upholstered(rng: np.random.Generator, width: float, seats: int) -> Shape:
    shape, depth, arm = Shape(), rng.uniform(0.82, 0.95), rng.uniform(0.13, 0.2)
    base = hue(rng, FABRICS, 0.45, 0.6) if rng.random() < 0.75 else (0.5, 0.5, 0.52)
    cloth, soft = fabric(rng, base), Material(tx.NOISE, darker(base, 1.2), darker(base, 0.95), 0.08)
    feet, back = wood(rng, light=False), rng.uniform(0.75, 0.9)
    four_legs(shape, width - 0.05, depth - 0.05, 0.1, 0.06, feet, True)
    shape.block((0, 0, 0.1), (width, depth, 0.22), cloth)
    shape.block((0, -depth / 2 + 0.11, 0.3), (width, 0.22, back - 0.3), cloth)
    for x in (-width / 2 + arm / 2, width / 2 - arm / 2):
        shape.block((x, 0, 0.3), (arm, depth, 0.28), cloth)
    inner = (width - 2 * arm) / seats
    for i in range(seats):
        x = -width / 2 + arm + inner * (i + 0.5)
        shape.block((x, 0.1, 0.32), (inner - 0.02, depth - 0.24, 0.13), soft)
        if rng.random() < 0.6:
            pillow = fabric(rng, hue(rng, FABRICS, 0.7, 0.8))
            shape.ball((x, -depth / 2 + 0.30, 0.62), (0.2, 0.09, 0.19), pillow, pitch=-0.25)
    return shape


def sofa(rng: np.random.Generator) -> Shape:
    """Two or three upholstered seats."""
    seats = int(rng.integers(2, 4))
    return _upholstered(rng, 0.7 + 0.58 * seats + rng.uniform(-0.1, 0.15), seats)


def armchair(rng: np.random.Generator) -> Shape:
    """One upholstered seat."""
    return _upholstered(rng, rng.uniform(0.78, 0.95), 1)


def chair(rng: np.random.Generator) -> Shape:
    """Seat, back and four legs; of wood or metal."""
    shape, width, depth = Shape(), rng.uniform(0.42, 0.48), rng.uniform(0.43, 0.5)
    frame = metal(rng) if rng.random() < 0.3 else wood(rng)
    seat = fabric(rng, hue(rng, FABRICS, 0.7, 0.75)) if rng.random() < 0.5 else frame
    height, thick = rng.uniform(0.43, 0.47), rng.uniform(0.035, 0.05)
    four_legs(shape, width, depth, height, thick, frame, bool(rng.random() < 0.4))
    shape.block((0, 0, height), (width, depth, 0.05), seat)
    top = rng.uniform(0.82, 0.98)
    for x in (-width / 2 + thick / 2, width / 2 - thick / 2):
        shape.block((x, -depth / 2 + thick / 2, height), (thick, thick, top - height), frame)
    for z in (0.72, 0.42) if rng.random() < 0.5 else (0.5,):
        tall = 0.1 if z != 0.5 else 0.28
        low = height + (top - height) * z - (tall / 2 if z == 0.5 else 0)
        shape.block((0, -depth / 2 + thick / 2, low), (width, 0.03, tall), seat)
    return shape


def stool(rng: np.random.Generator) -> Shape:
    """A round seat on legs."""
    shape, radius, height = Shape(), rng.uniform(0.16, 0.21), rng.uniform(0.42, 0.65)
    top = fabric(rng, hue(rng, (0.0, 0.1, 0.55, 0.8), 0.8, 0.85))
    frame = wood(rng, light=True) if rng.random() < 0.6 else metal(rng)
    four_legs(shape, radius * 1.5, radius * 1.5, height - 0.06, 0.035, frame, True)
    shape.tube((0, 0, height - 0.06), (radius, radius), 0.06, top)
    return shape


def bathtub(rng: np.random.Generator) -> Shape:
    """A tub with walls, a floor, water and a tap."""
    shape, width, length = Shape(), rng.uniform(1.55, 1.8), rng.uniform(0.72, 0.82)
    white, height, wall = paint(rng, 0.93), rng.uniform(0.52, 0.6), 0.07
    water = Material(tx.NOISE, (0.55, 0.78, 0.82), (0.70, 0.88, 0.90), 0.25)
    shape.block((0, 0, 0.0), (width - 2 * wall, length - 2 * wall, 0.12), white)
    for y in (-length / 2 + wall / 2, length / 2 - wall / 2):
        shape.block((0, y, 0), (width, wall, height), white)
    for x in (-width / 2 + wall / 2, width / 2 - wall / 2):
        shape.block((x, 0, 0), (wall, length - 2 * wall, height), white)
    shape.block((0, 0, 0.12), (width - 2 * wall, length - 2 * wall, height * 0.45), water)
    steel = Material(tx.FLAT, (0.62, 0.63, 0.66), (0, 0, 0))
    shape.tube((-width / 2 + wall / 2, 0, height), (0.022, 0.022), 0.2, steel)
    shape.block((-width / 2 + wall / 2 + 0.07, 0, height + 0.17), (0.16, 0.035, 0.03), steel)
    return shape
