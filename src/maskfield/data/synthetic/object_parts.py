"""Parts of vehicles: lofted slices, wheels on axles, cabins with windows."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from maskfield.data.synthetic.object_paint import CHROME, RUBBER, TRIM, bright, flat
from maskfield.data.synthetic.primitives import FRUSTUM, Material, Shape, Solid

Pair = tuple[float, float]
_ACROSS = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])  # object z lies along x
_THIN = 0.03  # metres below which a pane is left out


def prism(
    shape: Shape, material: Material, z: Pair, low: Pair, high: Pair, width: Pair | float
) -> None:
    """A slanting slice between two heights.

    Args:
        z: bottom and top. width: at both, or at the bottom and, not larger, at the top.
        low, high: y of the back and front ends at the bottom and at the top; ``high`` within.
    """
    middle, half = 0.5 * (low[0] + low[1]), 0.5 * (low[1] - low[0])
    top = ((high[0] - middle) / half, (high[1] - middle) / half)
    below, above = width if isinstance(width, tuple) else (width, width)
    size = (below, 2 * half, z[1] - z[0])
    shape.loft((0.0, middle, z[0]), size, material, above / below, top)


def axle(
    shape: Shape, centre: tuple[float, float, float], radius: float, width: float, paint: Material
) -> None:
    """A cylinder lying across (along x)."""
    shape.solids.append(Solid(FRUSTUM, centre, (radius, radius, width / 2), _ACROSS, 1.0, paint))


def wheels(
    shape: Shape, rng: np.random.Generator, places: tuple[float, ...], track: float, radius: float
) -> None:
    """A pair of wheels at every y of ``places``; ``track`` = x of the body's sides."""
    rim = CHROME if rng.random() < 0.75 else flat(bright(rng))
    share, width = float(rng.uniform(0.55, 0.72)), 0.24
    for y in places:
        for side in (-1.0, 1.0):
            hub = (side * (track - width / 2), y, radius)
            arch = (hub[0], y, 1.07 * radius)  # a dark ring that reaches no lower than the wheel
            axle(shape, arch, 1.07 * radius, width + 0.01, TRIM)
            axle(shape, hub, radius, width + 0.05, RUBBER)
            axle(shape, hub, radius * share, width + 0.07, rim)
            axle(shape, hub, radius * share * 0.3, width + 0.09, TRIM)


class Cabin(NamedTuple):
    """A greenhouse: slanting from the sills to the roof.

    Attributes:
        z: of sills and roof. width: at the sills. taper: width of the roof over that.
        low, high: y of the back and front ends at the sills and at the roof.
    """

    z: Pair
    width: float
    taper: float
    low: Pair
    high: Pair

    def ends(self, share: float) -> Pair:
        """y of the back and front ends at a share of the height."""
        return (
            self.low[0] + share * (self.high[0] - self.low[0]),
            self.low[1] + share * (self.high[1] - self.low[1]),
        )

    def slice(
        self,
        shape: Shape,
        paint: Material,
        shares: Pair,
        wider: float,
        back: float | None = None,
        front: float | None = None,
        inset: Pair = (0.0, 0.0),
    ) -> None:
        """A slice of the cabin between two shares of its height.

        Args:
            wider: metres added to the width.
            back, front: y where the slice ends; None: the cabin's own slanting end, less ``inset``.
        """
        (b0, f0), (b1, f1) = self.ends(shares[0]), self.ends(shares[1])
        b0, b1 = (
            (b0 + inset[0], b1 + inset[0]) if back is None else (back, max(back, b1 + inset[0]))
        )
        f0, f1 = (
            (f0 - inset[1], f1 - inset[1]) if front is None else (front, min(front, f1 - inset[1]))
        )
        if min(f0 - b0, f1 - b1) < _THIN:
            return
        height = [self.z[0] + s * (self.z[1] - self.z[0]) for s in shares]
        width = [self.width * (1 + s * (self.taper - 1)) + wider for s in shares]
        prism(shape, paint, (height[0], height[1]), (b0, f0), (b1, f1), (width[0], width[1]))

    def build(
        self, shape: Shape, body: Material, roof: Material, pane: Material, posts: tuple[float, ...]
    ) -> None:
        """Painted frame and roof with panes all around; ``posts`` = y of the posts of the sides."""
        self.slice(shape, body, (0.0, 0.97), 0.0)
        self.slice(shape, roof, (0.93, 1.02), 0.012, inset=(-0.01, -0.01))
        across = -0.22 * self.width
        self.slice(shape, pane, (0.06, 0.9), across, inset=(-0.012, -0.012))
        edges = (None, *sorted(posts), None)
        for back, front in pairwise(edges):
            start = None if back is None else back + 0.035
            stop = None if front is None else front - 0.035
            self.slice(shape, pane, (0.07, 0.88), 0.03, start, stop, inset=(0.12, 0.1))
