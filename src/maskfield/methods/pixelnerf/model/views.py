"""Source views: given, and encoded.

Inside the network coordinates are in OpenGL camera axes (x right, y up, z backward), as official
weights expect. Feature maps are read at (u - 0.5) * map width / image width, u = the house's image
point (pixel centres at + 0.5); the value of map pixel i is met at i.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from maskfield.geometry.cameras import opengl_from_opencv

_PLANE = 1e-8  # nearer than this to the camera's plane, points are projected as if there


@dataclass(frozen=True, kw_only=True)
class SourceViews:
    """Photographs of one object.

    Attributes:
        images: [view, 3, h, w] in [-1, 1].
        poses: [view, 3, 4] camera-to-world, OpenCV axes.
        intrinsics: [view, 4] fx, fy, cx, cy in pixels.
    """

    images: Float[Tensor, "view 3 h w"]
    poses: Float[Tensor, "view 3 4"]
    intrinsics: Float[Tensor, "view 4"]


@dataclass(frozen=True, kw_only=True)
class EncodedViews:
    """What the network remembers of source views, for some objects at once.

    Attributes:
        features: [object, view, c, hl, wl] feature maps; None without an encoder.
        vectors: [object, view, g] one vector per image; None without a global encoder.
        poses: [object, view, 3, 4] world-to-camera, OpenGL axes.
        intrinsics: [object, view, 4]. size: (width, height) of the images.
    """

    features: Float[Tensor, "object view c hl wl"] | None
    vectors: Float[Tensor, "object view g"] | None
    poses: Float[Tensor, "object view 3 4"]
    intrinsics: Float[Tensor, "object view 4"]
    size: tuple[int, int]

    def __len__(self) -> int:
        return self.poses.shape[0]


def world_to_opengl(poses: Float[Tensor, "*n 3 4"]) -> Float[Tensor, "*n 3 4"]:
    """World-to-camera (OpenGL axes) of camera-to-world poses (OpenCV axes)."""
    pose = opengl_from_opencv(poses)
    turn = pose[..., :3].transpose(-1, -2)
    return torch.cat([turn, -turn @ pose[..., 3:]], dim=-1)


def turned(
    poses: Float[Tensor, "view 3 4"], vectors: Float[Tensor, "point 3"]
) -> Float[Tensor, "view point 3"]:
    """Vectors in each camera's axes, by one product for all views; in full precision always."""
    views = poses.shape[0]
    with torch.autocast(vectors.device.type, enabled=False):
        flat = vectors @ poses[:, :, :3].reshape(views * 3, 3).T
    return flat.reshape(-1, views, 3).transpose(0, 1)


def projected(
    local: Float[Tensor, "view point 3"], intrinsics: Float[Tensor, "view 4"]
) -> Float[Tensor, "view point 2"]:
    """Image points of camera coordinates (OpenGL axes); points behind are projected like others."""
    depth = -local[..., 2:]
    depth = torch.where(depth.abs() < _PLANE, depth.new_full((), _PLANE), depth)
    k = intrinsics[:, None]
    flip = local.new_tensor([1.0, -1.0])
    return local[..., :2] / depth * (k[..., :2] * flip) + k[..., 2:]
