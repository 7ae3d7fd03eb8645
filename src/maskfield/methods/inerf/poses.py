"""Ways of moving a start pose by free numbers (spec inerf 3).

Each maps parameters [pose, n] and start poses to poses, differentiably; zeros (for "matrix": the
start itself) leave the start where it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from maskfield.geometry import se3
from maskfield.methods.inerf.config import Parameterisation

Mover = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Motion:
    """One parameterisation.

    Attributes:
        size: free numbers per pose.
        move: (parameters [pose, size], starts [pose, 3, 4]) -> poses [pose, 3, 4].
        whole: the parameters are the pose itself, not a motion of the start.
    """

    size: int
    move: Mover
    whole: bool = False

    def initial(
        self, starts: Float[Tensor, "pose 3 4"], noise: float, generator: torch.Generator | None
    ) -> Float[Tensor, "pose n"]:
        """Parameters of the starts; normal ``noise`` is added where a motion begins at zero."""
        if self.whole:
            return homogeneous(starts).flatten(1).clone()
        drawn = torch.randn(len(starts), self.size, generator=generator) * noise
        return drawn.to(starts)


def left_exponential(
    twist: Float[Tensor, "*n 6"], start: Float[Tensor, "*n 3 4"]
) -> Float[Tensor, "*n 3 4"]:
    """exp(v, w) @ start: the paper's form; turns are about the world origin."""
    return se3.compose(se3.exp(twist), start)


def about_camera(
    shift_turn: Float[Tensor, "*n 6"], start: Float[Tensor, "*n 3 4"]
) -> Float[Tensor, "*n 3 4"]:
    """Translation of the camera centre and rotation about it, apart."""
    rotation = se3.rotation_exp(shift_turn[..., 3:]) @ start[..., :3]
    centre = start[..., 3] + shift_turn[..., :3]
    return torch.cat([rotation, centre[..., None]], dim=-1)


def community_screw(
    screw: Float[Tensor, "*n 7"], start: Float[Tensor, "*n 3 4"]
) -> Float[Tensor, "*n 3 4"]:
    """(w, v, theta) with w not normalised, as salykovaa/inerf: a rotation only while |w| = 1."""
    w, v, theta = screw[..., :3], screw[..., 3:6], screw[..., 6, None, None]
    k = se3.hat(w)
    square, eye = k @ k, torch.eye(3, dtype=screw.dtype, device=screw.device)
    sine, rest = torch.sin(theta), 1 - torch.cos(theta)
    rotation = eye + sine * k + rest * square
    shift = (theta * eye + rest * k + (theta - sine) * square) @ v[..., None]
    return se3.compose(torch.cat([rotation, shift], dim=-1), start)


def free_matrix(
    entries: Float[Tensor, "*n 16"], start: Float[Tensor, "*n 3 4"]
) -> Float[Tensor, "*n 3 4"]:
    """All entries of the 4 x 4 matrix, as the official demo: the last row has no effect."""
    return entries.unflatten(-1, (4, 4))[..., :3, :]


MOTIONS: dict[Parameterisation, Motion] = {
    "se3": Motion(size=6, move=left_exponential),
    "so3xt": Motion(size=6, move=about_camera),
    "wvtheta": Motion(size=7, move=community_screw),
    "matrix": Motion(size=16, move=free_matrix, whole=True),
}


def rigid(poses: Float[Tensor, "*n 3 4"]) -> Float[Tensor, "*n 3 4"]:
    """The nearest rigid motions: free matrices and the community's screws drift off SO(3)."""
    return torch.cat([se3.nearest_rotation(poses[..., :3]), poses[..., 3:]], dim=-1)


def homogeneous(poses: Float[Tensor, "*n 3 4"]) -> Float[Tensor, "*n 4 4"]:
    """With the row 0 0 0 1."""
    last = poses.new_tensor([0.0, 0.0, 0.0, 1.0]).expand(*poses.shape[:-2], 1, 4)
    return torch.cat([poses, last], dim=-2)
