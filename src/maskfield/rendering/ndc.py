"""Normalised device coordinates for forward-facing captures (NeRF, arXiv 2003.08934, appendix C).

All that one reference camera sees beyond its near plane lies in the cube [-1, 1]³; equal steps
there are equal steps in 1 / depth. The cube's axes are those of the official code (x right, y up,
z away from -1 at the near plane to 1 at infinity), so that official networks can be loaded.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from maskfield.core.errors import SceneError
from maskfield.geometry.cameras import Cameras
from maskfield.geometry.rays import Rays
from maskfield.rendering.field import Field, RaySamples
from maskfield.rendering.samplers import Sampler

_LAST_SHARE = 1 - 1e-6  # the far end of the cube is at infinity; distances stay finite


@dataclass(frozen=True, kw_only=True, eq=False)
class NDC:
    """The cube of one reference camera.

    Attributes:
        camera_to_world: [3, 4] reference pose, OpenCV axes (the average camera of a capture).
        focal: in pixels. width, height: image size in pixels.
        near: depth of the near plane along the reference camera's z, scene units.
    """

    camera_to_world: Float[Tensor, "3 4"]
    focal: float
    width: int
    height: int
    near: float = 1.0

    @staticmethod
    def from_camera(camera: Cameras, near: float = 1.0) -> NDC:
        """The cube of a single camera (index a Cameras first), with its fx."""
        return NDC(
            camera_to_world=camera.camera_to_world[0],
            focal=float(camera.intrinsics[0, 0]),
            width=camera.width,
            height=camera.height,
            near=near,
        )

    def points(self, points: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
        """World points in front of the reference camera to the cube (eq. 14 to 16)."""
        x, y, z = self._local(points, direction=False).unbind(-1)
        sx, sy = 2 * self.focal / self.width, 2 * self.focal / self.height
        return torch.stack([sx * x / z, -sy * y / z, 1 - 2 * self.near / z], dim=-1)

    def rays(self, rays: Rays) -> Rays:
        """World rays to rays of the cube, from the near plane (near 0) to infinity (far: z = 1).

        Directions are unit vectors, so distances are lengths in the cube; ``rays.near`` and
        ``rays.far`` do not matter. Official code keeps the direction's length and multiplies
        intervals by it, which is the same.

        Raises:
            SceneError: a ray that runs sideways or backwards; the cube does not hold it.
        """
        start, heading = self._at_near_plane(rays)
        begin = self.points(start)
        x, y, z = self._local(start, direction=False).unbind(-1)
        dx, dy, dz = self._local(heading, direction=True).unbind(-1)
        sx, sy = 2 * self.focal / self.width, 2 * self.focal / self.height
        step = [sx * (dx / dz - x / z), -sy * (dy / dz - y / z), 2 * self.near / z]  # eq. 25
        along = torch.stack(step, dim=-1)
        length = along.norm(dim=-1)
        return Rays(
            origins=begin,
            directions=along / length[:, None],
            near=torch.zeros_like(length),
            far=length,
        )

    def world_distance(
        self, rays: Rays, t: Float[Tensor, "ray sample"]
    ) -> Float[Tensor, "ray sample"]:
        """Distances along the cube's rays to distances along the world rays they came from."""
        start, heading = self._at_near_plane(rays)
        z = self._local(start, direction=False)[:, 2]
        dz = self._local(heading, direction=True)[:, 2]
        share = (t / self.rays(rays).far[:, None]).clamp(0, _LAST_SHARE)
        beyond = z[:, None] * share / (1 - share) / dz[:, None]  # eq. 22 solved for t
        offset = ((start - rays.origins) * heading).sum(-1)
        return offset[:, None] + beyond

    def _at_near_plane(self, rays: Rays) -> tuple[Tensor, Tensor]:
        """Where rays cross the near plane, world frame, and their directions."""
        z = self._local(rays.origins, direction=False)[:, 2]
        dz = self._local(rays.directions, direction=True)[:, 2]
        if bool((dz <= 0).any()):
            raise SceneError(
                "a ray does not run forward from the reference camera",
                field="directions",
                value=rays.directions[int((dz <= 0).nonzero()[0])].tolist(),
                remedy="NDC suits forward-facing captures only; use spacing='contracted' instead",
            )
        return rays.origins + ((self.near - z) / dz)[:, None] * rays.directions, rays.directions

    def _local(self, vectors: Tensor, *, direction: bool) -> Tensor:
        pose = self.camera_to_world.to(vectors)
        moved = vectors if direction else vectors - pose[:, 3]
        return moved @ pose[:, :3]


@dataclass(frozen=True, kw_only=True, eq=False)
class NDCSampler:
    """World rays, sampled in the cube, for a field that lives in the cube.

    Points and delta are the cube's, as official forward-facing networks want them; directions stay
    the world's viewing directions and t world distances, so that depth comes out in scene units.
    """

    sampler: Sampler
    ndc: NDC

    def __call__(
        self, rays: Rays, field: Field, generator: torch.Generator | None = None
    ) -> RaySamples:
        cube = self.ndc.rays(rays)
        samples = self.sampler(cube, field, generator)
        return replace(
            samples,
            directions=rays.directions[:, None],
            t=self.ndc.world_distance(rays, samples.t),
        )
