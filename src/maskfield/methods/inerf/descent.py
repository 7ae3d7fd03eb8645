"""One step of the search: many poses compared with the photograph at once, then moved by Adam."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from maskfield.methods.inerf.config import RobustLoss
from maskfield.methods.inerf.poses import Motion
from maskfield.methods.inerf.view import View

Compare = Callable[[Tensor], Tensor]
_BETAS, _EPS = (0.9, 0.999), 1e-8


@dataclass(frozen=True, kw_only=True)
class DescentStep:
    """What a step saw before it moved the poses.

    Attributes:
        losses: [pose]. poses: [pose, 3, 4]. gradient: [pose, n] of each loss by its parameters.
    """

    losses: Float[Tensor, " pose"]
    poses: Float[Tensor, "pose 3 4"]
    gradient: Float[Tensor, "pose n"]


class Descent:
    """Adam (Kingma and Ba 2015) on the free numbers of many poses; each pose goes its own way.

    Args:
        motion: what the numbers mean. starts: [pose, 3, 4]. free: [pose, n] where they begin.
    """

    def __init__(
        self, motion: Motion, starts: Float[Tensor, "pose 3 4"], free: Float[Tensor, "pose n"]
    ) -> None:
        self.motion, self.starts, self.free = motion, starts, free.detach()
        self._first, self._second = torch.zeros_like(self.free), torch.zeros_like(self.free)
        self._steps = 0

    def __len__(self) -> int:
        return len(self.free)

    def poses(self) -> Float[Tensor, "pose 3 4"]:
        """Where the poses are."""
        return self.motion.move(self.free, self.starts)

    def step(self, compare: Compare, lr: float) -> DescentStep:
        """Move every pose once.

        Args:
            compare: poses [pose, 3, 4] -> losses [pose]; a pose's loss depends on that pose only.
        """
        free = self.free.requires_grad_()
        poses = self.motion.move(free, self.starts)
        losses = compare(poses)
        (gradient,) = torch.autograd.grad(losses.sum(), free)
        self.free = free.detach()
        self.update(gradient, lr)
        return DescentStep(losses=losses.detach(), poses=poses.detach(), gradient=gradient)

    def keep(self, chosen: Tensor) -> None:
        """Go on with some of the poses."""
        self.starts, self.free = self.starts[chosen], self.free[chosen]
        self._first, self._second = self._first[chosen], self._second[chosen]

    def update(self, gradient: Float[Tensor, "pose n"], lr: float) -> None:
        """Adam's step for gradients formed elsewhere."""
        self._steps += 1
        a, b = _BETAS
        self._first = a * self._first + (1 - a) * gradient
        self._second = b * self._second + (1 - b) * gradient.square()
        size = self._second.sqrt() / math.sqrt(1 - b**self._steps) + _EPS
        self.free = self.free - lr / (1 - a**self._steps) * self._first / size


def photometric(
    view: View,
    directions: Float[Tensor, "ray 3"],
    colours: Float[Tensor, "ray 3"],
    loss: RobustLoss = "mse",
    scale: float = 0.1,
    generator: torch.Generator | None = None,
) -> Compare:
    """Compare the same pixels of the photograph with what each pose sees there.

    Args:
        directions: camera frame, z = 1. colours: of the photograph.
        generator: for samplers that jitter.
    """

    def compare(poses: Float[Tensor, "pose 3 4"]) -> Float[Tensor, " pose"]:
        rays = view.rays(poses, directions.expand(len(poses), -1, 3))
        seen = view.colours(rays, generator).unflatten(0, (len(poses), -1))
        return robust(seen - colours, loss, scale).mean((1, 2))

    return compare


def robust(difference: Tensor, loss: RobustLoss, scale: float) -> Tensor:
    """Cost of colour differences, element-wise; all but "l1" are squares near zero.

    ``scale``: the difference from which the cost grows more slowly than its square.
    """
    if loss == "mse":
        return difference.square()
    size = difference.abs()
    if loss == "l1":
        return size
    if loss == "huber":
        return torch.where(size < scale, size.square(), scale * (2 * size - scale))
    if loss == "log-l1":
        return 2 * scale * (size - scale * torch.log1p(size / scale))
    return scale**2 * torch.log1p((size / scale).square())
