"""Pinhole cameras, one convention inside the house (docs/conventions.md).

OpenCV camera-to-world (x right, y down, z forward); right-handed Z-up world; pixel (0, 0) covers
[0, 1) x [0, 1), so its centre is at (0.5, 0.5). Distortion is Brown's (k1, k2, p1, p2, k3), OpenCV
order, acting on normalised image coordinates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from maskfield.core.errors import SceneError
from maskfield.geometry.rays import Rays


@dataclass(frozen=True, kw_only=True)
class Cameras:
    """N pinhole cameras of one image size.

    Attributes:
        camera_to_world: [camera, 3, 4], OpenCV axes, rotation in SO(3).
        intrinsics: [camera, 4] = fx, fy, cx, cy in pixels.
        width, height: image size in pixels, shared by all cameras.
        distortion: [camera, 5] = k1, k2, p1, p2, k3, or None for ideal pinholes.
    """

    camera_to_world: Float[Tensor, "camera 3 4"]
    intrinsics: Float[Tensor, "camera 4"]
    width: int
    height: int
    distortion: Float[Tensor, "camera 5"] | None = None

    def __len__(self) -> int:
        return self.camera_to_world.shape[0]

    def __getitem__(self, index: int | slice | Sequence[int] | Tensor) -> Cameras:
        if isinstance(index, int):
            index = slice(index, index + 1) if index != -1 else slice(-1, None)
        return replace(
            self,
            camera_to_world=self.camera_to_world[index],
            intrinsics=self.intrinsics[index],
            distortion=None if self.distortion is None else self.distortion[index],
        )

    @property
    def centres(self) -> Float[Tensor, "camera 3"]:
        """Camera centres in the world frame."""
        return self.camera_to_world[:, :, 3]

    @property
    def forward_axes(self) -> Float[Tensor, "camera 3"]:
        """Unit viewing directions (camera z) in the world frame."""
        return self.camera_to_world[:, :, 2]

    def to(self, device: torch.device | str) -> Cameras:
        return replace(
            self,
            camera_to_world=self.camera_to_world.to(device),
            intrinsics=self.intrinsics.to(device),
            distortion=None if self.distortion is None else self.distortion.to(device),
        )

    def resized(self, width: int, height: int) -> Cameras:
        """The same cameras for images resampled to ``width`` x ``height``."""
        sx, sy = width / self.width, height / self.height
        scale = self.intrinsics.new_tensor([sx, sy, sx, sy])
        return replace(self, intrinsics=self.intrinsics * scale, width=width, height=height)

    def rays(
        self,
        camera: Int[Tensor, " ray"],
        pixels: Float[Tensor, "ray 2"],
        near: float = 0.0,
        far: float = float("inf"),
    ) -> Rays:
        """Rays through image points ``pixels`` = (u, v); a pixel centre is (column, row) + 0.5.

        Returns world-frame rays with unit directions; ``near`` and ``far`` are distances along
        them.
        """
        pose = self.camera_to_world[camera]
        local = self.unproject(camera, pixels)
        # a product of matrices would lose digits under autocast
        directions = (pose[:, :, :3] * local[:, None]).sum(-1)
        directions = directions / directions.norm(dim=-1, keepdim=True)
        return Rays(
            origins=pose[:, :, 3],
            directions=directions,
            near=torch.full_like(directions[:, 0], near),
            far=torch.full_like(directions[:, 0], far),
        )

    def image_rays(self, camera: int, near: float = 0.0, far: float = float("inf")) -> Rays:
        """One ray through every pixel centre of one camera, row-major: [height * width]."""
        device = self.intrinsics.device
        v, u = torch.meshgrid(
            torch.arange(self.height, device=device, dtype=self.intrinsics.dtype) + 0.5,
            torch.arange(self.width, device=device, dtype=self.intrinsics.dtype) + 0.5,
            indexing="ij",
        )
        pixels = torch.stack([u.reshape(-1), v.reshape(-1)], dim=-1)
        index = torch.full((pixels.shape[0],), camera, dtype=torch.long, device=device)
        return self.rays(index, pixels, near, far)

    def project(
        self, points: Float[Tensor, "point 3"]
    ) -> tuple[Float[Tensor, "camera point 2"], Float[Tensor, "camera point"]]:
        """World points to image points (u, v) and depth along camera z; depth <= 0 is behind."""
        rotation, centre = self.camera_to_world[:, :, :3], self.camera_to_world[:, :, 3]
        local = torch.einsum("cji,cpj->cpi", rotation, points[None] - centre[:, None])
        depth = local[..., 2]
        safe = torch.where(depth.abs() < 1e-12, torch.full_like(depth, 1e-12), depth)
        xy = local[..., :2] / safe[..., None]
        if self.distortion is not None:
            xy = distort(xy, self.distortion[:, None])
        return xy * self.intrinsics[:, None, :2] + self.intrinsics[:, None, 2:], depth

    def unproject(
        self, camera: Int[Tensor, " ray"], pixels: Float[Tensor, "ray 2"]
    ) -> Float[Tensor, "ray 3"]:
        """Directions of image points in the camera's own frame, of length 1 along its z."""
        k = self.intrinsics[camera]
        xy = (pixels - k[:, 2:]) / k[:, :2]
        if self.distortion is not None:
            xy = undistort(xy, self.distortion[camera])
        return torch.cat([xy, torch.ones_like(xy[:, :1])], dim=-1)


def distort(xy: Float[Tensor, "*n 2"], k: Float[Tensor, "*m 5"]) -> Float[Tensor, "*n 2"]:
    """Brown's radial-tangential model on normalised coordinates (OpenCV formula)."""
    x, y = xy[..., 0], xy[..., 1]
    k1, k2, p1, p2, k3 = k.unbind(-1)
    r2 = x * x + y * y
    radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
    dx = 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
    dy = p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
    return torch.stack([x * radial + dx, y * radial + dy], dim=-1)


def undistort(
    xy: Float[Tensor, "*n 2"], k: Float[Tensor, "*m 5"], iterations: int = 20
) -> Float[Tensor, "*n 2"]:
    """Inverse of :func:`distort` by fixed-point iteration."""
    guess = xy
    for _ in range(iterations):
        guess = xy - (distort(guess, k) - guess)
    return guess


_FLIP_YZ = (1.0, -1.0, -1.0)


def opencv_from_opengl(pose: Float[Tensor, "*n r 4"]) -> Float[Tensor, "*n r 4"]:
    """Camera-to-world with OpenGL axes (x right, y up, z backward) to OpenCV axes. Involution."""
    return pose * pose.new_tensor([*_FLIP_YZ, 1.0])


opengl_from_opencv = opencv_from_opengl


def check_poses(
    camera_to_world: Float[Tensor, "camera r 4"],
    *,
    file: str | None = None,
    tolerance: float = 1e-2,
) -> None:
    """Refuse poses that are not finite rigid motions.

    Raises:
        SceneError: names the first frame whose pose holds NaN or is not a rotation.
    """
    if not torch.isfinite(camera_to_world).all():
        bad = int((~torch.isfinite(camera_to_world).flatten(1).all(1)).nonzero()[0])
        raise SceneError(
            "a camera pose holds NaN or infinity",
            file=file,
            field=f"pose of frame {bad}",
            value=camera_to_world[bad].tolist(),
            remedy="remove the frame or repair its pose",
        )
    rotation = camera_to_world[:, :3, :3].double()
    eye = torch.eye(3, dtype=torch.float64, device=rotation.device)
    deviation = (rotation.transpose(1, 2) @ rotation - eye).abs().flatten(1).amax(1)
    wrong = (deviation > tolerance) | (torch.linalg.det(rotation) < 0)
    if wrong.any():
        bad = int(wrong.nonzero()[0])
        raise SceneError(
            "a camera pose is not a rotation (R^T R != I or det R < 0)",
            file=file,
            field=f"pose of frame {bad}",
            value=camera_to_world[bad, :3, :3].tolist(),
            remedy="give camera-to-world matrices without scale or mirror; "
            "a left-handed export must be converted first",
        )
