"""Materials drawn per class: what a class tends to be made of, with variation."""

from __future__ import annotations

import colorsys

import numpy as np

from maskfield.data.synthetic import textures as tx
from maskfield.data.synthetic.primitives import Colour, Material

WOODS: tuple[Colour, ...] = (
    (0.72, 0.53, 0.34),
    (0.52, 0.34, 0.20),
    (0.36, 0.22, 0.14),
    (0.85, 0.72, 0.54),
    (0.60, 0.32, 0.18),
)
FABRICS: tuple[float, ...] = (0.60, 0.08, 0.38, 0.52, 0.92, 0.14)


def jitter(rng: np.random.Generator, colour: Colour, amount: float = 0.06) -> Colour:
    """The colour, a little lighter or darker and a little off."""
    value = np.clip(
        np.array(colour) + rng.uniform(-amount, amount) + rng.uniform(-0.5, 0.5, 3) * amount, 0, 1
    )
    return (float(value[0]), float(value[1]), float(value[2]))


def darker(colour: Colour, factor: float) -> Colour:
    """The colour scaled; factors above 1 lighten."""
    return (
        min(1.0, colour[0] * factor),
        min(1.0, colour[1] * factor),
        min(1.0, colour[2] * factor),
    )


def hue(
    rng: np.random.Generator, hues: tuple[float, ...], saturation: float, value: float
) -> Colour:
    """A colour near one of the given hues."""
    h = float(rng.choice(hues)) + float(rng.uniform(-0.03, 0.03))
    s = saturation * float(rng.uniform(0.7, 1.2))
    return colorsys.hsv_to_rgb(h % 1.0, min(1.0, s), value * float(rng.uniform(0.85, 1.1)))


def wood(rng: np.random.Generator, light: bool | None = None) -> Material:
    """Sawn wood; ``light`` forces a pale or a dark one."""
    choice = WOODS if light is None else (WOODS[0], WOODS[3]) if light else (WOODS[1], WOODS[2])
    base = jitter(rng, choice[int(rng.integers(len(choice)))])
    return Material(tx.WOOD, base, darker(base, 0.68), float(rng.uniform(0.12, 0.3)))


def paint(rng: np.random.Generator, value: float = 0.88) -> Material:
    """Off-white or grey lacquer."""
    return Material(tx.FLAT, jitter(rng, (value, value, value * 0.97)), (0, 0, 0))


def metal(rng: np.random.Generator) -> Material:
    """Dark or grey metal (diffuse)."""
    return Material(
        tx.FLAT,
        jitter(rng, (0.25, 0.25, 0.27) if rng.random() < 0.6 else (0.6, 0.6, 0.62)),
        (0, 0, 0),
    )


def fabric(rng: np.random.Generator, colour: Colour, scale: float = 0.06) -> Material:
    """Woven cloth: faint noise, now and then stripes, checks or dots."""
    pattern = rng.choice([tx.NOISE, tx.STRIPES, tx.CHECKER, tx.DOTS], p=[0.62, 0.16, 0.12, 0.10])
    if pattern == tx.NOISE:
        return Material(tx.NOISE, darker(colour, 1.1), darker(colour, 0.8), scale)
    second = darker(colour, 0.7) if rng.random() < 0.6 else (0.92, 0.90, 0.85)
    return Material(int(pattern), colour, second, float(rng.uniform(0.1, 0.18)))


def glow(colour: Colour, strength: float) -> Material:
    """A surface that shines by itself and casts no shadow (display brightness ``strength``)."""
    return Material(tx.FLAT, colour, (0, 0, 0), emission=strength, shadow=False)


def leaf(rng: np.random.Generator) -> Material:
    """The green of one plant's leaves."""
    base = hue(rng, (0.30, 0.36), 0.6, 0.45)
    return Material(tx.NOISE, darker(base, 1.25), darker(base, 0.65), 0.05)
