"""The room's shell: walls with holes for doors and windows, floor, ceiling, pictures."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from maskfield.data.synthetic import textures as tx
from maskfield.data.synthetic.palette import hue, jitter, metal, paint, wood
from maskfield.data.synthetic.primitives import Colour, Material, Shape

THICK = 1.0  # metres; walls are solid outwards so that their nearest surface is the inner one
RECESS = 0.11  # metres from the inner wall face to the pane of a window or the leaf of a door


@dataclass(frozen=True)
class Opening:
    """A rectangular hole in a wall.

    Attributes:
        kind: "door" or "window". wall: 0..3 for the walls at -y, +x, +y, -x.
        middle: along the wall (its local x). width, bottom, top: metres.
    """

    kind: str
    wall: int
    middle: float
    width: float
    bottom: float
    top: float

    def clearance(self, half: tuple[float, float], depth: float) -> np.ndarray:
        """Floor rectangle [4, 2] before the opening that is kept free."""
        y0 = -(half[1] if self.wall % 2 == 0 else half[0])
        x0, x1 = self.middle - self.width / 2, self.middle + self.width / 2
        local = np.array([(x0, y0), (x1, y0), (x1, y0 + depth), (x0, y0 + depth)])
        c, s = math.cos(wall_yaw(self.wall)), math.sin(wall_yaw(self.wall))
        return local @ np.array([[c, s], [-s, c]])


def wall_yaw(wall: int) -> float:
    """Yaw that turns the local frame (wall at -y, +y into the room) onto wall ``wall``."""
    return (0.0, math.pi / 2, math.pi, -math.pi / 2)[wall]


def wall_length(half: tuple[float, float], wall: int) -> float:
    """Length in metres of wall 0 to 3 of a room with these half sides."""
    return 2 * (half[0] if wall % 2 == 0 else half[1])


def wall_distance(half: tuple[float, float], wall: int) -> float:
    """Distance in metres of wall 0 to 3 from the room's middle."""
    return half[1] if wall % 2 == 0 else half[0]


def draw_openings(
    rng: np.random.Generator, half: tuple[float, float], height: float, windows: tuple[int, int]
) -> list[Opening]:
    """One door and some windows, at most one opening per wall."""
    walls = [int(w) for w in rng.permutation(4)]
    count = min(3, int(rng.integers(windows[0], windows[1] + 1)))
    openings = []
    for i, wall in enumerate(walls[: 1 + count]):
        length = wall_length(half, wall)
        if i == 0:
            width, bottom, top = rng.uniform(0.8, 0.95), 0.0, min(2.05, height - 0.25)
        else:
            width, bottom = min(rng.uniform(0.9, 1.9), length - 1.0), rng.uniform(0.8, 1.0)
            top = min(height - 0.25, bottom + rng.uniform(1.0, 1.3))
        reach = (length - width) / 2 - 0.25
        middle = float(rng.uniform(-reach, reach))
        openings.append(
            Opening(
                "door" if i == 0 else "window",
                wall,
                middle,
                float(width),
                float(bottom),
                float(top),
            )
        )
    return openings


def wall_shape(
    length: float,
    distance: float,
    height: float,
    opening: Opening | None,
    material: Material,
    trim: Material,
) -> Shape:
    """One wall in its local frame, cut around the opening, with a skirting board."""
    shape, y = Shape(), -distance - THICK / 2
    left, right = -length / 2 - THICK, length / 2 + THICK

    def piece(x0: float, x1: float, z0: float, z1: float) -> None:
        shape.block(((x0 + x1) / 2, y, z0), (x1 - x0, THICK, z1 - z0), material)

    if opening is None:
        piece(left, right, -THICK, height + THICK)
        spans = [(-length / 2, length / 2)]
    else:
        x0, x1 = opening.middle - opening.width / 2, opening.middle + opening.width / 2
        piece(left, x0, -THICK, height + THICK)
        piece(x1, right, -THICK, height + THICK)
        piece(x0, x1, opening.top, height + THICK)
        piece(x0, x1, -THICK, opening.bottom)
        spans = (
            [(-length / 2, x0), (x1, length / 2)]
            if opening.kind == "door"
            else [(-length / 2, length / 2)]
        )
    for x0, x1 in spans:
        shape.block(((x0 + x1) / 2, -distance - 0.02, 0), (x1 - x0, 0.06, 0.08), trim)
    return shape


def window_shape(rng: np.random.Generator, opening: Opening, distance: float) -> Shape:
    """Frame, cross bars and a shining pane that shows the outside."""
    shape, w = Shape(), opening.width
    tall, x, frame = opening.top - opening.bottom, opening.middle, paint(rng, 0.92)
    sky = Material(
        tx.SKY, (0.80, 0.88, 0.95), hue(rng, (0.57,), 0.5, 0.95), 1.0, 0.95, shadow=False
    )
    shape.block((x, -distance - RECESS - 0.02, opening.bottom), (w, 0.04, tall), sky)
    y, bar = -distance - RECESS + 0.015, 0.05
    for z in (opening.bottom, opening.top - bar):
        shape.block((x, y, z), (w, 0.05, bar), frame)
    for dx in (-w / 2 + bar / 2, 0.0, w / 2 - bar / 2):
        shape.block((x + dx, y, opening.bottom), (bar, 0.045, tall), frame)
    shape.block(
        (x, -distance - RECESS / 2 + 0.03, opening.bottom - 0.03),
        (w + 0.06, RECESS + 0.06, 0.03),
        frame,
    )
    return shape


def door_shape(rng: np.random.Generator, opening: Opening, distance: float) -> Shape:
    """A closed leaf with panels and a handle, or an open doorway onto a lit hall."""
    shape, w, x = Shape(), opening.width, opening.middle
    frame, y = paint(rng, 0.9), -distance
    if rng.random() < 0.65:
        leaf = wood(rng) if rng.random() < 0.6 else paint(rng, 0.85)
        shape.block((x, y - 0.08, 0), (w, 0.04, opening.top), leaf)
        panel = leaf._replace(colour=leaf.second if leaf.texture == tx.WOOD else (0.75, 0.75, 0.74))
        for z0, z1 in ((0.15, 0.85), (1.1, opening.top - 0.15)):
            shape.block((x, y - 0.057, z0), (w * 0.62, 0.02, z1 - z0), panel)
        shape.ball((x + w * 0.4, y - 0.03, 1.0), (0.03, 0.03, 0.03), metal(rng))
    else:
        hall = Material(
            tx.NOISE, jitter(rng, (0.85, 0.75, 0.58)), (0.72, 0.62, 0.48), 0.8, 0.6, shadow=False
        )
        shape.block((x, y - RECESS - 0.015, 0), (w, 0.03, opening.top), hall)
    for dx in (-w / 2 - 0.03, w / 2 + 0.03):
        shape.block((x + dx, y - 0.02, 0), (0.07, 0.07, opening.top + 0.06), frame)
    shape.block((x, y - 0.02, opening.top), (w, 0.07, 0.06), frame)
    return shape


def floor_material(rng: np.random.Generator, kind: str) -> Material:
    """Tiles in bathrooms and now and then elsewhere, else planks."""
    if kind == "bath" or rng.random() < 0.15:
        base = jitter(rng, (0.75, 0.75, 0.74), 0.12)
        return Material(tx.TILES, base, (0.45, 0.45, 0.45), 0.33)
    base = wood(rng)
    dark: Colour = (base.colour[0] * 0.5, base.colour[1] * 0.46, base.colour[2] * 0.42)
    return Material(tx.PLANKS, base.colour, dark, float(rng.uniform(0.12, 0.18)))


def wall_material(rng: np.random.Generator, kind: str) -> Material:
    """Tiles in bathrooms, stripes or plain plaster elsewhere."""
    base = jitter(rng, hue(rng, (0.1, 0.15, 0.4, 0.55, 0.6, 0.95), 0.16, 0.86), 0.03)
    if kind == "bath":
        return Material(tx.TILES, base, (0.62, 0.64, 0.66), 0.25)
    if rng.random() < 0.3:
        return Material(tx.STRIPES, base, (base[0] * 0.9, base[1] * 0.9, base[2] * 0.92), 0.3)
    return Material(tx.NOISE, base, (base[0] * 0.93, base[1] * 0.93, base[2] * 0.93), 0.5)


def picture_shape(rng: np.random.Generator, width: float, height: float) -> Shape:
    """A framed abstract painting; local frame: back at y = 0, reaching 4 cm into the room."""
    shape = Shape()
    canvas = Material(tx.PATCHES, (0.5, 0.5, 0.5), (0, 0, 0), float(rng.uniform(0.08, 0.2)))
    shape.block((0, -0.03, -height / 2), (width, 0.12, height), wood(rng, light=False))
    shape.block((0, -0.025, -height / 2 + 0.04), (width - 0.08, 0.14, height - 0.08), canvas)
    return shape
