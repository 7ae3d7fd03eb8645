"""Paints of single objects: car lacquer, glass, rubber, lamps, bright plastics."""

from __future__ import annotations

import colorsys

import numpy as np

from maskfield.data.synthetic import textures as tx
from maskfield.data.synthetic.primitives import Colour, Material, Shape

_GREYS: tuple[Colour, ...] = (
    (0.92, 0.92, 0.92),
    (0.70, 0.71, 0.73),
    (0.40, 0.41, 0.43),
    (0.19, 0.19, 0.21),
)


def flat(colour: Colour, emission: float = 0.0) -> Material:
    """One colour all over."""
    return Material(tx.FLAT, colour, (0.0, 0.0, 0.0), emission=emission)


def bright(rng: np.random.Generator) -> Colour:
    """A saturated colour of any hue."""
    return colorsys.hsv_to_rgb(
        float(rng.random()), float(rng.uniform(0.6, 1.0)), float(rng.uniform(0.5, 1.0))
    )


def lacquer(rng: np.random.Generator) -> Material:
    """Car paint: saturated in three cars of four, else white, silver, grey or black."""
    if rng.random() < 0.75:
        return flat(bright(rng))
    return flat(_GREYS[int(rng.integers(len(_GREYS)))])


def coat(rng: np.random.Generator) -> Material:
    """A bright coat for anything, plain or patterned."""
    first, second = bright(rng), bright(rng)
    if rng.random() < 0.6:
        return flat(first)
    kinds = (tx.CHECKER, tx.STRIPES, tx.DOTS, tx.NOISE, tx.WOOD)
    return Material(int(rng.choice(kinds)), first, second, float(rng.uniform(0.2, 0.4)))


def glass(rng: np.random.Generator) -> Material:
    """Window panes seen from outside: dark, a little blue."""
    tone = float(rng.uniform(0.08, 0.26))
    return flat((tone, tone * 1.1, tone * 1.25))


RUBBER = flat((0.06, 0.06, 0.065))
CHROME = flat((0.75, 0.76, 0.78))
TRIM = flat((0.12, 0.12, 0.13))
HEADLIGHT = flat((0.98, 0.97, 0.88), emission=0.9)
TAIL_LIGHT = flat((0.85, 0.05, 0.05))
PLATE = flat((0.93, 0.92, 0.80))


def recoloured(shape: Shape, rng: np.random.Generator) -> Shape:
    """The shape with a bright coat in place of every second material, textures kept."""
    found = {s.material: s.material for s in shape.solids}
    for old in found:
        if rng.random() < 0.5 and old.emission == 0.0:
            colour = bright(rng)
            second = (0.7 * colour[0], 0.7 * colour[1], 0.7 * colour[2])
            found[old] = old._replace(colour=colour, second=second)
    return Shape([s._replace(material=found[s.material]) for s in shape.solids])
