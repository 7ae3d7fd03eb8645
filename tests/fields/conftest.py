"""Small fields, rays and a small procedural scene."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from maskfield.data.scene import Scene
from maskfield.data.synthetic.rooms import room_scene
from maskfield.fields.voxel import VoxelField, VoxelSettings
from maskfield.geometry.rays import Rays

BOX = torch.tensor([[-1.0, -1.5, -1.0], [1.0, 1.5, 1.0]])


@pytest.fixture
def make_field() -> Callable[..., VoxelField]:
    """A field of noise with some empty cells; ``shell`` 0 is bounded."""

    def make(
        shell: float = 0.0,
        dtype: torch.dtype = torch.float64,
        longest: int = 12,
        stop: float = 0.0,
        degree: int = 1,
    ) -> VoxelField:
        generator = torch.Generator().manual_seed(0)
        settings = VoxelSettings(shell=shell, stop=stop, w_min=-1.0, shift=-1.0, degree=degree)
        field = VoxelField(BOX, longest, settings).to(dtype)
        with torch.no_grad():
            field.density.normal_(generator=generator)
            field.colour.normal_(generator=generator)
            field.occupancy.copy_(torch.rand(field.occupancy.shape, generator=generator) < 0.8)
        return field

    return make


@pytest.fixture
def make_rays() -> Callable[..., Rays]:
    """Rays from outside towards the middle."""

    def make(
        count: int = 20, dtype: torch.dtype = torch.float64, far: float = float("inf")
    ) -> Rays:
        generator = torch.Generator().manual_seed(1)
        origins = 2 * torch.randn(count, 3, generator=generator, dtype=dtype)
        target = 0.5 * torch.randn(count, 3, generator=generator, dtype=dtype)
        return Rays(
            origins=origins,
            directions=torch.nn.functional.normalize(target - origins, dim=-1),
            near=torch.zeros(count, dtype=dtype),
            far=torch.full((count,), far, dtype=dtype),
        )

    return make


@pytest.fixture(scope="session")
def small_room() -> Scene:
    """12 photographs of 40 x 30 of one procedural room."""
    return room_scene(0, views=12, width=40, height=30, holdout=6)
