"""A small coloured object as a voxel field, and photographs of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

from maskfield.fields.pooling import raw_density
from maskfield.fields.sampler import VoxelMarch
from maskfield.fields.voxel import VoxelField, VoxelSettings
from maskfield.geometry.camera_paths import look_at
from maskfield.geometry.cameras import Cameras
from maskfield.methods.inerf.observation import Observation
from maskfield.methods.inerf.view import FieldView
from maskfield.rendering.compositing import Compositing

WHITE = (1.0, 1.0, 1.0)


@pytest.fixture(scope="session")
def blob() -> VoxelField:
    """A lopsided body of three coloured balls, 32 voxels a side, before white."""
    box = torch.tensor([[-1.0] * 3, [1.0] * 3])
    field = VoxelField(box, 32, VoxelSettings(degree=1, near=0.5))
    points = field.world_of_voxels().float()
    centres = torch.tensor([[-0.4, 0.0, -0.2], [0.35, 0.2, 0.1], [0.1, -0.45, 0.5]])
    radii = torch.tensor([0.45, 0.35, 0.2])
    inside = (radii - (points[..., None, :] - centres).norm(dim=-1)) * 32
    optical = 4 * torch.sigmoid(inside).amax(-1) + 1e-4
    paint = torch.tensor([[3.0, -2.0, -2.0], [-2.0, 2.0, -1.0], [-1.0, -2.0, 3.0]])
    colour = (F.softmax(inside, -1)[..., None] * paint).sum(-2)
    colour = colour + 1.5 * torch.sin(6 * points[..., [1, 2, 0]])
    with torch.no_grad():
        field.density.copy_(raw_density(optical, field.settings.shift))
        field.colour.view(32, 32, 32, 3, 4)[..., 0] = colour / 0.282
        field.background.fill_(1)
    field.update_occupancy(1e-3)
    return field.requires_grad_(False)


@pytest.fixture
def blob_view(blob: VoxelField) -> FieldView:
    """How it is rendered."""
    return FieldView(
        field=blob, sampler=VoxelMarch(), compositing=Compositing(background=WHITE), near=0.5
    )


@pytest.fixture
def photograph(blob_view: FieldView) -> Callable[..., tuple[Observation, torch.Tensor]]:
    """A photograph of the body, and the pose it was taken from."""

    def take(eye: tuple[float, float, float] = (3.0, 1.0, 1.5), side: int = 64):
        pose = look_at(torch.tensor([eye]), torch.zeros(1, 3))[0]
        lens = torch.tensor([[1.4 * side, 1.4 * side, side / 2, side / 2]])
        camera = Cameras(camera_to_world=pose[None], intrinsics=lens, width=side, height=side)
        blank = Observation(image=torch.rand(side, side, 3), camera=camera)
        image = blob_view.image(blank, pose)
        return Observation(image=image.clamp(0, 1), camera=camera), pose

    return take
