"""FieldView: what a camera at a trial pose would see of a field, differentiable in the pose."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor, nn

from maskfield.core.errors import SceneError
from maskfield.fields.nerf import NeRFField
from maskfield.fields.sampler import VoxelMarch
from maskfield.fields.voxel import VoxelField
from maskfield.geometry.cameras import Cameras
from maskfield.geometry.rays import Rays
from maskfield.methods.inerf.observation import Observation
from maskfield.rendering.compositing import Compositing
from maskfield.rendering.field import Field
from maskfield.rendering.renderer import RenderOutput, render
from maskfield.rendering.samplers import Sampler

_BOUNDLESS = ("disparity", "contracted")  # spacings that reach an infinite far


class View(Protocol):
    """What the search needs of a field: rays of trial poses, and their colours."""

    def rays(
        self, poses: Float[Tensor, "pose r 4"], directions: Float[Tensor, "pose ray 3"]
    ) -> Rays:
        """World rays, pose after pose: [pose * ray]."""
        ...

    def colours(
        self, rays: Rays, generator: torch.Generator | None = None
    ) -> Float[Tensor, "ray 3"]:
        """Their colours, differentiable with respect to origins and directions."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class FieldView:
    """A field with the settings it is rendered with.

    Attributes:
        field: anything that speaks the Field protocol; image-conditioned ones are prepared already.
        near, far: distances along rays, scene units; of depth along camera z when ``planar``.
        box: world box that rays are clipped to.
        planar: ray directions keep z = 1 in the camera's frame, as vanilla NeRF parametrises them
            (``Compositing.norm_in_delta`` goes with it); else they are unit vectors.
        memory_mb: of one chunk; infinite: all rays of a step in one chunk.

    Raises:
        SceneError: near and far between which the sampler cannot place samples.
    """

    field: Field
    sampler: Sampler
    compositing: Compositing
    near: float
    far: float = math.inf
    box: Float[Tensor, "2 3"] | None = None
    planar: bool = False
    memory_mb: float = math.inf

    def __post_init__(self) -> None:
        _check_reach(self)

    def rays(
        self, poses: Float[Tensor, "pose r 4"], directions: Float[Tensor, "pose ray 3"]
    ) -> Rays:
        """World rays of camera-frame directions with z = 1, each pose having its own.

        A pose that is not a rotation (a matrix optimised freely) scales its directions.
        """
        local = directions if self.planar else torch.nn.functional.normalize(directions, dim=-1)
        turned = local @ poses[:, :3, :3].transpose(-1, -2)
        origins = poses[:, None, :3, 3].expand_as(turned).reshape(-1, 3)
        rays = Rays(
            origins=origins,
            directions=turned.reshape(-1, 3),
            near=torch.full_like(origins[:, 0], self.near),
            far=torch.full_like(origins[:, 0], self.far),
        )
        return rays if self.box is None else rays.clipped(self.box.to(origins))

    def colours(
        self, rays: Rays, generator: torch.Generator | None = None
    ) -> Float[Tensor, "ray 3"]:
        """Colours of rays, differentiable with respect to their origins and directions."""
        return self.render(rays, generator).colour

    def render(self, rays: Rays, generator: torch.Generator | None = None) -> RenderOutput:
        """Colour, depth and opacity of rays."""
        return render(
            self.field,
            rays,
            self.sampler,
            self.compositing,
            generator=generator,
            memory_mb=self.memory_mb,
        )

    @torch.no_grad()
    def image(
        self,
        observation: Observation,
        pose: Float[Tensor, "3 4"],
        *,
        rays_at_once: int = 4096,
    ) -> Float[Tensor, "h w 3"]:
        """What the observation's camera would see from ``pose``."""
        h, w = observation.size
        directions = observation.directions(torch.arange(h * w))
        parts = [
            self.colours(self.rays(pose[None], part[None])).cpu()
            for part in directions.split(rays_at_once)
        ]
        return torch.cat(parts).reshape(h, w, 3)

    def meets(self, observation: Observation, poses: Float[Tensor, "pose 3 4"]) -> Tensor:
        """Share of each pose's rays (a coarse lattice) that lie in the box; 1 without a box."""
        if self.box is None:
            return torch.ones(len(poses))
        h, w = observation.size
        step = max(1, min(h, w) // 16)
        lattice = torch.arange(h * w).view(h, w)[::step, ::step].reshape(-1)
        directions = observation.directions(lattice).expand(len(poses), -1, 3)
        rays = self.rays(poses, directions)
        return (rays.far > rays.near).float().view(len(poses), -1).mean(1)


def field_view(
    field: VoxelField | NeRFField,
    *,
    near: float | None = None,
    far: float | None = None,
    skip: float = 0.0,
) -> FieldView:
    """A field of one scene as it wants to be seen.

    Args:
        near, far: instead of the field's own.
        skip: samples of a NeRF's second pass where the first one saw less weight than this are left
            out: quicker, and as right as its coarse network; 0 leaves none out.

    Raises:
        SceneError: planes between which the field cannot be sampled.
    """
    if isinstance(field, VoxelField):
        r, g, b = (float(v) for v in field.background)
        stop = min(field.settings.stop, 1e-3)
        return FieldView(
            field=field,
            sampler=VoxelMarch(),
            compositing=Compositing(background=(r, g, b), early_stop=stop),
            near=field.settings.near if near is None else near,
            far=math.inf if far is None else far,
            box=None if field.contracted else field.box,
        )
    return FieldView(
        field=field,
        sampler=field.sampler(skip=skip),
        compositing=field.compositing(),
        near=field.viewing.near if near is None else near,
        far=field.viewing.far if far is None else far,
        planar=field.planar,
    )


@contextmanager
def frozen_weights(field: object) -> Iterator[None]:
    """No gradients of the field's weights are formed inside; what needed them needs them after."""
    trained = [p for p in weights_of(field) if p.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)


def camera_at(camera: Cameras, pose: Float[Tensor, "3 4"]) -> Cameras:
    """The observation's camera at an estimated pose."""
    return replace(camera, camera_to_world=pose[None].to(camera.intrinsics))


def weights_of(field: object) -> list[nn.Parameter]:
    """A field's parameters, each once; fields that wrap a network hold it as an attribute."""
    parts = [field, *vars(field).values()] if hasattr(field, "__dict__") else [field]
    modules = [part for part in parts if isinstance(part, nn.Module)]
    return list(dict.fromkeys(p for m in modules for p in m.parameters()))


def _check_reach(view: FieldView) -> None:
    inner = getattr(view.sampler, "coarse", view.sampler)
    spacing = getattr(inner, "spacing", None)
    bounded = spacing is not None and spacing not in _BOUNDLESS and view.box is None
    if not 0 <= view.near < view.far or (bounded and math.isinf(view.far)):
        raise SceneError(
            "the field has no far plane to sample up to"
            if math.isinf(view.far)
            else "the field's near and far planes must be 0 <= near < far",
            field="near, far",
            value=(view.near, view.far),
            remedy="give --near and --far in scene units, or a box that holds the scene",
        )
