"""Rays and their intersection with boxes. World frame, unit directions, distances along the ray."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

_PARALLEL = 1e-12  # a direction component below this runs along the face


@dataclass(frozen=True, kw_only=True)
class Rays:
    """A flat batch of rays r(t) = origin + t * direction, near <= t <= far.

    Attributes:
        origins: [ray, 3] world frame.
        directions: [ray, 3] unit vectors, world frame.
        near, far: [ray] distances along the ray, scene units; far may be infinite.
    """

    origins: Float[Tensor, "ray 3"]
    directions: Float[Tensor, "ray 3"]
    near: Float[Tensor, " ray"]
    far: Float[Tensor, " ray"]

    def __len__(self) -> int:
        return self.origins.shape[0]

    def __getitem__(self, index: slice | Tensor) -> Rays:
        return Rays(
            origins=self.origins[index],
            directions=self.directions[index],
            near=self.near[index],
            far=self.far[index],
        )

    def to(self, device: torch.device | str) -> Rays:
        return Rays(
            origins=self.origins.to(device),
            directions=self.directions.to(device),
            near=self.near.to(device),
            far=self.far.to(device),
        )

    def clipped(self, box: Float[Tensor, "2 3"]) -> Rays:
        """The same rays cut to an axis-aligned box; a miss keeps its near and gets far = near."""
        enter, leave = intersect_box(self.origins, self.directions, box)
        near = torch.maximum(self.near, enter)
        far = torch.minimum(self.far, leave)
        hit = far > near
        return replace(
            self, near=torch.where(hit, near, self.near), far=torch.where(hit, far, self.near)
        )


def intersect_box(
    origins: Float[Tensor, "ray 3"], directions: Float[Tensor, "ray 3"], box: Float[Tensor, "2 3"]
) -> tuple[Float[Tensor, " ray"], Float[Tensor, " ray"]]:
    """Slab test: distances at which rays enter and leave ``box`` = (min, max).

    A miss gives leave < enter.
    """
    # not the smallest float: quotients and their gradients must stay finite
    safe = torch.where(directions.abs() < _PARALLEL, _PARALLEL, directions)
    a = (box[0] - origins) / safe
    b = (box[1] - origins) / safe
    enter = torch.minimum(a, b).amax(-1)
    leave = torch.maximum(a, b).amin(-1)
    return enter.clamp_min(0.0), leave
