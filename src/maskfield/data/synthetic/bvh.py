"""A bounding-volume hierarchy walked without a stack.

Nodes lie in depth-first order and each knows where to go on a miss. One primitive per leaf, so a
subtree over n primitives has 2n - 1 nodes and that place is known beforehand.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from maskfield.data.synthetic.primitives import Record, reaches
from maskfield.data.synthetic.solids import FAR, Vec, entry

NODE = np.dtype(
    [
        ("low", np.float64, (3,)),
        ("high", np.float64, (3,)),
        ("leaf", np.int64),  # primitive, or -1
        ("escape", np.int64),  # next node after a miss
    ],
    align=True,
)
"""One node; a tree is an array of these records."""


def primitive_bounds(prims: np.ndarray) -> np.ndarray:
    """World bounding boxes [p, 2, 3] of primitives."""
    scaled = prims["axes"] * prims["half"][:, None]
    reach = reaches(prims["kind"], scaled, prims["taper"])
    return np.stack([prims["centre"] - reach, prims["centre"] + reach], axis=1)


def build_tree(prims: np.ndarray) -> np.ndarray:
    """Median split of the longest axis of the middles."""
    bounds, leaf, escape = _split(primitive_bounds(prims))
    tree = np.zeros(len(leaf), NODE)
    tree["low"], tree["high"], tree["leaf"], tree["escape"] = (
        bounds[:, 0],
        bounds[:, 1],
        leaf,
        escape,
    )
    return tree


@njit(cache=True)
def _split(boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    count = boxes.shape[0]
    middle = 0.5 * (boxes[:, 0] + boxes[:, 1])
    order = np.arange(count)
    nodes = 2 * count - 1
    bounds, leaf, escape = (
        np.empty((nodes, 2, 3)),
        np.empty(nodes, np.int64),
        np.empty(nodes, np.int64),
    )
    stack = np.empty((64, 2), np.int64)
    stack[0, 0], stack[0, 1], depth, node = 0, count, 1, 0
    while depth > 0:
        depth -= 1
        start, stop = stack[depth, 0], stack[depth, 1]
        for a in range(3):
            bounds[node, 0, a] = boxes[order[start:stop], 0, a].min()
            bounds[node, 1, a] = boxes[order[start:stop], 1, a].max()
        escape[node] = node + 2 * (stop - start) - 1
        leaf[node] = order[start] if stop - start == 1 else -1
        if stop - start > 1:
            axis = _longest(middle, order, start, stop)
            part = order[start:stop].copy()
            order[start:stop] = part[np.argsort(middle[part, axis], kind="mergesort")]
            half = (start + stop) // 2
            stack[depth, 0], stack[depth, 1] = half, stop
            stack[depth + 1, 0], stack[depth + 1, 1] = start, half
            depth += 2
        node += 1
    return bounds, leaf, escape


@njit(cache=True)
def _longest(middle: np.ndarray, order: np.ndarray, start: int, stop: int) -> int:
    best, axis = -1.0, 0
    for a in range(3):
        values = middle[order[start:stop], a]
        extent = values.max() - values.min()
        if extent > best:
            best, axis = extent, a
    return axis


@njit(cache=True)
def _meets(node: Record, o: Vec, inverse: Vec, limit: float) -> bool:
    enter, leave = 0.0, limit
    for a in range(3):
        first = (node.low[a] - o[a]) * inverse[a]
        second = (node.high[a] - o[a]) * inverse[a]
        enter = max(enter, min(first, second))
        leave = min(leave, max(first, second))
    return enter <= leave


@njit(cache=True)
def _inverse(d: Vec) -> Vec:
    """1 / d with tiny components kept finite, so that 0 * inf cannot arise."""
    x = d[0] if abs(d[0]) > 1e-12 else 1e-12
    y = d[1] if abs(d[1]) > 1e-12 else 1e-12
    z = d[2] if abs(d[2]) > 1e-12 else 1e-12
    return (1.0 / x, 1.0 / y, 1.0 / z)


@njit(cache=True)
def first_hit(prims: np.ndarray, tree: np.ndarray, o: Vec, d: Vec) -> tuple[int, float]:
    """The primitive a ray enters first and the distance; (-1, FAR) when it meets nothing."""
    inverse = _inverse(d)
    best, hit, node = FAR, -1, 0
    while node < tree.shape[0]:
        if not _meets(tree[node], o, inverse, best):
            node = tree[node].escape
            continue
        p = tree[node].leaf
        if p >= 0:
            t = entry(prims[p], o, d, 1e-6)
            if t < best:
                best, hit = t, p
        node += 1
    return hit, best


@njit(cache=True)
def blocked(prims: np.ndarray, tree: np.ndarray, o: Vec, d: Vec, distance: float) -> bool:
    """Whether anything that casts shadows lies on the ray before ``distance``."""
    inverse = _inverse(d)
    node = 0
    while node < tree.shape[0]:
        if not _meets(tree[node], o, inverse, distance):
            node = tree[node].escape
            continue
        p = tree[node].leaf
        if p >= 0:
            solid: Record = prims[p]
            if solid.shadow and entry(solid, o, d, 1e-6) < distance:
                return True
        node += 1
    return False
