"""Rigid motions and similarities as matrices.

A rigid motion is [R | t], shape [*n, 3, 4]; a similarity is a [4, 4] matrix s·[R | t]. A twist is
(v, w): translational part first, w = axis · angle in radians. Every function is differentiable,
also at the identity.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

_SMALL = 1e-4  # below this angle series are used; their error is under 1e-16 relative


def hat(w: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3 3"]:
    """The matrix of the cross product w × ."""
    x, y, z = w.unbind(-1)
    o = torch.zeros_like(x)
    return torch.stack([o, -z, y, z, o, -x, -y, x, o], dim=-1).unflatten(-1, (3, 3))


def rotation_exp(w: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3 3"]:
    """Rotation by |w| radians about w (Rodrigues)."""
    a, b, _ = _series(w)
    k = hat(w)
    return torch.eye(3, dtype=w.dtype, device=w.device) + a * k + b * (k @ k)


def rotation_log(rotation: Float[Tensor, "*n 3 3"]) -> Float[Tensor, "*n 3"]:
    """Axis · angle of a rotation, |result| in [0, pi]; inverse of :func:`rotation_exp`."""
    q = quaternion_from_rotation(rotation)
    w, v = q[..., :1], q[..., 1:]
    square = (v * v).sum(-1, keepdim=True)
    small = square < _SMALL**2
    norm = torch.where(small, torch.ones_like(square), square).sqrt()
    ratio = torch.where(small, 2 / w * (1 - square / (3 * w * w)), 2 * torch.atan2(norm, w) / norm)
    return ratio * v


def exp(twist: Float[Tensor, "*n 6"]) -> Float[Tensor, "*n 3 4"]:
    """Rigid motion of a twist (v, w): the exponential map of SE(3)."""
    v, w = twist[..., :3], twist[..., 3:]
    _, b, c = _series(w)
    k = hat(w)
    eye = torch.eye(3, dtype=w.dtype, device=w.device)
    left = eye + b * k + c * (k @ k)
    return torch.cat([rotation_exp(w), (left @ v[..., None])], dim=-1)


def log(motion: Float[Tensor, "*n 3 4"]) -> Float[Tensor, "*n 6"]:
    """Twist of a rigid motion; inverse of :func:`exp` for angles below pi."""
    w = rotation_log(motion[..., :3])
    _, b, c = _series(w)
    k = hat(w)
    left = torch.eye(3, dtype=w.dtype, device=w.device) + b * k + c * (k @ k)
    v = torch.linalg.solve(left, motion[..., 3:])[..., 0]
    return torch.cat([v, w], dim=-1)


def compose(a: Float[Tensor, "*n 3 4"], b: Float[Tensor, "*m 3 4"]) -> Float[Tensor, "*k 3 4"]:
    """The motion that does ``b`` first, then ``a``."""
    rotation = a[..., :3] @ b[..., :3]
    return torch.cat([rotation, a[..., :3] @ b[..., 3:] + a[..., 3:]], dim=-1)


def inverse(motion: Float[Tensor, "*n 3 4"]) -> Float[Tensor, "*n 3 4"]:
    """The inverse of a rigid motion."""
    rotation = motion[..., :3].transpose(-1, -2)
    return torch.cat([rotation, -rotation @ motion[..., 3:]], dim=-1)


def apply(motion: Float[Tensor, "*n r 4"], points: Float[Tensor, "*m 3"]) -> Float[Tensor, "*k 3"]:
    """Move points by a motion or a similarity (3 x 4, or 4 x 4 with last row 0 0 0 1)."""
    return (motion[..., :3, :3] @ points[..., None])[..., 0] + motion[..., :3, 3]


def interpolate(
    a: Float[Tensor, "*n 3 4"], b: Float[Tensor, "*n 3 4"], t: Float[Tensor, "*n"] | float
) -> Float[Tensor, "*n 3 4"]:
    """Between two motions: rotation along the geodesic, translation along the line; t in [0, 1]."""
    t = torch.as_tensor(t, dtype=a.dtype, device=a.device)[..., None]
    turn = rotation_log(a[..., :3].transpose(-1, -2) @ b[..., :3])
    rotation = a[..., :3] @ rotation_exp(t * turn)
    translation = (1 - t) * a[..., 3] + t * b[..., 3]
    return torch.cat([rotation, translation[..., None]], dim=-1)


def rotation_angle(
    a: Float[Tensor, "*n r1 c1"], b: Float[Tensor, "*m r2 c2"]
) -> Float[Tensor, "*k"]:
    """Angle in radians, [0, pi], between the rotations of two motions (or of two rotations)."""
    return rotation_log(a[..., :3, :3].transpose(-1, -2) @ b[..., :3, :3]).norm(dim=-1)


def nearest_rotation(matrix: Float[Tensor, "*n 3 3"]) -> Float[Tensor, "*n 3 3"]:
    """The rotation (det +1) nearest to a matrix in the Frobenius norm, by SVD."""
    u, _, vh = torch.linalg.svd(matrix)
    sign = torch.det(u @ vh)
    last = torch.cat([vh[..., :2, :], vh[..., 2:, :] * sign[..., None, None]], dim=-2)
    return u @ last


def rotation_from_quaternion(q: Float[Tensor, "*n 4"]) -> Float[Tensor, "*n 3 3"]:
    """Rotation of a quaternion (w, x, y, z) of any non-zero norm."""
    w, x, y, z = (q / q.norm(dim=-1, keepdim=True)).unbind(-1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def quaternion_from_rotation(rotation: Float[Tensor, "*n 3 3"]) -> Float[Tensor, "*n 4"]:
    """Unit quaternion (w, x, y, z), w >= 0; the largest component is computed first (stable)."""
    m = rotation
    xx, yy, zz = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    one = torch.ones_like(xx)
    yz, zx, xy = (m[..., i, j] - m[..., j, i] for i, j in ((2, 1), (0, 2), (1, 0)))
    sx, sy, sz = (m[..., i, j] + m[..., j, i] for i, j in ((2, 1), (0, 2), (1, 0)))
    candidates = torch.stack(
        [
            torch.stack([one + xx + yy + zz, yz, zx, xy], dim=-1),
            torch.stack([yz, one + xx - yy - zz, sz, sy], dim=-1),
            torch.stack([zx, sz, one - xx + yy - zz, sx], dim=-1),
            torch.stack([xy, sy, sx, one - xx - yy + zz], dim=-1),
        ],
        dim=-2,
    )
    best = candidates.diagonal(dim1=-2, dim2=-1).argmax(dim=-1)
    index = best[..., None, None].expand(*best.shape, 1, 4)
    q = candidates.gather(-2, index)[..., 0, :]
    q = q / q.norm(dim=-1, keepdim=True)
    return torch.where(q[..., :1] < 0, -q, q)


def rotation_between(
    source: Float[Tensor, " 3"], target: Float[Tensor, " 3"]
) -> Float[Tensor, "3 3"]:
    """The smallest rotation that turns one direction into another."""
    a, b = source / source.norm(), target / target.norm()
    axis = torch.linalg.cross(a, b)
    sine, cosine = axis.norm(), (a * b).sum()
    if sine < 1e-9:
        if cosine > 0:
            return torch.eye(3, dtype=a.dtype, device=a.device)
        helper = torch.eye(3, dtype=a.dtype, device=a.device)[int(a.abs().argmin())]
        axis = torch.linalg.cross(a, helper)
        return rotation_exp(axis / axis.norm() * torch.pi)
    return rotation_exp(axis / sine * torch.atan2(sine, cosine))


def similarity(
    scale: float, rotation: Float[Tensor, "3 3"], translation: Float[Tensor, " 3"]
) -> Float[Tensor, "4 4"]:
    """The matrix of x -> scale · R x + translation."""
    matrix = torch.eye(4, dtype=rotation.dtype, device=rotation.device)
    matrix[:3, :3] = scale * rotation
    matrix[:3, 3] = translation
    return matrix


def similarity_scale(matrix: Float[Tensor, "4 4"]) -> float:
    """The scale of a similarity: the cube root of its determinant."""
    return float(torch.linalg.det(matrix[:3, :3].double()).abs() ** (1 / 3))


def move_poses(
    matrix: Float[Tensor, "4 4"], camera_to_world: Float[Tensor, "camera 3 4"]
) -> Float[Tensor, "camera 3 4"]:
    """Camera-to-world poses after the world was moved by a similarity; rotations stay rotations."""
    rotation = matrix[:3, :3] / similarity_scale(matrix)
    centres = apply(matrix, camera_to_world[:, :, 3])
    return torch.cat([rotation @ camera_to_world[:, :, :3], centres[:, :, None]], dim=-1)


def _series(w: Float[Tensor, "*n 3"]) -> tuple[Tensor, Tensor, Tensor]:
    """sin(θ)/θ, (1 - cos θ)/θ², (θ - sin θ)/θ³ of θ = |w|, each [*n, 1, 1]."""
    square = (w * w).sum(-1)[..., None, None]
    small = square < _SMALL
    safe = torch.where(small, torch.ones_like(square), square)
    theta = safe.sqrt()
    sine, cosine = torch.sin(theta), torch.cos(theta)
    near = (
        1 - square / 6 * (1 - square / 20 * (1 - square / 42)),
        0.5 - square / 24 * (1 - square / 30 * (1 - square / 56)),
        1 / 6 - square / 120 * (1 - square / 42 * (1 - square / 72)),
    )
    far = (sine / theta, (1 - cosine) / safe, (theta - sine) / (safe * theta))
    return tuple(torch.where(small, n, f) for n, f in zip(near, far, strict=True))  # type: ignore[return-value]
