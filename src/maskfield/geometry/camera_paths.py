"""Cameras for pictures and films: overview, orbit, turn-table, spiral, a tour of given cameras."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from scipy.interpolate import CubicSpline
from scipy.spatial.transform import Rotation, RotationSpline
from torch import Tensor

from maskfield.geometry.cameras import Cameras, opencv_from_opengl
from maskfield.geometry.se3 import rotation_from_quaternion
from maskfield.geometry.views import mean_up

_UP = (0.0, 0.0, 1.0)
_TOUR_KEYS = 12  # more key poses make a film of scattered photographs shake
# pixelNeRF's film of DTU tables (spec pixelnerf 8.4): turns (w, x, y, z) and when they are reached
_DTU_TURNS = (
    (0.9698, 0.2121, 0.1203, -0.0039),
    (0.7020, 0.1578, 0.4525, 0.5268),
    (0.6766, 0.3176, 0.5179, 0.4161),
    (0.9085, 0.4020, 0.1139, -0.0025),
    (0.9698, 0.2121, 0.1203, -0.0039),
)
_DTU_TIMES = (0.0, 2.0, 3.0, 5.0, 6.0)


def look_at(
    eye: Float[Tensor, "camera 3"],
    target: Float[Tensor, "camera 3"],
    up: tuple[float, float, float] = _UP,
) -> Float[Tensor, "camera 3 4"]:
    """OpenCV camera-to-world poses at ``eye`` looking at ``target``, not along ``up``."""
    forward = torch.nn.functional.normalize(target - eye, dim=-1)
    right = torch.nn.functional.normalize(
        torch.linalg.cross(forward, forward.new_tensor(up).expand_as(forward)), dim=-1
    )
    down = torch.linalg.cross(forward, right)
    return torch.stack([right, down, forward, eye], dim=-1)


def spherical(
    azimuth_degrees: Float[Tensor, " camera"],
    elevation_degrees: Float[Tensor, " camera"],
    radius: Float[Tensor, " camera"],
) -> Float[Tensor, "camera 3 4"]:
    """OpenCV camera-to-world poses on spheres about the origin, looking at it.

    Azimuth runs from +Y to +X; elevation is positive above the ground. At the poles, and beyond,
    the image stays upright with respect to the azimuth.
    """
    a, e = torch.deg2rad(azimuth_degrees), torch.deg2rad(elevation_degrees)
    zero = torch.zeros_like(a)
    outward = torch.stack([a.sin() * e.cos(), a.cos() * e.cos(), e.sin()], dim=-1)
    right = torch.stack([-a.cos(), a.sin(), zero], dim=-1)
    down = torch.stack([a.sin() * e.sin(), a.cos() * e.sin(), -e.cos()], dim=-1)
    return torch.stack([right, down, -outward, outward * radius[:, None]], dim=-1)


def pinholes(
    camera_to_world: Float[Tensor, "camera 3 4"], width: int, height: int, fov_degrees: float
) -> Cameras:
    """Ideal cameras with a horizontal field of view, principal point in the middle."""
    focal = 0.5 * width / math.tan(math.radians(fov_degrees) / 2)
    k = camera_to_world.new_tensor([focal, focal, width / 2, height / 2])
    return Cameras(
        camera_to_world=camera_to_world,
        intrinsics=k.expand(len(camera_to_world), 4).clone(),
        width=width,
        height=height,
    )


def overview(
    box: Float[Tensor, "2 3"],
    width: int,
    height: int,
    *,
    azimuth_degrees: float = -125.0,
    elevation_degrees: float = 42.0,
    fov_degrees: float = 30.0,
) -> Cameras:
    """One camera outside ``box`` that sees all of it."""
    azimuth, elevation = math.radians(azimuth_degrees), math.radians(elevation_degrees)
    direction = box.new_tensor(
        [
            math.cos(elevation) * math.cos(azimuth),
            math.cos(elevation) * math.sin(azimuth),
            math.sin(elevation),
        ]
    )
    centre = box.mean(0, keepdim=True)
    up = _UP if elevation_degrees < 85 else (0.0, 1.0, 0.0)
    pose = look_at(centre + direction, centre, up)
    distance = _fitting_distance(pose[0, :, :3], box, width, height, fov_degrees)
    return pinholes(look_at(centre + direction * distance, centre, up), width, height, fov_degrees)


def orbit(cameras: Cameras, box: Float[Tensor, "2 3"], frames: int) -> Cameras:
    """A circle at the height and distance of the given cameras.

    Cameras that look at a common point keep looking at it; cameras that look outwards (a room seen
    from within) turn round in the middle of the box on a small circle, looking outwards.
    """
    focus = focus_point(cameras)
    to_focus = focus - cameras.centres
    inward = (torch.nn.functional.normalize(to_focus, dim=-1) * cameras.forward_axes).sum(-1)
    angles = torch.linspace(0, 2 * math.pi, frames + 1)[:-1]
    circle = torch.stack([angles.cos(), angles.sin(), torch.zeros_like(angles)], dim=-1)
    if float(inward.median()) > 0.5:
        radius = to_focus[:, :2].norm(dim=-1).median()
        eye = focus + circle * radius
        eye[:, 2] = cameras.centres[:, 2].median()
        poses = look_at(eye, focus.expand_as(eye))
    else:
        eye = cameras.centres.median(0).values + circle * 0.1 * (box[1] - box[0])[:2].min()
        slope = cameras.forward_axes[:, 2].median()
        poses = look_at(eye, eye + circle + torch.tensor(_UP) * slope)
    return _with_poses(cameras, poses)


def spiral(cameras: Cameras, frames: int, *, turns: float = 2.0) -> Cameras:
    """A gentle spiral about the average camera, for forward-facing captures (as LLFF does)."""
    average = _average_pose(cameras)
    local = (cameras.centres - average[:, 3]) @ average[:, :3]
    radii = torch.quantile(local.abs(), 0.9, dim=0)
    depth = (focus_point(cameras) - average[:, 3]) @ average[:, 2]
    target = average[:, 3] + average[:, 2] * depth.clamp_min(float(radii.max()) + 1e-3)
    angle = torch.linspace(0, 2 * math.pi * turns, frames + 1)[:-1]
    offsets = torch.stack([angle.cos(), -angle.sin(), -(angle / 2).sin()], dim=-1) * radii
    eye = average[:, 3] + offsets @ average[:, :3].T
    down = average[:, 1]
    up = (-float(down[0]), -float(down[1]), -float(down[2]))
    return _with_poses(cameras, look_at(eye, target.expand_as(eye), up))


def turn_table(
    cameras: Cameras,
    frames: int,
    *,
    radius: float,
    elevation_degrees: float = 10.0,
    centre: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Cameras:
    """A full circle round an upright axis; frame 0 stands at -y of ``centre``, +x comes later.

    The same eyes as pixelNeRF's "spherical" poses with azimuths linspace(-180, 180) without the
    end; their elevation has the other sign (there, negative is above).

    Args:
        cameras: whose lens and picture size the frames have.
        radius: distance of the eye from ``centre``, scene units.
        elevation_degrees: height of the eye; positive is above. Below 90 either way.
    """
    eye, target = _circle(frames, radius, elevation_degrees), torch.tensor(centre)
    return _with_poses(cameras, look_at(eye + target, target.expand_as(eye)))


def dtu_film(frames: int, distance: float = 2.0) -> Float[Tensor, "frame 3 4"]:
    """pixelNeRF's way round a DTU table: a periodic spline through five turns of the camera.

    Returns:
        camera-to-world poses with OpenCV axes, looking at the origin of pixelNeRF's DTU world
        (y up, z towards the first camera); the last frame is the first one again.
    """
    spline = CubicSpline(_DTU_TIMES, np.asarray(_DTU_TURNS), bc_type="periodic")
    turns = torch.as_tensor(spline(np.linspace(0, _DTU_TIMES[-1], frames)))
    rotation = rotation_from_quaternion(torch.nn.functional.normalize(turns, dim=-1))
    poses = torch.cat([rotation, distance * rotation[:, :, 2:]], dim=-1)
    return opencv_from_opengl(poses).float()


def tour(cameras: Cameras, frames: int) -> Cameras:
    """A smooth film through the given cameras: a nearest-neighbour order, then splines."""
    order = _nearest_order(cameras)
    keys = order[np.linspace(0, len(order) - 1, min(_TOUR_KEYS, len(order))).round().astype(int)]
    poses = cameras.camera_to_world[torch.as_tensor(keys)].double().numpy()
    if len(keys) < 2:
        return _with_poses(cameras, cameras.camera_to_world[:1].expand(frames, 3, 4))
    knots, at = np.arange(len(keys)), np.linspace(0, len(keys) - 1, frames)
    eye = CubicSpline(knots, poses[:, :, 3])(at)
    turn = RotationSpline(knots, Rotation.from_matrix(poses[:, :, :3]))(at).as_matrix()
    return _with_poses(cameras, torch.as_tensor(np.concatenate([turn, eye[:, :, None]], axis=2)))


def focus_point(cameras: Cameras) -> Float[Tensor, " 3"]:
    """The point nearest to all optical axes (least squares, pulled a little to the cameras)."""
    d, o = cameras.forward_axes.double(), cameras.centres.double()
    across = torch.eye(3, dtype=torch.float64) - d[:, :, None] * d[:, None, :]
    pull = 1e-6 * torch.eye(3, dtype=torch.float64)
    left = across.mean(0) + pull
    right = (across @ o[:, :, None]).mean(0)[:, 0] + pull @ o.mean(0)
    return torch.linalg.solve(left, right).to(cameras.centres.dtype)


def _circle(frames: int, radius: float, elevation_degrees: float) -> Float[Tensor, "frame 3"]:
    """Points of a turn-table about the origin."""
    azimuth = torch.linspace(-math.pi, math.pi, frames + 1)[:-1]
    elevation = torch.full_like(azimuth, math.radians(elevation_degrees))
    x, y = elevation.cos() * azimuth.sin(), elevation.cos() * azimuth.cos()
    return radius * torch.stack([x, y, elevation.sin()], dim=-1)


def _average_pose(cameras: Cameras) -> Float[Tensor, "3 4"]:
    forward = torch.nn.functional.normalize(cameras.forward_axes.mean(0), dim=-1)
    up = mean_up(cameras.camera_to_world)
    centre = cameras.centres.mean(0)
    up3 = (float(up[0]), float(up[1]), float(up[2]))
    return look_at(centre[None], (centre + forward)[None], up3)[0]


def _nearest_order(cameras: Cameras) -> np.ndarray:
    """Indices so that neighbours are near in place and viewing direction; starts with camera 0."""
    centres = cameras.centres.double().numpy()
    scale = max(float(np.ptp(centres, axis=0).max()), 1e-9)
    state = np.concatenate([centres / scale, cameras.forward_axes.double().numpy()], axis=1)
    order, left = [0], set(range(1, len(state)))
    while left:
        rest = np.fromiter(left, int)
        nearest = rest[np.linalg.norm(state[rest] - state[order[-1]], axis=1).argmin()]
        order.append(int(nearest))
        left.remove(int(nearest))
    return np.asarray(order)


def _fitting_distance(
    rotation: Float[Tensor, "3 3"],
    box: Float[Tensor, "2 3"],
    width: int,
    height: int,
    fov_degrees: float,
) -> float:
    """Distance from the box's centre at which every corner falls inside the picture."""
    signs = torch.cartesian_prod(*[box.new_tensor([-0.5, 0.5])] * 3)
    local = (signs * (box[1] - box[0])) @ rotation
    tangent = math.tan(math.radians(fov_degrees) / 2) * 0.96
    limits = box.new_tensor([tangent, tangent * height / width])
    return float((local[:, :2].abs() / limits - local[:, 2:]).max())


def _with_poses(cameras: Cameras, poses: Float[Tensor, "camera 3 4"]) -> Cameras:
    """Ideal cameras with the first camera's lens at other poses."""
    k = cameras.intrinsics[:1].expand(len(poses), 4).clone()
    return replace(
        cameras, camera_to_world=poses.to(k.dtype).contiguous(), intrinsics=k, distortion=None
    )
