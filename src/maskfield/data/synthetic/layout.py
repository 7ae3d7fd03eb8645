"""Where furniture stands: at walls or free, with companions, never overlapping or in a doorway."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from maskfield.data.synthetic.furniture import BUILDERS
from maskfield.data.synthetic.primitives import Shape
from maskfield.data.synthetic.shell import Opening

GAP = 0.02  # metres kept free between things
_TRIES = 30

# room kind -> (always there, drawn from)
RECIPES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "bedroom": (
        ("bed", "wardrobe"),
        ("cabinet", "desk", "armchair", "bookshelf", "lamp", "plant", "stool", "tv stand"),
    ),
    "living": (
        ("sofa", "tv stand"),
        ("armchair", "bookshelf", "cabinet", "lamp", "plant", "table", "stool", "armchair", "desk"),
    ),
    "study": (
        ("desk", "bookshelf"),
        ("bookshelf", "cabinet", "armchair", "lamp", "plant", "sofa", "stool", "table"),
    ),
    "dining": (
        ("table", "cabinet"),
        ("cabinet", "bookshelf", "lamp", "plant", "stool", "stool", "sofa", "tv stand"),
    ),
    "bath": (
        ("bathtub", "cabinet"),
        ("stool", "plant", "cabinet", "wardrobe", "stool", "chair", "lamp", "nightstand"),
    ),
}
FILLERS = ("plant", "stool", "lamp", "chair", "nightstand")
FREE = frozenset({"table", "stool", "chair"})
TALL = 1.0  # metres; anything higher does not stand before a window


@dataclass(frozen=True)
class Stand:
    """One piece on the floor: name, shape and its bounds [2, 3], position of its origin, yaw."""

    name: str
    shape: Shape
    bounds: np.ndarray
    x: float
    y: float
    yaw: float

    def footprint(self) -> np.ndarray:
        """Corners [4, 2] of the oriented bounding rectangle, world frame, counter-clockwise."""
        (x0, y0, _), (x1, y1, _) = self.bounds
        local = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
        c, s = math.cos(self.yaw), math.sin(self.yaw)
        return local @ np.array([[c, s], [-s, c]]) + (self.x, self.y)


def overlap(a: np.ndarray, b: np.ndarray, gap: float = GAP) -> bool:
    """Whether two rectangles [4, 2] come nearer than ``gap`` along every separating axis."""
    for corners in (a, b):
        for edge in (corners[1] - corners[0], corners[2] - corners[1]):
            axis = edge / math.hypot(edge[0], edge[1])
            p, q = a @ axis, b @ axis
            if p.min() > q.max() + gap or q.min() > p.max() + gap:
                return False
    return True


class Planner:
    """Places pieces one after another by rejection.

    Args:
        half: half width and half depth of the interior, metres, middle at the origin.
        openings: doors and windows to keep clear.
        rng: all randomness.
    """

    def __init__(
        self, half: tuple[float, float], openings: list[Opening], rng: np.random.Generator
    ):
        self.half, self.rng, self.stands = half, rng, list[Stand]()
        self._prints: list[np.ndarray] = []
        self._doors = [o.clearance(half, 0.75) for o in openings if o.kind == "door"]
        self._windows = [o.clearance(half, 0.5) for o in openings if o.kind == "window"]

    def furnish(self, kind: str, target: int) -> list[Stand]:
        """Fill the room up to ``target`` pieces where there is space."""
        always, pool = RECIPES[kind]
        extra = [pool[i] for i in self.rng.permutation(len(pool))]
        fill = [FILLERS[int(i)] for i in self.rng.integers(len(FILLERS), size=12)]
        for name in (*always, *extra, *fill):
            if len(self.stands) < target:
                self._add(name, target)
        return self.stands

    def _add(self, name: str, target: int) -> None:
        shape = BUILDERS[name](self.rng)
        place, bounds = self._free if name in FREE else self._at_wall, shape.bounds()
        for _ in range(_TRIES):
            stand = place(name, shape, bounds)
            if self._accept(stand):
                self._companions(stand, target)
                return

    def _accept(self, stand: Stand) -> bool:
        corners = stand.footprint()
        if (np.abs(corners) > np.array(self.half) - 0.5 * GAP).any():
            return False
        tall = stand.bounds[1, 2] > TALL and stand.name not in ("lamp", "plant")
        blockers = [*self._prints, *self._doors, *(self._windows if tall else [])]
        if any(overlap(corners, other) for other in blockers):
            return False
        self.stands.append(stand)
        self._prints.append(corners)
        return True

    def _at_wall(self, name: str, shape: Shape, bounds: np.ndarray) -> Stand:
        """Back to a random wall, anywhere along it, sometimes a little turned."""
        wall = int(self.rng.integers(4))
        yaw = (0.0, math.pi / 2, math.pi, -math.pi / 2)[wall]  # front away from -y, +x, +y, -x
        low, high = bounds
        along, away = (
            (self.half[0], self.half[1]) if wall % 2 == 0 else (self.half[1], self.half[0])
        )
        reach = max(along - (high[0] - low[0]) / 2 - 0.03, 0.0)
        slide = reach if self.rng.random() < 0.35 else float(self.rng.uniform(-reach, reach))
        slide *= 1 if self.rng.random() < 0.5 else -1
        slack = float(self.rng.uniform(0.02, 0.06))
        if name in ("armchair", "plant", "lamp"):
            yaw, slack = (
                yaw + float(self.rng.uniform(-0.35, 0.35)),
                float(self.rng.uniform(0.08, 0.3)),
            )
        back = away + low[1] - slack
        x, y = ((slide, -back), (back, slide), (slide, back), (-back, slide))[wall]
        return Stand(name, shape, bounds, x, y, yaw)

    def _free(self, name: str, shape: Shape, bounds: np.ndarray) -> Stand:
        spread = 0.45 if name == "table" else 0.8
        x, y = (float(self.rng.uniform(-1, 1)) * spread * h for h in self.half)
        turned = float(self.rng.normal(0, 0.12)) + math.pi / 2 * int(self.rng.integers(4))
        yaw = turned if name == "table" else float(self.rng.uniform(-3.1, 3.1))
        return Stand(name, shape, bounds, x, y, yaw)

    def _companions(self, parent: Stand, target: int) -> None:
        """Nightstands beside a bed, a chair at a desk, chairs around a table."""
        (x0, y0, _), (x1, y1, _) = parent.bounds
        if parent.name == "bed":
            places = [(side, "nightstand", 0.0) for side in ("left", "right")]
        elif parent.name == "desk":
            places = [("front", "chair", math.pi)]
        elif parent.name == "table":
            sides = (
                ("front", math.pi),
                ("back", 0.0),
                ("left", -math.pi / 2),
                ("right", math.pi / 2),
            )
            places = [(side, "chair", turn) for side, turn in sides]
        else:
            return
        shape = BUILDERS[places[0][1]](self.rng)
        bounds = shape.bounds()
        low, high = bounds
        for side, name, turn in places:
            if len(self.stands) >= target or self.rng.random() < 0.15:
                continue
            step = 0.04 + (high[1] if name == "chair" else high[0])
            at_head = y0 - low[1] + 0.02
            offset = {
                "front": (float(self.rng.uniform(-0.1, 0.1)), y1 + step),
                "back": (float(self.rng.uniform(-0.1, 0.1)), y0 - step),
                "left": (x0 - step, at_head if name == "nightstand" else 0.0),
                "right": (x1 + step, at_head if name == "nightstand" else 0.0),
            }[side]
            x, y = _beside(parent, offset)
            self._accept(Stand(name, shape, bounds, x, y, parent.yaw + turn))


def _beside(parent: Stand, offset: tuple[float, float]) -> tuple[float, float]:
    """World position of a point given in the parent's frame."""
    c, s = math.cos(parent.yaw), math.sin(parent.yaw)
    return parent.x + c * offset[0] - s * offset[1], parent.y + s * offset[0] + c * offset[1]
