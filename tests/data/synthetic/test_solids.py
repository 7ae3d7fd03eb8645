from __future__ import annotations

import numpy as np
import pytest

from maskfield.data.synthetic.bvh import blocked, first_hit, primitive_bounds
from maskfield.data.synthetic.palette import paint
from maskfield.data.synthetic.primitives import Placed, Shape, assemble
from maskfield.data.synthetic.solids import (
    FAR,
    entry,
    nearest_point,
    normal,
    signed_distance,
    to_object,
)

PAINT = paint(np.random.default_rng(0))


def solids():
    """A turned box, a tilted ellipsoid, a frustum and a loft, in one array."""
    shape = Shape()
    shape.block((0.3, -0.2, 0.1), (0.8, 0.4, 0.6), PAINT, yaw=0.6)
    shape.ball((-0.6, 0.4, 0.5), (0.3, 0.5, 0.2), PAINT, yaw=0.4, pitch=0.5)
    shape.tube((0.7, 0.7, 0.0), (0.3, 0.3), 0.9, PAINT, taper=0.4)
    shape.loft((-0.5, -0.6, 0.0), (0.5, 1.1, 0.4), PAINT, taper=0.7, top=(-0.8, 0.1))
    return assemble([Placed("table", shape, (0.2, 0.1, -0.3), 0.7, 5, 1)])


def inside(prims, points):
    """[p, n] membership from the definition, not from the code under test."""
    out = []
    for p in prims:
        u = (points - p["centre"]) @ p["axes"] / p["half"]
        radius = 0.5 * (1 + p["taper"]) + 0.5 * (p["taper"] - 1) * u[:, 2]
        width = 0.5 * (1 + p["taper"]) + 0.5 * (p["taper"] - 1) * u[:, 2]
        back = -1 + 0.5 * (u[:, 2] + 1) * (p["top"][0] + 1)
        front = 1 + 0.5 * (u[:, 2] + 1) * (p["top"][1] - 1)
        out.append(
            [
                (np.abs(u) <= 1).all(1),
                (u**2).sum(1) <= 1,
                (np.abs(u[:, 2]) <= 1) & (np.hypot(u[:, 0], u[:, 1]) <= radius),
                (np.abs(u[:, 2]) <= 1)
                & (np.abs(u[:, 0]) <= width)
                & (u[:, 1] >= back)
                & (u[:, 1] <= front),
            ][p["kind"]]
        )
    return np.array(out)


def random_rays(count, seed=0):
    rng = np.random.default_rng(seed)
    origins = rng.normal(size=(count, 3))
    origins *= 4 / np.linalg.norm(origins, axis=1, keepdims=True)
    directions = rng.uniform(-0.8, 0.8, (count, 3)) - origins
    return origins, directions / np.linalg.norm(directions, axis=1, keepdims=True)


def test_entry_agrees_with_marching_through_the_definition():
    prims = solids()
    t = np.linspace(0, 7, 14001)
    for o, d in zip(*random_rays(60), strict=True):
        member = inside(prims, o + t[:, None] * d)
        for p in range(len(prims)):
            got = entry(prims[p], tuple(o), tuple(d), 1e-6)
            if member[p].any():
                assert got == pytest.approx(t[member[p].argmax()], abs=1.1e-3)
            else:
                assert got == FAR or not member[p].any()


def test_a_ball_is_entered_where_algebra_says():
    shape = Shape()
    shape.ball((0, 0, 0), (0.5, 0.5, 0.5), PAINT)
    ball = assemble([Placed("table", shape, (0, 0, 0), 0.3, 5, 1)])[0]
    assert entry(ball, (2.0, 0.3, 0.0), (-1.0, 0.0, 0.0), 0.0) == pytest.approx(2 - 0.4, abs=1e-12)
    assert entry(ball, (0.0, 0.0, 0.0), (1.0, 0.0, 0.0), 0.0) == FAR  # it starts inside


def test_first_hit_is_the_nearest_of_all_entries(rooms):
    prims, tree = rooms[0].prims, rooms[0].tree
    origins, directions = random_rays(200, seed=1)
    origins = origins * 0.3 + (0, 0, 1.3)
    for o, d in zip(origins, directions, strict=True):
        o, d = tuple(o), tuple(d)
        every = [entry(p, o, d, 1e-6) for p in prims]
        hit, t = first_hit(prims, tree, o, d)
        assert t == min(every)
        assert hit < 0 or every[hit] == t


def test_blocked_ignores_what_casts_no_shadow():
    shape = Shape()
    shape.ball((0, 0, 0), (0.5, 0.5, 0.5), PAINT._replace(shadow=False))
    shape.ball((3, 0, 0), (0.5, 0.5, 0.5), PAINT)
    prims = assemble([Placed("table", shape, (0, 0, 0), 0.0, 5, 1)])
    from maskfield.data.synthetic.bvh import build_tree

    tree = build_tree(prims)
    o, d = (-2.0, 0.0, 0.0), (1.0, 0.0, 0.0)
    assert not blocked(prims, tree, o, d, 4.0)
    assert blocked(prims, tree, o, d, 5.0)


def test_bounds_contain_and_touch():
    prims = solids()
    boxes = primitive_bounds(prims)
    points = np.random.default_rng(0).uniform(-2, 2, (400_000, 3))
    member = inside(prims, points)
    for box, mine in zip(boxes, member, strict=True):
        found = points[mine]
        assert (found >= box[0]).all()
        assert (found <= box[1]).all()
        assert np.abs(found.min(0) - box[0]).max() < 0.08
        assert np.abs(found.max(0) - box[1]).max() < 0.08


def test_signed_distance_has_the_right_sign_and_nearest_points_lie_on_the_surface():
    prims = solids()
    points = np.random.default_rng(2).uniform(-1.2, 1.2, (500, 3))
    member = inside(prims, points)
    for p, solid in enumerate(prims):
        for x, within in zip(points, member[p], strict=True):
            q = to_object(solid, *(x - solid["centre"]))
            sd = signed_distance(solid, *q)
            assert (sd <= 1e-9) == within
            s = nearest_point(solid, *q)
            assert abs(signed_distance(solid, *s)) < 1e-6
            if solid["kind"] == 0:
                assert np.linalg.norm(np.subtract(q, s)) == pytest.approx(abs(sd), abs=1e-9)


def test_normals_point_outwards_and_have_unit_length():
    prims = solids()
    for o, d in zip(*random_rays(100, seed=3), strict=True):
        for solid in prims:
            t = entry(solid, tuple(o), tuple(d), 1e-6)
            if t == FAR:
                continue
            q = to_object(solid, *(o + t * d - solid["centre"]))
            n = np.array(normal(solid, q))
            assert np.linalg.norm(n) == pytest.approx(1, abs=1e-9)
            assert n @ d < 1e-6
