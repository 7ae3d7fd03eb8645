"""Rays against boxes, grid frames, boxes, and what a set of cameras shows."""

from __future__ import annotations

import math

import pytest
import torch

from maskfield.core.errors import DataError
from maskfield.geometry.boxes import Boxes3D
from maskfield.geometry.camera_paths import look_at, pinholes
from maskfield.geometry.grids import (
    grid_from_world,
    resolution_for_box,
    voxel_centres,
    world_from_grid,
)
from maskfield.geometry.rays import Rays, intersect_box
from maskfield.geometry.se3 import rotation_exp
from maskfield.geometry.views import frustum_points, mean_up, sees, turn_up_to_z

BOX = torch.tensor([[-1.0, -2.0, -3.0], [1.0, 2.0, 3.0]])


@pytest.mark.parametrize(
    ("origin", "direction", "expected"),
    [
        ((-5.0, 0, 0), (1.0, 0, 0), (4.0, 6.0)),
        ((0.0, 0, 0), (0.0, 0, 1), (0.0, 3.0)),
        ((0.0, 5, 0), (0.0, -1, 0), (3.0, 7.0)),
    ],
)
def test_slabs(origin: tuple, direction: tuple, expected: tuple) -> None:
    enter, leave = intersect_box(torch.tensor([origin]), torch.tensor([direction]), BOX)
    assert (float(enter), float(leave)) == pytest.approx(expected)


@pytest.mark.parametrize("direction", [(-1.0, 0, 0), (0.0, 1, 0), (0.3, 1, 0)])
def test_misses_leave_before_they_enter(direction: tuple) -> None:
    enter, leave = intersect_box(torch.tensor([[-5.0, 0, 0]]), torch.tensor([direction]), BOX)
    assert float(leave) < float(enter)


def test_clipped_rays_stay_inside(generator: torch.Generator) -> None:
    origins = torch.randn(200, 3, generator=generator) * 4
    directions = torch.nn.functional.normalize(torch.randn(200, 3, generator=generator), dim=-1)
    rays = Rays(
        origins=origins,
        directions=directions,
        near=torch.zeros(200),
        far=torch.full((200,), math.inf),
    ).clipped(BOX)
    middle = origins + directions * ((rays.near + rays.far) / 2)[:, None]
    hit = rays.far > rays.near
    assert bool(hit.any())
    assert bool((~hit).any())
    assert bool(((middle >= BOX[0]) & (middle <= BOX[1])).all(1)[hit].all())


def test_voxel_centres_and_coordinates_agree() -> None:
    resolution = (2, 4, 3)
    centres = voxel_centres(BOX, resolution)
    assert centres.shape == (2, 4, 3, 3)
    index = grid_from_world(centres, BOX, resolution)
    torch.testing.assert_close(index[1, 2, 0], torch.tensor([1.5, 2.5, 0.5]))
    torch.testing.assert_close(world_from_grid(index, BOX, resolution), centres)


def test_resolution_is_near_cubic() -> None:
    assert resolution_for_box(BOX, 48) == (16, 32, 48)
    assert resolution_for_box(BOX, 50, multiple=4) == (16, 32, 48)


def test_box_corners_turn_with_yaw() -> None:
    boxes = Boxes3D(
        centre=torch.tensor([[1.0, 2, 3]]),
        size=torch.tensor([[4.0, 2, 6]]),
        yaw=torch.tensor([math.pi / 2]),
        label=torch.tensor([7]),
    )
    corners = boxes.corners()[0]
    torch.testing.assert_close(corners.amin(0), torch.tensor([0.0, 0, 0]), atol=1e-6, rtol=0)
    torch.testing.assert_close(corners.amax(0), torch.tensor([2.0, 4, 6]))
    again = Boxes3D.from_json(boxes.to_json())
    assert torch.equal(again.centre, boxes.centre)
    assert again.score is None


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan])
def test_bad_boxes_are_refused(value: float) -> None:
    size = torch.tensor([[1.0, 1, 1], [1, value, 1]])
    boxes = Boxes3D(
        centre=torch.zeros(2, 3), size=size, yaw=torch.zeros(2), label=torch.zeros(2).long()
    )
    with pytest.raises(DataError, match="box 1"):
        boxes.validated()


def _handheld(generator: torch.Generator) -> torch.Tensor:
    angle = torch.linspace(0, 5, 12)
    height = torch.rand(12, generator=generator)
    eyes = torch.stack([3 * angle.cos(), 3 * angle.sin(), 1 + height], dim=1)
    return look_at(eyes, torch.zeros(12, 3))


def test_the_vertical_is_found_despite_pitch(generator: torch.Generator) -> None:
    poses = _handheld(generator)
    tilt = rotation_exp(torch.tensor([0.4, -0.9, 0.3]))
    tilted = torch.cat([tilt @ poses[:, :, :3], tilt @ poses[:, :, 3:]], dim=-1)
    up = turn_up_to_z(tilted) @ tilt @ torch.tensor([0.0, 0, 1])
    assert float(up[2]) > 0.9999
    assert float(mean_up(poses)[2]) > 0.95


def test_frustum_points_project_back_to_the_corners(generator: torch.Generator) -> None:
    cameras = pinholes(_handheld(generator), 40, 30, 60.0)
    points = frustum_points(cameras, torch.tensor([1.0, 2.0]))
    uv, depth = cameras[4].project(points[4, 1])
    expected = torch.tensor([[0.0, 0], [40, 0], [0, 30], [40, 30], [20, 15]])
    torch.testing.assert_close(uv[0], expected, atol=1e-3, rtol=0)
    torch.testing.assert_close(depth[0], torch.full((5,), 2.0))
    assert bool(sees(cameras, torch.zeros(3)).all())
    assert not bool(sees(cameras, torch.tensor([0.0, 0, 50.0])).any())
