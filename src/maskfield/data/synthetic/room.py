"""Room: everything a seed stands for, and the functions that put one together."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from maskfield.core.errors import ConfigError
from maskfield.data.synthetic import textures as tx
from maskfield.data.synthetic.bvh import build_tree
from maskfield.data.synthetic.casting import measure_light
from maskfield.data.synthetic.classes import CLASS_ID
from maskfield.data.synthetic.config import RoomConfig
from maskfield.data.synthetic.decor import hang_pictures, lay_rug, pendant
from maskfield.data.synthetic.layout import Planner, Stand
from maskfield.data.synthetic.lighting import Lights
from maskfield.data.synthetic.lights import room_lights
from maskfield.data.synthetic.primitives import Material, Placed, Shape, assemble
from maskfield.data.synthetic.shell import (
    THICK,
    Opening,
    door_shape,
    draw_openings,
    floor_material,
    wall_distance,
    wall_length,
    wall_material,
    wall_shape,
    wall_yaw,
    window_shape,
)
from maskfield.geometry.boxes import Boxes3D

_STREAM = 0x526F6F6D  # keeps a room's random numbers apart from other uses of the same seed
_MIDDLE_GREY = 0.36  # mean exposed linear light of what a room shows


@dataclass(frozen=True)
class Room:
    """A furnished, lit room. World: metres, Z-up, floor at z = 0, its middle at x = y = 0.

    Attributes:
        seed, config, kind: where it came from.
        things: everything placed, ``instance`` = index + 1.
        prims, tree, lights: what the compiled code reads.
        interior: [2, 3] min and max of the air. box: [2, 3] that and ``config.margin`` around it.
        boxes: one oriented box per thing, row = instance - 1, label = class id (``CLASS_NAMES``).
    """

    seed: int
    config: RoomConfig
    kind: str
    things: tuple[Placed, ...]
    prims: np.ndarray
    tree: np.ndarray
    lights: Lights
    interior: np.ndarray
    box: torch.Tensor
    boxes: Boxes3D


def build_room(seed: int, config: RoomConfig) -> Room:
    """Draw size, openings, furniture, decoration and light from ``seed``; same seed, same room.

    Raises:
        ConfigError: a negative seed.
    """
    if seed < 0:
        raise ConfigError(
            "a seed is not negative", field="seed", value=seed, remedy="give 0 or more"
        )
    rng = np.random.default_rng([seed, _STREAM])
    half = (rng.uniform(*config.width) / 2, rng.uniform(*config.depth) / 2)
    height, kind = rng.uniform(*config.height), str(rng.choice(config.kinds))
    openings = draw_openings(rng, half, height, config.windows)
    target = int(rng.integers(config.pieces[0], config.pieces[1] + 1))
    stands = _furnish(kind, target, config.pieces[0], half, openings, rng)
    interior = np.array([[-half[0], -half[1], 0.0], [half[0], half[1], height]])
    things = [_placed(s.name, s.shape, (s.x, s.y, 0.0), s.yaw) for s in stands]
    lamps = pendant(rng, half, height) if config.ceiling else []
    things += [*lamps, *lay_rug(rng, half), *hang_pictures(rng, half, height, openings, stands)]
    things += _structure(rng, kind, interior, openings, config)
    lights = room_lights(rng, interior, openings, things)
    return finish_room(seed, config, kind, things, lights, interior)


def finish_room(
    seed: int,
    config: RoomConfig,
    kind: str,
    things: list[Placed],
    lights: Lights,
    interior: np.ndarray,
) -> Room:
    """Number the things, build the tree, set the exposure. Also how tests build rooms by hand."""
    numbered = tuple(
        Placed(
            t.name,
            t.shape if config.textures else _plain(t.shape),
            t.position,
            t.yaw,
            t.label,
            i + 1,
            t.box,
        )
        for i, t in enumerate(things)
    )
    prims = assemble(list(numbered))
    tree = build_tree(prims)
    light = measure_light(prims, tree, lights, 0.5 * (interior[0] + interior[1]))
    lights.air["exposure"] = _MIDDLE_GREY / max(light, 1e-6)
    margin = np.array([[-config.margin], [config.margin]])
    return Room(
        seed=seed,
        config=config,
        kind=kind,
        things=numbered,
        prims=prims,
        tree=tree,
        lights=lights,
        interior=interior,
        box=torch.from_numpy(interior + margin).float(),
        boxes=_boxes(numbered),
    )


def _furnish(
    kind: str,
    target: int,
    least: int,
    half: tuple[float, float],
    openings: list[Opening],
    rng: np.random.Generator,
) -> list[Stand]:
    """Lay out the furniture; start again while fewer than ``least`` pieces found a place."""
    best: list[Stand] = []
    for _ in range(8):
        stands = Planner(half, openings, rng).furnish(kind, target)
        best = stands if len(stands) > len(best) else best
        if len(best) >= least:
            break
    return best


def _placed(
    name: str,
    shape: Shape,
    position: tuple[float, float, float],
    yaw: float,
    box: np.ndarray | None = None,
) -> Placed:
    return Placed(name, shape, position, yaw, CLASS_ID[name], 0, box)


def _structure(
    rng: np.random.Generator,
    kind: str,
    interior: np.ndarray,
    openings: list[Opening],
    config: RoomConfig,
) -> list[Placed]:
    """Walls, doors and windows, floor and ceiling; their boxes are ``config.margin`` thick."""
    half, height = (float(interior[1, 0]), float(interior[1, 1])), float(interior[1, 2])
    paint, trim = wall_material(rng, kind), Material(tx.FLAT, (0.9, 0.89, 0.87), (0, 0, 0))
    things, origin, skin = [], (0.0, 0.0, 0.0), config.margin
    for wall in range(4):
        opening = next((o for o in openings if o.wall == wall), None)
        length, distance = wall_length(half, wall), wall_distance(half, wall)
        shape = wall_shape(length, distance, height, opening, paint, trim)
        box = np.array([(-length / 2, -distance - skin, 0), (length / 2, -distance + 0.01, height)])
        things.append(_placed("wall", shape, origin, wall_yaw(wall), box))
        if opening is not None:
            make = door_shape if opening.kind == "door" else window_shape
            things.append(
                _placed(opening.kind, make(rng, opening, distance), origin, wall_yaw(wall))
            )
    size = (2 * half[0] + 2 * THICK, 2 * half[1] + 2 * THICK, THICK)
    floor, ceiling = Shape(), Shape()
    floor.block((0, 0, -THICK), size, floor_material(rng, kind))
    box = np.array([(-half[0], -half[1], -skin), (half[0], half[1], 0.0)])
    # a doorway or window niche shows a little floor outside the interior
    box[:, :2] += np.array([[-skin], [skin]])
    things.append(_placed("floor", floor, origin, 0.0, box))
    if config.ceiling:
        ceiling.block((0, 0, height), size, Material(tx.FLAT, (0.93, 0.92, 0.90), (0, 0, 0)))
        top = np.array([(-half[0], -half[1], height), (half[0], half[1], height + skin)])
        things.append(_placed("ceiling", ceiling, origin, 0.0, top))
    return things


def _plain(shape: Shape) -> Shape:
    return Shape([s._replace(material=s.material._replace(texture=tx.FLAT)) for s in shape.solids])


def _boxes(things: tuple[Placed, ...]) -> Boxes3D:
    bounds = np.array([t.visible_box() for t in things])
    yaw = np.array([t.yaw for t in things])
    middle, position = bounds.mean(1), np.array([t.position for t in things])
    c, s = np.cos(yaw), np.sin(yaw)
    x, y = c * middle[:, 0] - s * middle[:, 1], s * middle[:, 0] + c * middle[:, 1]
    centre = np.stack([x, y, middle[:, 2]], axis=1) + position
    wrapped = (yaw + math.pi) % (2 * math.pi) - math.pi
    return Boxes3D(
        centre=torch.from_numpy(centre).float(),
        size=torch.from_numpy(bounds[:, 1] - bounds[:, 0]).float(),
        yaw=torch.from_numpy(wrapped).float(),
        label=torch.tensor([t.label for t in things], dtype=torch.long),
    ).validated()
