"""Camera poses recentred on the principal axes of their centres, inside [-1, 1]^3."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from maskfield.core.errors import SceneError


def principal_axes_poses(
    poses: Float[Tensor, "n 3 4"],
) -> tuple[Float[Tensor, "n 3 4"], Float[Tensor, "4 4"]]:
    """Poses in the frame of the principal axes, and the similarity that took them there.

    The axis of largest spread becomes x, that of smallest spread z. Signs, which the
    decomposition leaves open, are chosen so that the frame is right-handed and the cameras' y
    axes point to +z on average.

    Args:
        poses: camera-to-world, y up in the camera (OpenGL).

    Raises:
        SceneError: all camera centres coincide.
    """
    centres = poses[:, :, 3]
    mean = centres.mean(0)
    offsets = centres - mean
    axes = _axes(offsets, poses[:, :, 1].mean(0))
    largest = (offsets @ axes.T).abs().max()
    if float(largest) == 0:
        raise SceneError(
            "all camera centres coincide, so they have no principal axes",
            field="poses",
            value=mean.tolist(),
            remedy="give poses of a moving camera",
        )
    moved = torch.cat([axes @ poses[:, :, :3], ((offsets @ axes.T) / largest)[..., None]], dim=-1)
    transform = torch.eye(4, dtype=poses.dtype, device=poses.device)
    transform[:3, :3] = axes / largest
    transform[:3, 3] = -(axes @ mean) / largest
    return moved, transform


def _axes(offsets: Float[Tensor, "n 3"], up: Float[Tensor, " 3"]) -> Float[Tensor, "3 3"]:
    """Rows: unit axes by falling variance, right-handed, ``up`` on the +z side."""
    _, vectors = torch.linalg.eigh(offsets.T @ offsets)  # rising eigenvalues, in columns
    axes = vectors.flip(1).T.clone()
    if float(axes[2] @ up) < 0:
        axes[2] = -axes[2]
    if float(torch.linalg.det(axes)) < 0:
        axes[1] = -axes[1]
    return axes
