"""The particle search: finds the region of the right pose where nothing is known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from maskfield.core.errors import ConfigError
from maskfield.geometry.camera_paths import look_at, pinholes
from maskfield.geometry.cameras import Cameras
from maskfield.methods.inerf.observation import Observation
from maskfield.methods.inerf.search import particle_search, starts_around, starts_on_sphere
from maskfield.methods.inerf.search_config import SearchConfig
from maskfield.methods.inerf.view import FieldView
from maskfield.metrics.pose import rotation_error, translation_error
from maskfield.rendering.grid_field import GridField
from maskfield.rendering.renderer import Compositing
from maskfield.rendering.samplers import StratifiedSampler

BOX = torch.tensor([[-1.0, -1, -1], [1, 1, 1]])


def coloured_cube() -> GridField:
    """A solid whose colour tells every place and direction from every other."""
    axis = (torch.arange(16) + 0.5) / 16
    colour = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"))
    distance = (colour - 0.5).abs().amax(0)
    density = torch.where(distance < 0.35, 40.0, 0.0)[None]
    return GridField(colour, density, BOX)


@pytest.fixture(scope="module")
def view() -> FieldView:
    return FieldView(
        field=coloured_cube(),
        sampler=StratifiedSampler(count=48),
        compositing=Compositing(background=(1.0, 1.0, 1.0)),
        near=1.0,
        far=6.0,
        box=BOX,
    )


def observed(view: FieldView, pose: Tensor) -> Observation:
    camera = pinholes(pose[None], 32, 32, 50.0)
    blank = Observation(image=torch.zeros(32, 32, 3), camera=camera)
    return Observation(image=view.image(blank, pose).clamp(0, 1), camera=camera)


def test_finds_the_region_of_the_pose(view: FieldView) -> None:
    generator = torch.Generator().manual_seed(0)
    true = look_at(torch.tensor([[2.1, -1.6, 1.2]]), torch.zeros(1, 3))[0]
    starts = starts_on_sphere(torch.zeros(3), 3.0, 200, generator)
    config = SearchConfig(particles=60, rounds=6, pixels=128, side=16)
    found = particle_search(view, observed(view, true), starts, config, generator)
    assert bool((found.losses.diff() >= 0).all())
    assert float(rotation_error(found.poses[0], true)) < 12
    assert float(translation_error(found.poses[0], true)) < 0.5


def test_nothing_is_drawn_but_from_the_generator(view: FieldView) -> None:
    true = look_at(torch.tensor([[0.0, -3.0, 0.5]]), torch.zeros(1, 3))[0]
    config = SearchConfig(particles=20, rounds=2, pixels=32, side=16)

    def once() -> Tensor:
        generator = torch.Generator().manual_seed(3)
        starts = starts_on_sphere(torch.zeros(3), 3.0, 40, generator)
        return particle_search(view, observed(view, true), starts, config, generator).poses

    assert torch.equal(once(), once())


def test_starts_on_a_sphere_look_at_its_centre() -> None:
    starts = starts_on_sphere(torch.ones(3), 2.0, 50, torch.Generator().manual_seed(0))
    to_centre = torch.ones(3) - starts[:, :, 3]
    assert torch.allclose(to_centre.norm(dim=1), torch.full((50,), 2.0), atol=1e-5)
    assert torch.allclose(to_centre / 2, starts[:, :, 2], atol=1e-5)
    assert float((starts[:, 2, 3] - 1).min()) > -0.6  # hardly below the horizon


def test_starts_around_cameras_keep_rotations_and_stay_near() -> None:
    eyes = torch.tensor([[2.0, 0, 1], [0, 2, 1], [-2, 0, 1]])
    cameras = Cameras(
        camera_to_world=look_at(eyes, torch.zeros(3, 3)),
        intrinsics=torch.tensor([[40.0, 40, 16, 16]]).expand(3, 4),
        width=32,
        height=32,
    )
    starts = starts_around(cameras, 31, 0.1, torch.Generator().manual_seed(0))
    assert starts.shape == (31, 3, 4)
    turns = starts[:, :, :3]
    assert torch.allclose(turns @ turns.mT, torch.eye(3).expand_as(turns), atol=1e-5)
    distance = (starts[:, None, :, 3] - eyes).norm(dim=-1).min(1).values
    assert 0 < float(distance.mean()) < 0.6
    same = starts_around(cameras, 3, 0.0, torch.Generator().manual_seed(0))
    assert math.isclose(float((same[:, None, :, 3] - eyes).norm(dim=-1).min(1).values.max()), 0)


@pytest.mark.parametrize("bad", [{"particles": 0}, {"near": 0.9}, {"power": 0.0}, {"restless": 2}])
def test_options_out_of_range(bad: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        SearchConfig(**bad)  # pyright: ignore[reportArgumentType]
