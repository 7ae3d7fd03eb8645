"""Camera paths: every camera is a proper pose, and sees what it should."""

from __future__ import annotations

import pytest
import torch

from maskfield.geometry.camera_paths import (
    dtu_film,
    focus_point,
    look_at,
    orbit,
    overview,
    pinholes,
    spiral,
    tour,
    turn_table,
)
from maskfield.geometry.cameras import Cameras, check_poses

BOX = torch.tensor([[-2.0, -1.0, 0.0], [2.0, 1.0, 2.0]])


def ring(outward: bool = False, count: int = 10) -> Cameras:
    """Cameras on a circle of radius 3 at height 1.5 about (0.3, -0.2), looking in or out."""
    angle = torch.linspace(0, 6.283185, count + 1)[:-1] + 0.1
    spoke = torch.stack([angle.cos(), angle.sin(), torch.zeros_like(angle)], -1)
    middle = torch.tensor([0.3, -0.2, 1.0])
    eye = middle + 3 * spoke + torch.tensor([0.0, 0, 0.5])
    target = eye + spoke if outward else middle.expand_as(eye)
    return pinholes(look_at(eye, target), 64, 48, 60.0)


def forward_facing() -> Cameras:
    x = torch.linspace(-0.5, 0.5, 8)
    eye = torch.stack([x, torch.full_like(x, -4.0), 1 + 0.2 * torch.sin(9 * x)], -1)
    return pinholes(look_at(eye, torch.tensor([[0.0, 0, 1]]).expand_as(eye)), 64, 48, 50.0)


def test_look_at_is_a_rotation_with_the_target_in_the_middle_and_up_upwards():
    eye = torch.tensor([[1.0, 2.0, 3.0], [-1.0, 0.5, 0.0]])
    target = torch.tensor([[0.0, 0.0, 1.0], [2.0, 2.0, 2.0]])
    cameras = pinholes(look_at(eye, target), 64, 48, 60.0)
    check_poses(cameras.camera_to_world)
    for i in range(2):
        uv, depth = cameras[i].project(target[i : i + 1])
        torch.testing.assert_close(uv[0, 0], torch.tensor([32.0, 24.0]), atol=1e-4, rtol=0)
        assert depth[0, 0] > 0
        above, _ = cameras[i].project(target[i : i + 1] + torch.tensor([0.0, 0, 0.1]))
        assert above[0, 0, 1] < uv[0, 0, 1]


def test_field_of_view():
    cameras = pinholes(torch.eye(4)[None, :3], 100, 60, 90.0)
    uv, _ = cameras.project(torch.tensor([[1.0, 0, 1]]))
    torch.testing.assert_close(uv[0, 0], torch.tensor([100.0, 30.0]))


@pytest.mark.parametrize("elevation", [5.0, 42.0, 89.9])
@pytest.mark.parametrize("size", [(320, 240), (120, 200)])
def test_overview_sees_the_whole_box_and_fills_the_picture(elevation, size):
    width, height = size
    camera = overview(BOX, width, height, elevation_degrees=elevation)
    check_poses(camera.camera_to_world)
    corners = torch.cartesian_prod(*[BOX[:, a] for a in range(3)])
    uv, depth = camera.project(corners)
    assert (depth > 0).all()
    margin = torch.minimum(uv[0], torch.tensor([width, height]) - uv[0]).min(0).values
    assert (margin >= 0).all()
    assert (margin < 0.15 * torch.tensor([width, height])).any()


def test_focus_point_is_where_the_axes_meet():
    torch.testing.assert_close(
        focus_point(ring()), torch.tensor([0.3, -0.2, 1.0]), atol=1e-3, rtol=0
    )


def test_orbit_of_an_object_keeps_distance_height_and_aim():
    path = orbit(ring(), BOX, 12)
    check_poses(path.camera_to_world)
    middle = torch.tensor([0.3, -0.2, 1.0])
    distance = (path.centres - middle)[:, :2].norm(dim=-1)
    torch.testing.assert_close(distance, torch.full((12,), 3.0), atol=0.01, rtol=0)
    torch.testing.assert_close(path.centres[:, 2], torch.full((12,), 1.5), atol=0.01, rtol=0)
    uv, depth = path.project(middle[None])
    torch.testing.assert_close(uv[:, 0], torch.tensor([[32.0, 24]]).expand(12, 2), atol=0.5, rtol=0)
    assert (depth > 0).all()


def test_orbit_of_a_room_turns_round_within_and_looks_out():
    path = orbit(ring(outward=True), BOX, 12)
    check_poses(path.camera_to_world)
    offset = path.centres - path.centres.mean(0)
    assert (offset[:, :2].norm(dim=-1) < 0.5).all()
    assert ((offset * path.forward_axes).sum(-1) > 0).all()


def test_spiral_stays_near_the_average_camera_and_sees_the_focus():
    cameras = forward_facing()
    path = spiral(cameras, 20)
    check_poses(path.camera_to_world)
    assert (path.centres - cameras.centres.mean(0)).norm(dim=-1).max() < 1.0
    uv, depth = path.project(torch.tensor([[0.0, 0.0, 1.0]]))
    assert (depth > 3).all()
    assert ((uv > 0) & (uv < torch.tensor([64.0, 48.0]))).all()
    assert (path.camera_to_world[:, 2, 1] < -0.9).all()  # image-down stays world-down


def test_tour_starts_at_the_first_camera_and_is_smooth():
    cameras = ring(count=30)
    shuffled = cameras[torch.randperm(30, generator=torch.Generator().manual_seed(1))]
    path = tour(shuffled, 60)
    check_poses(path.camera_to_world)
    torch.testing.assert_close(
        path.camera_to_world[0], shuffled.camera_to_world[0], atol=1e-4, rtol=0
    )
    steps = path.centres.diff(dim=0).norm(dim=-1)
    assert steps.max() < 1.0  # a jump across the ring would be up to 6
    assert len(path) == 60


def test_tour_of_one_camera_stands_still():
    path = tour(ring(count=1), 3)
    assert (path.camera_to_world == path.camera_to_world[:1]).all()


def test_turn_table_is_a_level_circle_that_looks_at_its_centre():
    lens, centre = forward_facing(), (0.5, -1.0, 0.25)
    cameras = turn_table(lens, 8, radius=2.0, elevation_degrees=30.0, centre=centre)
    check_poses(cameras.camera_to_world)
    offset = cameras.centres - torch.tensor(centre)
    torch.testing.assert_close(offset.norm(dim=-1), torch.full((8,), 2.0))
    torch.testing.assert_close(offset[:, 2], torch.full((8,), 1.0))
    torch.testing.assert_close(cameras.forward_axes, -offset / 2)
    assert offset[0, 1] < 0
    assert abs(float(offset[0, 0])) < 1e-6
    assert cameras.width == lens.width
    assert torch.equal(cameras.intrinsics[0], lens.intrinsics[0])


def test_dtu_film_closes_and_looks_at_the_origin_from_its_distance():
    poses = dtu_film(25, distance=3.0)
    check_poses(poses)
    torch.testing.assert_close(poses[0], poses[-1])
    torch.testing.assert_close(poses[:, :, 3], -3.0 * poses[:, :, 2])
    steps = (poses[1:, :, 3] - poses[:-1, :, 3]).norm(dim=-1)
    assert float(steps.max()) < 1.5
    assert float(steps.min()) > 0.01
