"""What a set of cameras shows: the average up, frustum corners, who sees a point."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from maskfield.geometry.cameras import Cameras
from maskfield.geometry.rays import intersect_box
from maskfield.geometry.se3 import rotation_between


def mean_up(camera_to_world: Float[Tensor, "camera 3 4"]) -> Float[Tensor, " 3"]:
    """Average image-up direction (minus camera y), unit; +Z where the ups cancel out."""
    up = -camera_to_world[:, :, 1].mean(0)
    return up / up.norm() if up.norm() > 1e-3 else up.new_tensor([0.0, 0.0, 1.0])


def turn_up_to_z(camera_to_world: Float[Tensor, "camera 3 4"]) -> Float[Tensor, "3 3"]:
    """Rotation of the world that brings the cameras' average up to +Z.

    A second step removes what pitch leaves: the horizontal image axes (camera x) of hand-held
    cameras lie in the horizontal plane, so their least direction is the better vertical when the
    cameras turn enough for it to be determined.
    """
    up = mean_up(camera_to_world).double()
    right = camera_to_world[:, :, 0].double()
    value, vector = torch.linalg.eigh(right.T @ right / len(right))
    vertical = vector[:, 0] * torch.sign((vector[:, 0] * up).sum())
    determined = value[1] > 0.05 and value[0] < 0.1 * value[1]
    if determined and (vertical * up).sum() > 0.7:
        up = vertical
    target = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    return rotation_between(up, target).to(camera_to_world)


def frustum_points(
    cameras: Cameras, depths: Float[Tensor, " depth"]
) -> Float[Tensor, "camera depth corner 3"]:
    """World points of the four image corners and the centre (corner = 5) at camera-z depths."""
    w, h = cameras.width, cameras.height
    pixels = depths.new_tensor([[0, 0], [w, 0], [0, h], [w, h], [w / 2, h / 2]])
    k = cameras.intrinsics[:, None]
    xy = (pixels - k[..., 2:]) / k[..., :2]
    local = torch.cat([xy, torch.ones_like(xy[..., :1])], dim=-1)[:, None] * depths[:, None, None]
    pose = cameras.camera_to_world
    return torch.einsum("cij,cdpj->cdpi", pose[:, :, :3], local) + pose[:, None, None, :, 3]


def sees(cameras: Cameras, point: Float[Tensor, " 3"]) -> Bool[Tensor, " camera"]:
    """Which cameras have ``point`` in front of them and inside their image."""
    uv, depth = cameras.project(point[None])
    u, v = uv[:, 0].unbind(-1)
    inside = (u >= 0) & (u < cameras.width) & (v >= 0) & (v < cameras.height)
    return inside & (depth[:, 0] > 0)


def box_hits(
    cameras: Cameras, box: Float[Tensor, "2 3"], columns: int = 12
) -> Float[Tensor, " camera"]:
    """Fraction of each camera's rays (a coarse lattice over the image) that meet the box."""
    rows = max(2, round(columns * cameras.height / cameras.width))
    u = (torch.arange(columns) + 0.5) / columns * cameras.width
    v = (torch.arange(rows) + 0.5) / rows * cameras.height
    pixels = torch.cartesian_prod(u, v).repeat(len(cameras), 1)
    index = torch.arange(len(cameras)).repeat_interleave(columns * rows)
    rays = cameras.rays(index, pixels)
    enter, leave = intersect_box(rays.origins, rays.directions, box)
    return (leave > enter).float().view(len(cameras), -1).mean(1)
