"""LLFF captures in the world of the official NeRF code, where its networks and protocols live.

That world: OpenGL axes of the average camera (or, spherified, the sphere the cameras stand on), the
nearest content at depth 1 / ``bound_factor``. Our own reader (``llff``) keeps the capture upright
instead.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from maskfield.geometry.cameras import Cameras, opencv_from_opengl

_SIDEWAYS = np.array([0.1, 0.2, 0.3])  # any direction that is not "up", as the original has it


@dataclass(frozen=True, kw_only=True)
class OfficialLLFF:
    """Poses of a capture in the official world, float32.

    Attributes:
        camera_to_world: [camera, 3, 4] with OpenGL axes (right, up, backward).
        bounds: [camera, 2] depths between which the content lies.
        height, width: of the (reduced) images, pixels. focal: [camera] in pixels.
        scale: official units per unit of the pose table.
    """

    camera_to_world: Float[np.ndarray, "camera 3 4"]
    bounds: Float[np.ndarray, "camera 2"]
    height: int
    width: int
    focal: Float[np.ndarray, " camera"]
    scale: float

    def rows(self) -> Float[np.ndarray, "camera 3 5"]:
        """[R | t | h w f] of each camera."""
        size = np.broadcast_to((self.height, self.width), (len(self.focal), 2))
        lens = np.concatenate([size, self.focal[:, None]], axis=1).astype(np.float32)
        return np.concatenate([self.camera_to_world, lens[:, :, None]], axis=2)

    def cameras(self) -> Cameras:
        """As cameras of the house (OpenCV axes) in the official world."""
        poses = opencv_from_opengl(torch.from_numpy(self.camera_to_world))
        middle = torch.tensor([self.width / 2, self.height / 2]).expand(len(poses), 2)
        focal = torch.from_numpy(self.focal)[:, None].expand(-1, 2)
        return Cameras(
            camera_to_world=poses,
            intrinsics=torch.cat([focal, middle], dim=1),
            width=self.width,
            height=self.height,
        )


def official_llff(
    table: Float[np.ndarray, "camera 17"],
    size: tuple[int, int],
    factor: float = 1.0,
    *,
    bound_factor: float | None = 0.75,
    recentre: bool = True,
    spherify: bool = False,
) -> OfficialLLFF:
    """The rows of ``poses_bounds.npy`` as official loaders turn them.

    Args:
        size: height and width of the images in use. factor: by which they were reduced.
        bound_factor: the nearest bound comes to lie at 1 / this; None keeps the table's scale.
        recentre: make the average camera the world's origin.
        spherify: then put the point all cameras look at in the origin, their mean distance at 1.
    """
    matrix = table[:, :15].reshape(-1, 3, 5)
    down, right, backward, centre = (matrix[:, :, i] for i in range(4))
    poses = np.stack([right, -down, backward, centre], axis=2).astype(np.float32)
    bounds = table[:, 15:].astype(np.float32)
    scale = 1.0 if bound_factor is None else 1 / (float(bounds.min()) * bound_factor)
    poses[:, :, 3] *= np.float32(scale)
    bounds = bounds * np.float32(scale)
    if recentre:
        poses = _relative(average_pose(poses), poses)
    if spherify:
        poses, shrink = _spherified(poses)
        bounds, scale = bounds * np.float32(shrink), scale * shrink
    return OfficialLLFF(
        camera_to_world=poses.astype(np.float32),
        bounds=bounds.astype(np.float32),
        height=size[0],
        width=size[1],
        focal=(table[:, 14] / factor).astype(np.float32),
        scale=scale,
    )


def average_pose(poses: Float[np.ndarray, "camera 3 4"]) -> Float[np.ndarray, "3 4"]:
    """Mean centre; z the mean viewing axis; y near the mean up (OpenGL axes)."""
    z = _unit(poses[:, :, 2].sum(0))
    x = _unit(np.cross(poses[:, :, 1].sum(0), z))
    return np.stack([x, _unit(np.cross(z, x)), z, poses[:, :, 3].mean(0)], axis=1)


def _spherified(
    poses: Float[np.ndarray, "camera 3 4"],
) -> tuple[Float[np.ndarray, "camera 3 4"], float]:
    """Cameras about the point nearest to all viewing axes, at unit root mean square distance."""
    axis, centre = poses[:, :, 2:3], poses[:, :, 3:4]
    across = np.eye(3) - axis * axis.transpose(0, 2, 1)
    left = (across.transpose(0, 2, 1) @ across).mean(0)
    focus = np.linalg.solve(left, (across @ centre).mean(0))[:, 0]
    up = _unit((centre[:, :, 0] - focus).mean(0))
    x = _unit(np.cross(_SIDEWAYS, up))
    frame = np.stack([x, _unit(np.cross(up, x)), up, focus], axis=1)
    moved = _relative(frame, poses)
    radius = float(np.sqrt(np.square(moved[:, :, 3]).sum(1).mean()))
    moved[:, :, 3] /= radius
    return moved, 1 / radius


def _relative(frame: Float[np.ndarray, "3 4"], poses: np.ndarray) -> np.ndarray:
    """Poses as seen from a frame."""
    turned = frame[:, :3].T @ poses
    turned[:, :, 3] -= frame[:, :3].T @ frame[:, 3]
    return turned


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)
