"""Solid primitives with a material: what every room is made of.

Each primitive is a unit solid (box [-1, 1]^3, unit ball, upright frustum of radius 1 at z = -1
and ``taper`` at z = 1, or a loft: a box whose face at z = 1 is [-taper, taper] x ``top``),
stretched by ``half``, turned by ``axes`` and moved to ``centre``: x = centre + axes @ (half * u).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

BOX, ELLIPSOID, FRUSTUM, LOFT = 0, 1, 2, 3

Colour = tuple[float, float, float]
Record = Any
"""One element of a structured array; compiled code reads its fields as attributes."""


class Material(NamedTuple):
    """How a surface looks. Colours are display (sRGB) values; ``scale`` is the period in metres."""

    texture: int
    colour: Colour
    second: Colour
    scale: float = 0.2
    emission: float = 0.0
    shadow: bool = True


PRIMITIVE = np.dtype(
    [
        ("kind", np.int64),
        ("centre", np.float64, (3,)),  # metres, world
        ("half", np.float64, (3,)),
        ("axes", np.float64, (3, 3)),  # columns are the object's axes in the world
        ("taper", np.float64),
        ("top", np.float64, (2,)),  # lofts: y of the upper face's back and front, unit solid
        ("texture", np.int64),
        ("colours", np.float64, (2, 3)),  # linear light
        ("scale", np.float64),
        ("emission", np.float64),
        ("shadow", np.int64),
        ("instance", np.int64),  # 0 = none
        ("label", np.int64),  # class id
    ],
    align=True,
)
"""One primitive as the compiled code reads it; a room is an array of these records."""


class Solid(NamedTuple):
    """One primitive in the frame of the thing it belongs to."""

    kind: int
    centre: tuple[float, float, float]
    half: tuple[float, float, float]
    axes: np.ndarray
    taper: float
    material: Material
    top: tuple[float, float] = (-1.0, 1.0)


@dataclass
class Shape:
    """A thing under construction: origin on the floor below its middle, +y its front, +z up."""

    solids: list[Solid] = field(default_factory=list)

    def block(
        self,
        corner: tuple[float, float, float],
        size: tuple[float, float, float],
        material: Material,
        yaw: float = 0.0,
        pitch: float = 0.0,
    ) -> None:
        """A box; ``corner`` = (x middle, y middle, z bottom), turned about its own middle."""
        x, y, z = corner
        half = (size[0] / 2, size[1] / 2, size[2] / 2)
        self.solids.append(Solid(BOX, (x, y, z + half[2]), half, turn(yaw, pitch), 1.0, material))

    def ball(
        self,
        centre: tuple[float, float, float],
        radii: tuple[float, float, float],
        material: Material,
        yaw: float = 0.0,
        pitch: float = 0.0,
    ) -> None:
        """An ellipsoid."""
        self.solids.append(Solid(ELLIPSOID, centre, radii, turn(yaw, pitch), 1.0, material))

    def loft(
        self,
        corner: tuple[float, float, float],
        size: tuple[float, float, float],
        material: Material,
        taper: float = 1.0,
        top: tuple[float, float] = (-1.0, 1.0),
    ) -> None:
        """An upright box with slanting sides; ``corner`` as in ``block``.

        Args:
            taper: width (x) of the upper face over that of the lower, at most 1.
            top: y of the upper face's back and front in half lengths, both in [-1, 1].
        """
        x, y, z = corner
        half = (size[0] / 2, size[1] / 2, size[2] / 2)
        centre = (x, y, z + half[2])
        self.solids.append(Solid(LOFT, centre, half, turn(), taper, material, top))

    def tube(
        self,
        base: tuple[float, float, float],
        radii: tuple[float, float],
        height: float,
        material: Material,
        taper: float = 1.0,
    ) -> None:
        """An upright cylinder, cone (taper 0) or frustum standing on ``base``."""
        x, y, z = base
        half = (radii[0], radii[1], height / 2)
        self.solids.append(Solid(FRUSTUM, (x, y, z + height / 2), half, turn(), taper, material))

    def bounds(self) -> np.ndarray:
        """[2, 3] tight min and max in the shape's own frame."""
        reach = reaches(
            np.array([s.kind for s in self.solids]),
            np.array([s.axes for s in self.solids])
            * np.array([s.half for s in self.solids])[:, None],
            np.array([s.taper for s in self.solids]),
        )
        centre = np.array([s.centre for s in self.solids])
        return np.stack([(centre - reach).min(0), (centre + reach).max(0)])


_IDENTITY = np.eye(3)


def turn(yaw: float = 0.0, pitch: float = 0.0) -> np.ndarray:
    """Rotation [3, 3]: about the object's x by ``pitch``, then about z by ``yaw``, radians."""
    if yaw == 0.0 and pitch == 0.0:
        return _IDENTITY
    c, s, p, q = math.cos(yaw), math.sin(yaw), math.cos(pitch), math.sin(pitch)
    return np.array([[c, -s * p, s * q], [s, c * p, -c * q], [0.0, q, p]])


def reaches(kind: np.ndarray, scaled: np.ndarray, taper: np.ndarray) -> np.ndarray:
    """Half extents [p, 3] of boxes in the parent's frame; ``scaled`` [p, 3, 3] = axes * half.

    Exact for boxes, ellipsoids, upright lofts and upright frusta, an upper bound for leaning ones.
    """
    square = scaled**2
    box, ball = np.abs(scaled).sum(2), np.sqrt(square.sum(2))
    wide = np.maximum(1.0, taper)[:, None]
    frustum = wide * np.sqrt(square[:, :, 0] + square[:, :, 1]) + np.abs(scaled[:, :, 2])
    kind = kind[:, None]
    return np.where((kind == BOX) | (kind == LOFT), box, np.where(kind == ELLIPSOID, ball, frustum))


@dataclass(frozen=True)
class Placed:
    """A shape somewhere in the room.

    Attributes:
        name: class name. shape: the solids. position: world place of the shape's origin.
        yaw: radians about +Z. label: class id. instance: id, from 1.
        box: [2, 3] visible part in the shape's frame; None takes the shape's own bounds.
    """

    name: str
    shape: Shape
    position: tuple[float, float, float]
    yaw: float
    label: int
    instance: int
    box: np.ndarray | None = None

    def visible_box(self) -> np.ndarray:
        """[2, 3] min and max in the shape's frame."""
        return self.shape.bounds() if self.box is None else self.box


def assemble(placed: list[Placed]) -> np.ndarray:
    """All solids of all placed shapes, in the world frame: [p] records of ``PRIMITIVE``."""
    rows = [(p, s) for p in placed for s in p.shape.solids]
    rotation = np.array([turn(p.yaw) for p, _ in rows])
    centre = np.array([s.centre for _, s in rows])
    colours = np.array([(s.material.colour, s.material.second) for _, s in rows])
    out = np.zeros(len(rows), PRIMITIVE)
    out["kind"] = [s.kind for _, s in rows]
    out["centre"] = np.einsum("pij,pj->pi", rotation, centre) + [p.position for p, _ in rows]
    out["half"] = [s.half for _, s in rows]
    out["axes"] = rotation @ np.array([s.axes for _, s in rows])
    out["taper"] = [s.taper for _, s in rows]
    out["top"] = [s.top for _, s in rows]
    out["texture"] = [s.material.texture for _, s in rows]
    out["colours"] = np.clip(colours, 0.0, 1.0) ** 2.2
    out["scale"] = [s.material.scale for _, s in rows]
    out["emission"] = [s.material.emission for _, s in rows]
    out["shadow"] = [s.material.shadow for _, s in rows]
    out["instance"] = [p.instance for p, _ in rows]
    out["label"] = [p.label for p, _ in rows]
    return out
