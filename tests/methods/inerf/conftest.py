"""A small coloured object as a voxel field, and photographs of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from maskfield.fields.sampler import VoxelMarch
from maskfield.fields.voxel import VoxelField
from maskfield.geometry.camera_paths import look_at
from maskfield.geometry.cameras import Cameras
from maskfield.methods.inerf.observation import Observation
from maskfield.methods.inerf.view import FieldView
from maskfield.rendering.compositing import Compositing
from methods.inerf.scenes import make_blob

WHITE = (1.0, 1.0, 1.0)


@pytest.fixture(scope="session")
def blob() -> VoxelField:
    """A lopsided body of three coloured balls, 32 voxels a side, before white."""
    return make_blob()


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
