"""Builders of road vehicles. Each returns a Shape in metres: wheels at z = 0, front to +y."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from maskfield.data.synthetic.object_paint import (
    CHROME,
    HEADLIGHT,
    PLATE,
    TAIL_LIGHT,
    TRIM,
    bright,
    flat,
    glass,
    lacquer,
)
from maskfield.data.synthetic.object_parts import Cabin, Pair, prism, wheels
from maskfield.data.synthetic.palette import darker
from maskfield.data.synthetic.primitives import Material, Shape


class CarForm(NamedTuple):
    """Ranges a kind of car is drawn from: metres; places along the length in half lengths.

    Attributes:
        belt: height of the window sills over the car's height.
        back, front: where the cabin meets the body. roof_back, roof_front: where its roof ends.
    """

    length: Pair
    width: Pair
    height: Pair
    belt: Pair
    back: Pair
    front: Pair
    roof_back: Pair
    roof_front: Pair
    clearance: Pair = (0.16, 0.22)
    wheel: Pair = (0.30, 0.35)


FORMS: dict[str, CarForm] = {
    "saloon": CarForm(
        length=(4.3, 4.9), width=(1.72, 1.88), height=(1.38, 1.5), belt=(0.6, 0.66),
        back=(-0.72, -0.6), front=(0.34, 0.46), roof_back=(-0.46, -0.34), roof_front=(0.0, 0.12),
    ),
    "hatchback": CarForm(
        length=(3.5, 4.1), width=(1.62, 1.78), height=(1.42, 1.6), belt=(0.56, 0.64),
        back=(-0.96, -0.9), front=(0.4, 0.54), roof_back=(-0.84, -0.7), roof_front=(0.02, 0.16),
    ),
    "estate": CarForm(
        length=(4.4, 4.9), width=(1.72, 1.86), height=(1.42, 1.56), belt=(0.58, 0.64),
        back=(-0.96, -0.92), front=(0.34, 0.46), roof_back=(-0.9, -0.76), roof_front=(0.0, 0.12),
    ),
    "offroad": CarForm(
        length=(4.0, 4.8), width=(1.78, 1.98), height=(1.7, 1.95), belt=(0.6, 0.66),
        back=(-0.95, -0.9), front=(0.36, 0.48), roof_back=(-0.91, -0.82), roof_front=(0.12, 0.26),
        clearance=(0.26, 0.36), wheel=(0.38, 0.44),
    ),
    "coupe": CarForm(
        length=(4.1, 4.7), width=(1.8, 1.98), height=(1.14, 1.3), belt=(0.62, 0.7),
        back=(-0.72, -0.5), front=(0.2, 0.4), roof_back=(-0.34, -0.2), roof_front=(-0.1, 0.04),
        clearance=(0.11, 0.16), wheel=(0.31, 0.35),
    ),
    "van": CarForm(
        length=(4.4, 5.2), width=(1.8, 2.0), height=(1.9, 2.3), belt=(0.52, 0.6),
        back=(-0.98, -0.96), front=(0.66, 0.8), roof_back=(-0.96, -0.92), roof_front=(0.36, 0.5),
        clearance=(0.2, 0.26), wheel=(0.32, 0.37),
    ),
    "pickup": CarForm(
        length=(4.8, 5.4), width=(1.8, 2.0), height=(1.65, 1.9), belt=(0.58, 0.64),
        back=(-0.2, -0.1), front=(0.36, 0.48), roof_back=(-0.14, -0.05), roof_front=(0.1, 0.24),
        clearance=(0.26, 0.34), wheel=(0.36, 0.42),
    ),
}  # fmt: skip


_SHARES = (0.27, 0.16, 0.12, 0.12, 0.19, 0.07, 0.07)  # of the forms, in their order


class Car(NamedTuple):
    """One drawn car: metres; ``half`` is half its length."""

    half: float
    width: float
    height: float
    belt: float
    clearance: float
    wheel: float
    low: Pair
    high: Pair


def draw_car(form: CarForm, rng: np.random.Generator) -> Car:
    """Proportions out of the ranges of a form."""
    values = [float(rng.uniform(*pair)) for pair in form]
    length, width, height, belt, back, front, roof_back, roof_front, clearance, wheel = values
    half = length / 2
    low, high = (back * half, front * half), (roof_back * half, roof_front * half)
    return Car(half, width, height, belt * height, clearance, wheel, low, high)


def car(rng: np.random.Generator) -> Shape:
    """A passenger car, off-road car, van or pickup."""
    name = str(rng.choice(tuple(FORMS), p=_SHARES))
    c, shape, paint = draw_car(FORMS[name], rng), Shape(), lacquer(rng)
    second = _second(rng, paint)
    _body(shape, rng, c, paint, second)
    roof = second if rng.random() < 0.25 else paint
    taper = float(rng.uniform(0.76, 0.86)) if name not in ("van", "offroad") else 0.9
    cabin = Cabin((c.belt - 0.02, c.height), c.width * 0.95, taper, c.low, c.high)
    cabin.build(shape, paint, roof, glass(rng), _posts(rng, cabin))
    _face(shape, rng, c, paint)
    _tail(shape, rng, c)
    _sides(shape, c, paint)
    if name == "pickup":
        _load_bed(shape, rng, c, paint)
    _extras(shape, rng, c, second)
    front, rear = 0.6 + 0.06 * rng.random(), -0.58 - 0.08 * rng.random()
    wheels(shape, rng, (front * c.half, rear * c.half), c.width / 2, c.wheel)
    return shape


def _second(rng: np.random.Generator, paint: Material) -> Material:
    """What stripes and two-tone roofs are painted with."""
    choice = rng.random()
    if choice < 0.35:
        return flat((0.95, 0.95, 0.95))
    return TRIM if choice < 0.65 else flat(bright(rng)) if choice < 0.85 else paint


def _posts(rng: np.random.Generator, cabin: Cabin) -> tuple[float, ...]:
    """One or two posts along the sides."""
    back, front = cabin.ends(0.5)
    if rng.random() < 0.35 or front - back < 1.6:
        return (back + float(rng.uniform(0.35, 0.5)) * (front - back),)
    return (back + 0.32 * (front - back), back + 0.62 * (front - back))


def _body(shape: Shape, rng: np.random.Generator, c: Car, paint: Material, sill: Material) -> None:
    """Underside, lower body, shoulders narrowing to the sills, a bonnet falling to the front."""
    middle = c.clearance + 0.55 * (c.belt - c.clearance)
    floor = sill if rng.random() < 0.2 else TRIM
    low, full = (-c.half + 0.06, c.half - 0.08), (-c.half, c.half)
    prism(shape, floor, (c.clearance, c.clearance + 0.14), low, low, c.width - 0.05)
    prism(shape, paint, (c.clearance + 0.1, middle), full, full, c.width)
    nose = c.half - float(rng.uniform(0.1, 0.3))
    tail, drop = -c.half + float(rng.uniform(0.02, 0.14)), float(rng.uniform(0.0, 0.12))
    width = (c.width, c.width * 0.94)
    prism(shape, paint, (middle, c.belt - drop), full, (tail, nose), width)
    crest = (min(c.low[0], tail + 0.05), c.low[1] - 0.15)
    prism(shape, paint, (c.belt - drop, c.belt), (tail, nose), crest, (width[1], width[1] * 0.97))


def _face(shape: Shape, rng: np.random.Generator, c: Car, paint: Material) -> None:
    """Headlights, grille, bumper and number plate."""
    z = c.clearance + 0.5 * (c.belt - c.clearance)
    wide, tall = float(rng.uniform(0.26, 0.42)), float(rng.uniform(0.12, 0.2))
    for side in (-1.0, 1.0):
        place = (side * (c.width / 2 - wide / 2 - 0.05), c.half - 0.04, z - 0.02)
        if rng.random() < 0.4:
            shape.ball(
                (place[0], place[1], z + tall / 2), (tall * 0.7, 0.07, tall * 0.7), HEADLIGHT
            )
        else:
            shape.block(place, (wide, 0.12, tall), HEADLIGHT)
    grille = TRIM if rng.random() < 0.7 else CHROME
    width = c.width - 2 * wide - 0.2
    shape.block((0, c.half - 0.01, z - 0.04), (width, 0.05, float(rng.uniform(0.1, 0.22))), grille)
    bumper = TRIM if rng.random() < 0.4 else paint._replace(colour=darker(paint.colour, 0.85))
    shape.block((0, c.half, c.clearance + 0.06), (c.width * 0.96, 0.12, 0.17), bumper)
    shape.block((0, c.half + 0.065, c.clearance + 0.1), (0.46, 0.02, 0.1), PLATE)
    shape.block((0, -c.half, c.clearance + 0.06), (c.width * 0.96, 0.1, 0.18), bumper)


def _tail(shape: Shape, rng: np.random.Generator, c: Car) -> None:
    """Tail lights, plate and exhaust."""
    z = c.clearance + 0.5 * (c.belt - c.clearance)
    wide, tall = float(rng.uniform(0.16, 0.4)), float(rng.uniform(0.12, 0.24))
    for side in (-1.0, 1.0):
        place = (side * (c.width / 2 - wide / 2 - 0.04), -c.half + 0.03, z - 0.02)
        shape.block(place, (wide, 0.1, tall), TAIL_LIGHT)
    shape.block((0, -c.half - 0.01, z), (0.48, 0.03, 0.11), PLATE)
    shape.block((0.3 * c.width, -c.half - 0.04, c.clearance), (0.1, 0.1, 0.08), CHROME)


def _sides(shape: Shape, c: Car, paint: Material) -> None:
    """Mirrors, door handles and a line along the doors."""
    z, handle = c.belt - 0.1, flat(darker(paint.colour, 0.6))
    middle = 0.5 * (c.low[0] + c.low[1])
    shape.block((0, middle, c.clearance + 0.16), (c.width + 0.02, 0.9 * c.half, 0.05), handle)
    for side in (-1.0, 1.0):
        mirror = (side * (c.width / 2 + 0.06), c.low[1] - 0.32, c.belt + 0.08)
        shape.ball(mirror, (0.11, 0.07, 0.08), paint)
        for y in (middle - 0.1, middle + 0.7):
            shape.block((side * (c.width / 2 - 0.01), y, z), (0.05, 0.17, 0.035), handle)


def _load_bed(shape: Shape, rng: np.random.Generator, c: Car, paint: Material) -> None:
    """Raised sides round a dark bed behind the cabin, sometimes loaded."""
    back, front = -c.half + 0.04, c.low[0] - 0.04
    middle, length, top = (back + front) / 2, front - back, c.belt + 0.02
    shape.block((0, middle, c.belt - 0.02), (c.width * 0.86, length, 0.03), TRIM)
    for side in (-1.0, 1.0):
        shape.block((side * c.width * 0.45, middle, c.belt - 0.1), (0.08, length, 0.28), paint)
    shape.block((0, back, c.belt - 0.1), (c.width * 0.92, 0.08, 0.28), paint)
    if rng.random() < 0.5:
        size = (float(rng.uniform(0.5, 1.2)), 0.5 * length, float(rng.uniform(0.3, 0.6)))
        shape.block((0, middle + 0.1, top), size, flat(bright(rng)))


def _extras(shape: Shape, rng: np.random.Generator, c: Car, second: Material) -> None:
    """Now and then: stripes over the bonnet and roof, a spoiler, rails, a sign on the roof."""
    nose, kind = c.half - 0.32, rng.random()
    middle = 0.5 * (c.high[0] + c.high[1])
    if kind < 0.22:
        for x in (-0.2, 0.2):
            front = (c.low[1] + nose) / 2
            shape.block((x, front, c.belt - 0.04), (0.2, nose - c.low[1], 0.055), second)
            roof = 0.9 * (c.high[1] - c.high[0])
            shape.block((x, middle, c.height), (0.2, roof, 0.045), second)
    elif kind < 0.36:
        for x in (-0.55, 0.55):
            shape.block((x, -c.half + 0.2, c.belt - 0.1), (0.06, 0.1, 0.28), TRIM)
        shape.block((0, -c.half + 0.17, c.belt + 0.16), (c.width * 0.9, 0.26, 0.05), second)
    elif kind < 0.48:
        for x in (-0.5, 0.5):
            rail = 0.8 * (c.high[1] - c.high[0])
            shape.block((x * 0.95, middle, c.height + 0.05), (0.05, rail, 0.05), CHROME)
    elif kind < 0.6:
        shape.block((0, middle, c.height), (0.9, 0.22, 0.17), flat(bright(rng), emission=0.8))


def bus(rng: np.random.Generator) -> Shape:
    """A bus: a long box with rows of windows, doors on one side."""
    shape, paint, pane = Shape(), lacquer(rng), glass(rng)
    half, width, height = float(rng.uniform(3.2, 4.6)), 2.3, float(rng.uniform(2.5, 3.0))
    if rng.random() < 0.2:
        height += 1.1
    low, band = 0.3, flat(bright(rng)) if rng.random() < 0.5 else paint
    ends, top = (-half, half), (-half + 0.04, half - float(rng.uniform(0.05, 0.25)))
    prism(shape, TRIM, (low, low + 0.15), ends, ends, width - 0.06)
    prism(shape, band, (low + 0.12, 1.2), ends, ends, width)
    prism(shape, paint, (1.2, height), ends, top, (width, width * 0.96))
    _bus_windows(shape, half, width, height, pane)
    shape.block((0, half - 0.1, 1.25), (width * 0.84, 0.24, 1.0), pane)
    for side in (-1.0, 1.0):
        shape.block((side * 0.85, half, 0.65), (0.32, 0.06, 0.2), HEADLIGHT)
        shape.block((side * 0.95, -half, 0.8), (0.24, 0.06, 0.4), TAIL_LIGHT)
        shape.block((side * (width / 2 + 0.14), half - 0.1, 1.75), (0.12, 0.1, 0.4), TRIM)
    shape.block((0, half - 0.09, height - 0.32), (1.3, 0.2, 0.22), flat((0.95, 0.6, 0.1), 0.8))
    shape.block((width / 2, 0.7 * half, 0.45), (0.06, 0.55, 1.75), pane)  # the door
    wheels(shape, rng, (0.52 * half, -0.55 * half), width / 2, 0.45)
    return shape


def _bus_windows(shape: Shape, half: float, width: float, height: float, pane: Material) -> None:
    """Panes along both sides, one or two rows, and one at the back."""
    count = int(2 * half / 1.15)
    each = 1.7 * half / count
    for z in (1.4,) if height < 3.2 else (1.3, 2.75):
        for i in range(count):
            y = -0.92 * half + (i + 0.5) * each
            shape.block((0, y, z), (width + 0.03, each - 0.14, 0.75), pane)
    shape.block((0, -half, 1.5), (width * 0.75, 0.06, 0.7), pane)


def truck(rng: np.random.Generator) -> Shape:
    """A lorry: a cab in front of a box, a tank or an open bed."""
    shape, paint, width = Shape(), lacquer(rng), 2.2
    half, cab = float(rng.uniform(2.8, 3.8)), float(rng.uniform(1.5, 1.9))
    roof = float(rng.uniform(2.1, 2.6))
    shape.block((0, 0, 0.5), (0.9, 2 * half - 0.1, 0.3), TRIM)
    body = (half - cab, half)
    prism(shape, paint, (0.4, 1.25), body, body, width)
    cabin = Cabin((1.25, roof), width * 0.98, 0.92, body, (half - cab, half - 0.3))
    cabin.build(shape, paint, paint, glass(rng), ())
    for side in (-1.0, 1.0):
        shape.block((side * 0.8, half, 0.65), (0.34, 0.06, 0.2), HEADLIGHT)
        shape.block((side * 0.9, -half, 0.6), (0.25, 0.08, 0.16), TAIL_LIGHT)
    shape.block((0, half, 0.9), (1.1, 0.05, 0.25), TRIM)
    shape.block((0, half + 0.02, 0.4), (width, 0.12, 0.2), CHROME)
    _cargo(shape, rng, (-half, half - cab - 0.12), width, roof)
    wheels(shape, rng, (half - 0.5 * cab, -0.5 * half, -0.5 * half - 1.0), width / 2, 0.47)
    return shape


def _cargo(shape: Shape, rng: np.random.Generator, span: Pair, width: float, roof: float) -> None:
    """What the lorry carries."""
    middle, length = 0.5 * (span[0] + span[1]), span[1] - span[0]
    paint, kind = lacquer(rng), rng.random()
    if kind < 0.5:
        tall = roof + float(rng.uniform(-0.1, 0.6)) - 0.85
        shape.block((0, middle, 0.85), (width + 0.06, length, tall), paint)
        band = flat(bright(rng))
        shape.block((0, middle, 0.85 + 0.35 * tall), (width + 0.09, 0.7 * length, 0.3 * tall), band)
    elif kind < 0.75:
        shape.block((0, middle, 0.8), (width, length, 0.12), TRIM)
        shape.ball((0, middle, 1.55), (width / 2, length / 2, 0.72), paint)
        shape.block((0, middle, 1.5), (width + 0.04, 0.5 * length, 0.12), flat(bright(rng)))
    else:
        shape.block((0, middle, 0.8), (width, length, 0.12), TRIM)
        for side in (-1.0, 1.0):
            shape.block((side * (width / 2 - 0.04), middle, 0.85), (0.08, length, 0.5), paint)
        shape.block((0, span[0] + 0.04, 0.85), (width, 0.08, 0.5), paint)
        heap = (width * 0.42, 0.4 * length, 0.55)
        shape.ball((0, middle, 1.1), heap, flat(darker(bright(rng), 0.8)))


def vehicle(rng: np.random.Generator) -> Shape:
    """Any vehicle; five in six are cars."""
    kind = rng.random()
    return car(rng) if kind < 0.84 else bus(rng) if kind < 0.92 else truck(rng)
