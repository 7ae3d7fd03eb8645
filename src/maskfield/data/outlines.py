"""The outline of a mask and the ellipse through it, as OpenCV's contour and fitEllipse give them.

Written from the published algorithms: border following on the pixel lattice (Moore neighbourhood),
and an algebraic fit whose scale is found anew about the centre of the first fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.ndimage import label

from maskfield.core.errors import DataError

_AROUND = ((0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1))  # row, column
_WEST = 4
_LEAST_POINTS = 5  # a conic has five parameters


@dataclass(frozen=True, kw_only=True)
class Ellipse:
    """``centre`` x, y in pixels (index = position); whole lengths of the two axes, minor first."""

    centre: tuple[float, float]
    minor: float
    major: float


def outline_corners(mask: Bool[np.ndarray, "h w"]) -> Int[np.ndarray, "corner 2"]:
    """x, y of the pixels where the outer border of the largest connected part turns.

    Raises:
        DataError: the mask is empty.
    """
    labelled: Any = label(mask, np.ones((3, 3)))  # its stubs say a number
    parts, count = labelled
    if count == 0:
        raise DataError("the mask is empty", field="mask", remedy="mark the object in the mask")
    largest = int(np.bincount(parts.ravel())[1:].argmax()) + 1
    path = _border(np.pad(parts == largest, 1)) - 1
    ahead = np.roll(path, -1, axis=0) - path
    turns = (ahead != np.roll(ahead, 1, axis=0)).any(1)
    return (path[turns] if len(path) > 1 else path)[:, ::-1]


def fit_ellipse(points: Int[np.ndarray, "point 2"] | Float[np.ndarray, "point 2"]) -> Ellipse:
    """The ellipse through points, least squares.

    Raises:
        DataError: fewer than five points, or they do not lie round an ellipse.
    """
    if len(points) < _LEAST_POINTS:
        raise _no_ellipse(len(points))
    middle = points.mean(0)
    scale = 100 / max(float(np.abs(points - middle).sum()), 1e-9)
    x, y = ((points - middle) * scale).T
    a, b, c, d, e = _solve([-x * x, -y * y, -x * y, x, y])
    try:
        centre = np.linalg.solve([[2 * a, c], [c, 2 * b]], [d, e])
    except np.linalg.LinAlgError as error:
        raise _no_ellipse(len(points)) from error
    x, y = x - centre[0], y - centre[1]
    a, b, c = _solve([x * x, y * y, x * y])
    curvature = np.linalg.eigvalsh([[a, c / 2], [c / 2, b]])
    if not (np.isfinite(curvature).all() and curvature[0] > 0):
        raise _no_ellipse(len(points))
    major, minor = 2 / np.sqrt(curvature) / scale
    at = centre / scale + middle
    return Ellipse(centre=(float(at[0]), float(at[1])), minor=float(minor), major=float(major))


def _border(part: Bool[np.ndarray, "h w"]) -> Int[np.ndarray, "pixel 2"]:
    """Row, column of the border pixels in order; ``part`` is one piece with a free margin."""
    rows, columns = np.nonzero(part)
    start = here = (int(rows[0]), int(columns[0]))
    path, came = [start], _WEST
    second: tuple[int, int] | None = None
    while True:
        step = _next(part, here, came)
        if step is None:  # a single pixel
            return np.array(path)
        there = (here[0] + _AROUND[step][0], here[1] + _AROUND[step][1])
        if here == start and there == second:
            return np.array(path[:-1])
        second = second or there
        path.append(there)
        here, came = there, (step + 4) % 8


def _next(part: np.ndarray, here: tuple[int, int], came: int) -> int | None:
    """The first direction with a pixel, clockwise from the one after ``came``."""
    for turn in range(1, 9):
        step = (came + turn) % 8
        if part[here[0] + _AROUND[step][0], here[1] + _AROUND[step][1]]:
            return step
    return None


def _solve(columns: list[np.ndarray]) -> np.ndarray:
    """Least squares of ``sum(coefficient * column) = 1``; refuses points of a line."""
    values = np.stack(columns, axis=1)
    found, _, rank, _ = np.linalg.lstsq(values, np.ones(len(values)), rcond=1e-9)
    if rank < len(columns):
        raise _no_ellipse(len(values))
    return found


def _no_ellipse(points: int) -> DataError:
    return DataError(
        "no ellipse fits the outline of the mask",
        field="mask",
        value=f"{points} corners",
        remedy="mark the whole object; a few pixels or a thin line have no ellipse",
    )
