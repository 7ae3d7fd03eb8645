"""Where the cameras look: boxes for captures that do not say what their region of interest is."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from maskfield.geometry.camera_paths import focus_point
from maskfield.geometry.cameras import Cameras
from maskfield.geometry.se3 import apply, move_poses, similarity
from maskfield.geometry.views import frustum_points, sees, turn_up_to_z

_FORWARD_FACING = 0.85  # length of the mean viewing direction above which all look one way


def focus_box(cameras: Cameras) -> Float[Tensor, "2 3"]:
    """The cube around what the cameras look at.

    Cameras that look at a common point: the largest ball about it that a median camera sees
    entirely. Others (looking outwards or all one way): the camera centres, enlarged on every side
    by their own largest extent.
    """
    point = focus_point(cameras)
    if float(sees(cameras, point).float().mean()) >= 0.7 and not forward_facing(cameras):
        return _cube(point, focus_radius(cameras, point))
    low, high = cameras.centres.amin(0), cameras.centres.amax(0)
    margin = (high - low).max().clamp_min(1e-3)
    return torch.stack([low - margin, high + margin])


def forward_facing(cameras: Cameras) -> bool:
    """All cameras look one way (within about 30 degrees)."""
    return float(cameras.forward_axes.mean(0).norm()) > _FORWARD_FACING


def focus_radius(cameras: Cameras, point: Float[Tensor, " 3"]) -> float:
    """Radius of the largest ball about ``point`` that a median camera sees entirely."""
    distance = (cameras.centres - point).norm(dim=-1).median()
    k = cameras.intrinsics.median(0).values
    tangent = torch.minimum(cameras.width / (2 * k[0]), cameras.height / (2 * k[1]))
    return float(distance * tangent / torch.sqrt(1 + tangent**2))


def bounds_box(
    cameras: Cameras, near: Float[Tensor, " camera"], far: Float[Tensor, " camera"]
) -> Float[Tensor, "2 3"]:
    """Region of cameras whose content lies between known depths.

    Looking at a common point: its cube, no larger than half the depth range. Facing one way: the
    frusta between ``near`` and the geometric mean of near and far, where half the content is.
    """
    point = focus_point(cameras)
    if not forward_facing(cameras) and float(sees(cameras, point).float().mean()) >= 0.7:
        return _cube(point, min(focus_radius(cameras, point), float((far - near).median()) / 2))
    depths = torch.stack([near.median(), (near.median() * far.median()).sqrt()])
    return percentile_box(frustum_points(cameras, depths).reshape(-1, 3), 0.02, margin=0.0)


def points_box(cameras: Cameras, points: Float[Tensor, "point 3"]) -> Float[Tensor, "2 3"]:
    """Region of triangulated points: those near the common focus, else all, without outliers."""
    if len(points) < 20:
        return focus_box(cameras)
    focus = focus_point(cameras)
    if not forward_facing(cameras) and float(sees(cameras, focus).float().mean()) >= 0.7:
        radius = 1.5 * focus_radius(cameras, focus)
        inside = points[(points - focus).norm(dim=-1) < radius]
        points = inside if len(inside) >= 20 else points
    return percentile_box(points, 0.02, margin=0.1)


def percentile_box(
    points: Float[Tensor, "point 3"], tail: float, margin: float
) -> Float[Tensor, "2 3"]:
    """Per axis from the ``tail`` to the 1 - ``tail`` quantile, enlarged by ``margin`` each side."""
    ordered = points.double().sort(dim=0).values
    last = len(points) - 1
    low, high = ordered[round(tail * last)], ordered[round((1 - tail) * last)]
    grow = (high - low) * margin + 1e-6 * (high - low).max().clamp_min(1e-6)
    return torch.stack([low - grow, high + grow]).float()


def upright(cameras: Cameras) -> Float[Tensor, "4 4"]:
    """The turn that brings the cameras' average up to +Z (a guess at gravity)."""
    turn = turn_up_to_z(cameras.camera_to_world)
    return similarity(1.0, turn.double(), torch.zeros(3, dtype=torch.float64))


def moved(matrix: Float[Tensor, "4 4"], cameras: Cameras) -> Cameras:
    """The cameras after the world was moved by a similarity."""
    poses = move_poses(matrix.double(), cameras.camera_to_world.double()).float()
    return replace(cameras, camera_to_world=poses)


def normalising(box: Float[Tensor, "2 3"]) -> Float[Tensor, "4 4"]:
    """The similarity that puts the box's centre at the origin and makes its longest side 2."""
    scale = 2.0 / float((box[1] - box[0]).max())
    return similarity(scale, torch.eye(3, dtype=torch.float64), -scale * box.double().mean(0))


def move_box(matrix: Float[Tensor, "4 4"], box: Float[Tensor, "2 3"]) -> Float[Tensor, "2 3"]:
    """A box after a similarity without rotation."""
    return apply(matrix.double(), box.double()).float()


def _cube(centre: Float[Tensor, " 3"], half: float) -> Float[Tensor, "2 3"]:
    return torch.stack([centre - half, centre + half])
