"""Closed-form geometry of one primitive: entry of a ray, normal, signed distance, nearest point.

Short names: u = point in the unit solid's frame, h = half sizes, r(z) = frustum radius at height z.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from maskfield.data.synthetic.primitives import BOX, ELLIPSOID, LOFT, Record

FAR = 1e30
Vec = tuple[float, float, float]


@njit(cache=True)
def to_object(solid: Record, x: float, y: float, z: float) -> Vec:
    """A world vector in the object's frame (metres, not stretched)."""
    m = solid.axes
    return (
        m[0, 0] * x + m[1, 0] * y + m[2, 0] * z,
        m[0, 1] * x + m[1, 1] * y + m[2, 1] * z,
        m[0, 2] * x + m[1, 2] * y + m[2, 2] * z,
    )


@njit(cache=True)
def to_world(solid: Record, x: float, y: float, z: float) -> Vec:
    """An object-frame vector in the world frame."""
    m = solid.axes
    return (
        m[0, 0] * x + m[0, 1] * y + m[0, 2] * z,
        m[1, 0] * x + m[1, 1] * y + m[1, 2] * z,
        m[2, 0] * x + m[2, 1] * y + m[2, 2] * z,
    )


@njit(cache=True)
def entry(solid: Record, o: Vec, d: Vec, nearest: float) -> float:
    """Distance along the world ray where it enters the solid; FAR if never or starting inside."""
    c, h = solid.centre, solid.half
    ox, oy, oz = to_object(solid, o[0] - c[0], o[1] - c[1], o[2] - c[2])
    dx, dy, dz = to_object(solid, d[0], d[1], d[2])
    uo = (ox / h[0], oy / h[1], oz / h[2])
    ud = (dx / h[0], dy / h[1], dz / h[2])
    kind = solid.kind
    if kind == BOX:
        t = _enter_box(uo, ud)
    elif kind == ELLIPSOID:
        t = _enter_ball(uo, ud)
    elif kind == LOFT:
        t = _enter_loft(uo, ud, solid.taper, solid.top)
    else:
        t = _enter_frustum(uo, ud, solid.taper)
    return t if t > nearest else FAR


@njit(cache=True)
def _enter_box(o: Vec, d: Vec) -> float:
    enter, leave = -FAR, FAR
    for a in range(3):
        if abs(d[a]) < 1e-14:
            if abs(o[a]) > 1.0:
                return FAR
        else:
            first, second = (-1.0 - o[a]) / d[a], (1.0 - o[a]) / d[a]
            enter = max(enter, min(first, second))
            leave = min(leave, max(first, second))
    return enter if enter <= leave else FAR


@njit(cache=True)
def _enter_ball(o: Vec, d: Vec) -> float:
    a = d[0] * d[0] + d[1] * d[1] + d[2] * d[2]
    b = o[0] * d[0] + o[1] * d[1] + o[2] * d[2]
    c = o[0] * o[0] + o[1] * o[1] + o[2] * o[2] - 1.0
    disc = b * b - a * c
    return (-b - math.sqrt(disc)) / a if disc >= 0.0 else FAR


@njit(cache=True)
def _loft_plane(i: int, taper: float, top: np.ndarray) -> tuple[Vec, float]:
    """Face ``i`` of six as (n, c): inside is n . u <= c, in the unit solid's frame."""
    if i < 2:
        return (1.0 - 2.0 * i, 0.0, 0.5 * (1.0 - taper)), 0.5 * (1.0 + taper)
    if i == 2:
        return (0.0, 1.0, 0.5 * (1.0 - top[1])), 0.5 * (1.0 + top[1])
    if i == 3:
        return (0.0, -1.0, 0.5 * (1.0 + top[0])), 0.5 * (1.0 - top[0])
    return (0.0, 0.0, 9.0 - 2.0 * i), 1.0


@njit(cache=True)
def _enter_loft(o: Vec, d: Vec, taper: float, top: np.ndarray) -> float:
    enter, leave = -FAR, FAR
    for i in range(6):
        n, c = _loft_plane(i, taper, top)
        speed = n[0] * d[0] + n[1] * d[1] + n[2] * d[2]
        room = c - (n[0] * o[0] + n[1] * o[1] + n[2] * o[2])
        if abs(speed) < 1e-14:
            if room < 0.0:
                return FAR
        elif speed > 0.0:
            leave = min(leave, room / speed)
        else:
            enter = max(enter, room / speed)
    return enter if enter <= leave else FAR


@njit(cache=True)
def _loft_face(q: Vec, h: np.ndarray, taper: float, top: np.ndarray) -> tuple[float, Vec]:
    """Signed distance (object's frame, metres) to the face ``q`` is furthest out of; its normal."""
    best, facing = -FAR, (0.0, 0.0, 1.0)
    for i in range(6):
        n, c = _loft_plane(i, taper, top)
        a, b, e = n[0] / h[0], n[1] / h[1], n[2] / h[2]
        size = 1.0 / math.sqrt(a * a + b * b + e * e)
        distance = (a * q[0] + b * q[1] + e * q[2] - c) * size
        if distance > best:
            best, facing = distance, (a * size, b * size, e * size)
    return best, facing


@njit(cache=True)
def _enter_frustum(o: Vec, d: Vec, taper: float) -> float:
    """x^2 + y^2 = r(z)^2 with r(z) = (1 + taper)/2 + z (taper - 1)/2, and the two caps."""
    mean, slope = 0.5 * (1.0 + taper), 0.5 * (taper - 1.0)
    ro, rd = mean + slope * o[2], slope * d[2]
    a = d[0] * d[0] + d[1] * d[1] - rd * rd
    b = o[0] * d[0] + o[1] * d[1] - ro * rd
    c = o[0] * o[0] + o[1] * o[1] - ro * ro
    best = FAR
    disc = b * b - a * c
    if disc >= 0.0 and abs(a) > 1e-14:
        root = math.sqrt(disc)
        for sign in (-1.0, 1.0):
            t = (-b + sign * root) / a
            if abs(o[2] + t * d[2]) <= 1.0 and t < best:
                best = t
    if abs(d[2]) > 1e-14:
        for cap in (-1.0, 1.0):
            t = (cap - o[2]) / d[2]
            x, y, r = o[0] + t * d[0], o[1] + t * d[1], mean + slope * cap
            if x * x + y * y <= r * r and t < best:
                best = t
    return best


@njit(cache=True)
def normal(solid: Record, q: Vec) -> Vec:
    """Unit outward world normal at surface point ``q`` (object's frame, metres)."""
    h = solid.half
    u = (q[0] / h[0], q[1] / h[1], q[2] / h[2])
    if solid.kind == BOX:
        n = _box_normal(q, h)
    elif solid.kind == ELLIPSOID:
        n = (u[0] / h[0], u[1] / h[1], u[2] / h[2])
    elif solid.kind == LOFT:
        n = _loft_face(q, h, solid.taper, solid.top)[1]
    else:
        n = _frustum_normal(u, h, solid.taper)
    size = 1.0 / math.sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2] + 1e-300)
    return to_world(solid, n[0] * size, n[1] * size, n[2] * size)


@njit(cache=True)
def _box_normal(q: Vec, h: np.ndarray) -> Vec:
    a, b, c = abs(q[0]) - h[0], abs(q[1]) - h[1], abs(q[2]) - h[2]
    if a >= b and a >= c:
        return (math.copysign(1.0, q[0]), 0.0, 0.0)
    if b >= c:
        return (0.0, math.copysign(1.0, q[1]), 0.0)
    return (0.0, 0.0, math.copysign(1.0, q[2]))


@njit(cache=True)
def _frustum_normal(u: Vec, h: np.ndarray, taper: float) -> Vec:
    slope = 0.5 * (taper - 1.0)
    r = 0.5 * (1.0 + taper) + slope * u[2]
    side = math.sqrt(u[0] * u[0] + u[1] * u[1]) - r
    if abs(abs(u[2]) - 1.0) * h[2] < abs(side) * min(h[0], h[1]):
        return (0.0, 0.0, math.copysign(1.0, u[2]))
    return (u[0] / h[0], u[1] / h[1], -slope * r / h[2])


@njit(cache=True)
def signed_distance(solid: Record, x: float, y: float, z: float) -> float:
    """Metres to the surface, negative inside; exact for boxes, first order for round solids and
    near the edges of lofts.

    The point is in the object's frame.
    """
    h = solid.half
    if solid.kind == BOX:
        return outside(abs(x) - h[0], abs(y) - h[1], abs(z) - h[2])
    if solid.kind == LOFT:
        return _loft_face((x, y, z), h, solid.taper, solid.top)[0]
    u = (x / h[0], y / h[1], z / h[2])
    if solid.kind == ELLIPSOID:
        k = math.sqrt(u[0] * u[0] + u[1] * u[1] + u[2] * u[2])
        if k < 1e-9:
            return -min(h[0], min(h[1], h[2]))
        a, b, c = u[0] / h[0], u[1] / h[1], u[2] / h[2]
        return k * (k - 1.0) / math.sqrt(a * a + b * b + c * c)
    taper = solid.taper
    slope = 0.5 * (taper - 1.0)
    r = 0.5 * (1.0 + taper) + slope * min(1.0, max(-1.0, u[2]))
    radius = min(h[0], h[1])
    lean = 1.0 / math.sqrt(1.0 + (slope * radius / h[2]) ** 2)
    side = (math.sqrt(u[0] * u[0] + u[1] * u[1]) - r) * radius * lean
    return outside(side, abs(z) - h[2], -FAR)


@njit(cache=True)
def outside(a: float, b: float, c: float) -> float:
    """Distance to the common inside of three slabs given the signed distance to each."""
    inner = max(a, max(b, c))
    if inner <= 0.0:
        return inner
    a, b, c = max(a, 0.0), max(b, 0.0), max(c, 0.0)
    return math.sqrt(a * a + b * b + c * c)


@njit(cache=True)
def nearest_point(solid: Record, x: float, y: float, z: float) -> Vec:
    """Surface point near (x, y, z); both in the object's frame, metres."""
    h = solid.half
    if solid.kind == BOX:
        return _nearest_on_box(x, y, z, h)
    if solid.kind == LOFT:
        return _nearest_on_loft((x, y, z), h, solid.taper, solid.top)
    u = (x / h[0], y / h[1], z / h[2])
    if solid.kind == ELLIPSOID:
        k = math.sqrt(u[0] * u[0] + u[1] * u[1] + u[2] * u[2])
        return (x / k, y / k, z / k) if k > 1e-9 else (0.0, 0.0, h[2])
    return _nearest_on_frustum(u, h, solid.taper)


@njit(cache=True)
def _nearest_on_box(x: float, y: float, z: float, h: np.ndarray) -> Vec:
    a, b, c = abs(x) - h[0], abs(y) - h[1], abs(z) - h[2]
    if a <= 0.0 and b <= 0.0 and c <= 0.0:
        if a >= b and a >= c:
            return (math.copysign(h[0], x), y, z)
        if b >= c:
            return (x, math.copysign(h[1], y), z)
        return (x, y, math.copysign(h[2], z))
    return (
        min(h[0], max(-h[0], x)),
        min(h[1], max(-h[1], y)),
        min(h[2], max(-h[2], z)),
    )


@njit(cache=True)
def _nearest_on_loft(q: Vec, h: np.ndarray, taper: float, top: np.ndarray) -> Vec:
    """From inside straight to the nearest face; from outside by projecting on face after face."""
    for _ in range(128):
        d, n = _loft_face(q, h, taper, top)
        q = (q[0] - d * n[0], q[1] - d * n[1], q[2] - d * n[2])
        if d <= 1e-12:
            break
    return q


@njit(cache=True)
def _nearest_on_frustum(u: Vec, h: np.ndarray, taper: float) -> Vec:
    top = min(1.0, max(-1.0, u[2]))
    r = 0.5 * (1.0 + taper) + 0.5 * (taper - 1.0) * top
    rad = math.sqrt(u[0] * u[0] + u[1] * u[1])
    side, cap = (rad - r) * min(h[0], h[1]), (abs(u[2]) - 1.0) * h[2]
    if side >= cap or rad > r:
        k = r / max(rad, 1e-9)
        return (u[0] * k * h[0], u[1] * k * h[1], top * h[2])
    return (u[0] * h[0], u[1] * h[1], math.copysign(h[2], u[2]))
