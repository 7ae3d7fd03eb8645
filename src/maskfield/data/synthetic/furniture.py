"""The table of furniture: class name -> builder, and the two that are neither seat nor storage."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from maskfield.data.synthetic import seats, storage
from maskfield.data.synthetic import textures as tx
from maskfield.data.synthetic.palette import glow, hue, jitter, leaf, metal
from maskfield.data.synthetic.primitives import Material, Shape

Builder = Callable[[np.random.Generator], Shape]


def lamp(rng: np.random.Generator) -> Shape:
    """A floor lamp: foot, pole and a glowing shade."""
    shape, height, radius = Shape(), rng.uniform(1.45, 1.75), rng.uniform(0.17, 0.24)
    pole = metal(rng)
    shape.tube((0, 0, 0), (0.14, 0.14), 0.03, pole)
    shape.tube((0, 0, 0.03), (0.016, 0.016), height - 0.2, pole)
    shade = glow(hue(rng, (0.09, 0.13), 0.3, 1.0), 0.95)
    shape.tube(
        (0, 0, height - 0.28), (radius, radius), 0.28, shade, taper=float(rng.uniform(0.5, 0.9))
    )
    return shape


def plant(rng: np.random.Generator) -> Shape:
    """A pot, a stem and leaves leaning outwards."""
    shape, radius, height = Shape(), rng.uniform(0.13, 0.19), rng.uniform(0.8, 1.5)
    clay = Material(tx.NOISE, jitter(rng, (0.70, 0.38, 0.25)), (0.5, 0.25, 0.17), 0.2)
    pot, green = rng.uniform(0.25, 0.35), leaf(rng)
    shape.tube((0, 0, 0), (radius * 0.75, radius * 0.75), pot, clay, taper=1.33)
    shape.tube(
        (0, 0, pot),
        (0.02, 0.02),
        height - pot - 0.15,
        Material(tx.FLAT, (0.33, 0.24, 0.14), (0, 0, 0)),
    )
    count = int(rng.integers(8, 13))
    for i in range(count):
        yaw = 2 * math.pi * (i * 0.382 + rng.uniform(-0.03, 0.03))
        z = pot + 0.15 + (height - pot - 0.3) * (i + 0.5) / count
        length, pitch = rng.uniform(0.14, 0.22), rng.uniform(0.2, 0.8)
        out = length * 0.85 * math.cos(pitch)
        centre = (-out * math.sin(yaw), out * math.cos(yaw), z + length * 0.6 * math.sin(pitch))
        shape.ball(centre, (length * 0.38, length, 0.02), green, yaw=yaw, pitch=pitch)
    return shape


BUILDERS: dict[str, Builder] = {
    "bed": seats.bed,
    "sofa": seats.sofa,
    "armchair": seats.armchair,
    "chair": seats.chair,
    "table": storage.table,
    "desk": storage.desk,
    "wardrobe": storage.wardrobe,
    "bookshelf": storage.bookshelf,
    "nightstand": storage.nightstand,
    "cabinet": storage.cabinet,
    "tv stand": storage.tv_stand,
    "lamp": lamp,
    "plant": plant,
    "stool": seats.stool,
    "bathtub": seats.bathtub,
}
