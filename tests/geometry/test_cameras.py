"""Cameras: projection, rays and distortion agree with each other and with the written formulas."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from maskfield.core.errors import SceneError
from maskfield.geometry.camera_paths import look_at
from maskfield.geometry.cameras import (
    Cameras,
    check_poses,
    distort,
    opencv_from_opengl,
    undistort,
)

FOX = [0.0578421, -0.0805099, -0.000980296, 0.00015575, 0.01]


@pytest.fixture
def cameras(generator: torch.Generator) -> Cameras:
    eyes = 4 * torch.nn.functional.normalize(torch.randn(5, 3, generator=generator), dim=-1)
    return Cameras(
        camera_to_world=look_at(eyes, torch.zeros(5, 3)),
        intrinsics=torch.tensor([80.0, 82.0, 31.0, 25.0]).repeat(5, 1),
        width=64,
        height=48,
        distortion=torch.tensor(FOX).repeat(5, 1),
    )


def test_rays_through_projections_meet_the_points(
    cameras: Cameras, generator: torch.Generator
) -> None:
    points = torch.randn(7, 3, generator=generator) * 0.3
    uv, depth = cameras.project(points)
    assert bool((depth > 0).all())
    for i in range(len(cameras)):
        rays = cameras.rays(torch.full((7,), i), uv[i])
        to_point = points - rays.origins
        distance = (to_point * rays.directions).sum(-1, keepdim=True)
        torch.testing.assert_close(rays.directions * distance, to_point, atol=2e-4, rtol=0)


def test_pixel_centres_are_at_half(cameras: Cameras) -> None:
    ideal = replace(cameras, distortion=None)
    rays = ideal.image_rays(2)
    uv, _ = ideal[2].project(rays.origins + rays.directions)
    torch.testing.assert_close(uv[0, 0], torch.tensor([0.5, 0.5]), atol=1e-3, rtol=0)
    torch.testing.assert_close(uv[0, -1], torch.tensor([63.5, 47.5]), atol=1e-3, rtol=0)
    assert len(rays) == 64 * 48


def test_distort_is_opencvs_formula() -> None:
    k1, k2, p1, p2, k3 = FOX
    x, y = 0.31, -0.22
    r2 = x * x + y * y
    radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
    expected = [
        x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
        y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
    ]
    found = distort(torch.tensor([[x, y]]).double(), torch.tensor([FOX]).double())
    torch.testing.assert_close(found[0], torch.tensor(expected).double())


def test_undistort_inverts_distort(generator: torch.Generator) -> None:
    xy = torch.rand(50, 2, generator=generator, dtype=torch.float64) - 0.5
    k = torch.tensor([FOX]).double()
    torch.testing.assert_close(undistort(distort(xy, k), k), xy, atol=1e-9, rtol=0)


def test_resized_keeps_directions(cameras: Cameras) -> None:
    small = cameras.resized(32, 24)
    a = cameras.rays(torch.tensor([1]), torch.tensor([[20.0, 30.0]]))
    b = small.rays(torch.tensor([1]), torch.tensor([[10.0, 15.0]]))
    torch.testing.assert_close(a.directions, b.directions)


def test_opengl_flip_is_an_involution(cameras: Cameras) -> None:
    flipped = opencv_from_opengl(cameras.camera_to_world)
    torch.testing.assert_close(flipped[:, :, 2], -cameras.camera_to_world[:, :, 2])
    assert torch.equal(opencv_from_opengl(flipped), cameras.camera_to_world)


def test_indexing(cameras: Cameras) -> None:
    assert len(cameras[-1]) == len(cameras[3]) == 1
    assert torch.equal(cameras[-1].centres, cameras.centres[-1:])
    assert len(cameras[[0, 2]]) == 2


@pytest.mark.parametrize("damage", ["nan", "scale", "mirror"])
def test_poses_that_are_no_motions_are_refused(cameras: Cameras, damage: str) -> None:
    poses = cameras.camera_to_world.clone()
    if damage == "nan":
        poses[3, 0, 0] = math.nan
    elif damage == "scale":
        poses[3, :, :3] *= 2
    else:
        poses[3, :, 0] *= -1
    with pytest.raises(SceneError, match="pose of frame 3"):
        check_poses(poses, file="somewhere.json")
