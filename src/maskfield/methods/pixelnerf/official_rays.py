"""Rays and poses in the official code's conventions (spec pixelnerf 3).

Officially a camera has OpenGL axes (y up, z backward) and pixel (x, y) is the image point (x, y);
in the house it has OpenCV axes and the point is (x + 0.5, y + 0.5).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from maskfield.core.errors import DataError
from maskfield.geometry.camera_paths import look_at, spherical
from maskfield.geometry.cameras import Cameras, opencv_from_opengl, opengl_from_opencv

HALF_PIXEL = 0.5
_Y_UP = ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, -1.0, 0.0))  # (x, y, z) -> (x, z, -y)


def official_cameras(
    poses: Float[Tensor, "camera r 4"],
    width: int,
    height: int,
    focal: Float[Tensor, "*f"] | float,
    centre: Float[Tensor, "*c"] | None = None,
) -> Cameras:
    """House cameras whose rays are the official ones.

    Args:
        poses: camera-to-world, OpenGL axes.
        focal: one number, or (fx, fy); leading axes of size 1 are dropped.
        centre: principal point, likewise; None: (width / 2, height / 2).

    Raises:
        DataError: a focal length or a principal point of another shape.
    """
    fx, fy = _pair(focal, "focal")
    cx, cy = (width / 2, height / 2) if centre is None else _pair(centre, "centre")
    lens = poses.new_tensor([fx, fy, cx + HALF_PIXEL, cy + HALF_PIXEL])
    return Cameras(
        camera_to_world=opencv_from_opengl(poses[:, :3]),
        intrinsics=lens.expand(len(poses), 4).clone(),
        width=width,
        height=height,
    )


def ray_rows(cameras: Cameras, near: float, far: float) -> Float[Tensor, "camera h w 8"]:
    """Origin, unit direction, near and far of every pixel of every camera."""
    images = []
    for index in range(len(cameras)):
        rays = cameras.image_rays(index, near, far)
        limits = torch.stack([rays.near, rays.far], dim=1)
        images.append(torch.cat([rays.origins, rays.directions, limits], dim=1))
    return torch.stack(images).reshape(len(cameras), cameras.height, cameras.width, 8)


def pose_spherical(
    theta: Float[Tensor, " camera"], phi: Float[Tensor, " camera"], radius: Float[Tensor, " camera"]
) -> Float[Tensor, "camera 4 4"]:
    """Official poses round the origin; angles in degrees, negative ``phi`` is above."""
    return homogeneous(opengl_from_opencv(spherical(theta, -phi, radius)))


def pose_look_at(
    origin: Float[Tensor, "camera 3"], target: Float[Tensor, "camera 3"]
) -> Float[Tensor, "camera 4 4"]:
    """Official poses of cameras that look at a point, in a Y-up world."""
    return homogeneous(opengl_from_opencv(look_at(origin, target, (0.0, 1.0, 0.0))))


def from_blender() -> Float[Tensor, "4 4"]:
    """Z-up to Y-up: (x, y, z) -> (x, z, -y). Its inverse is :func:`to_blender`."""
    matrix = torch.eye(4)
    matrix[:3, :3] = torch.tensor(_Y_UP)
    return matrix


def to_blender() -> Float[Tensor, "4 4"]:
    """Y-up to Z-up: (x, y, z) -> (x, -z, y)."""
    return from_blender().T.contiguous()


def homogeneous(poses: Float[Tensor, "camera 3 4"]) -> Float[Tensor, "camera 4 4"]:
    """Poses with their last row."""
    last = poses.new_tensor([0.0, 0.0, 0.0, 1.0]).expand(len(poses), 1, 4)
    return torch.cat([poses, last], dim=1)


def _pair(value: Float[Tensor, "*n"] | float, name: str) -> tuple[float, float]:
    """One number for both axes, or two."""
    numbers = torch.as_tensor(value, dtype=torch.float64)
    if numbers.numel() not in (1, 2) or (numbers.ndim and numbers.shape[-1] != numbers.numel()):
        raise DataError(
            "one number for both axes, or two, are needed",
            field=name,
            value=tuple(numbers.shape),
            remedy="give a number, or a tensor of shape (2,) or (1, 2)",
        )
    first, *rest = numbers.reshape(-1).tolist()
    return first, rest[0] if rest else first
