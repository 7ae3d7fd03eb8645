"""NDC against perspective division, the original formulae written out, and a rendered image."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from maskfield.core.errors import SceneError
from maskfield.geometry.cameras import Cameras
from maskfield.geometry.rays import Rays
from maskfield.rendering.ndc import NDC, NDCSampler
from maskfield.rendering.renderer import render
from maskfield.rendering.samplers import StratifiedSampler

FOCAL, WIDTH, HEIGHT, NEAR = 50.0, 64, 48, 0.8


def reference_pose() -> torch.Tensor:
    """A camera turned about y and z, away from the origin."""
    a, b = 0.4, -0.3
    about_y = torch.tensor([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    about_z = torch.tensor([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    centre = torch.tensor([[1.0], [-2.0], [0.5]])
    return torch.cat([about_z.double() @ about_y.double(), centre.double()], dim=1)


def cube() -> NDC:
    return NDC(camera_to_world=reference_pose(), focal=FOCAL, width=WIDTH, height=HEIGHT, near=NEAR)


def forward_rays(generator, count=20) -> Rays:
    pose = reference_pose()
    local = torch.randn(count, 3, generator=generator, dtype=torch.float64) * 0.2
    local[:, 2] = 1
    directions = local @ pose[:, :3].T
    offsets = torch.randn(count, 3, generator=generator, dtype=torch.float64) * 0.1
    near = torch.zeros(count, dtype=torch.float64)
    return Rays(
        origins=pose[:, 3] + offsets,
        directions=directions / directions.norm(dim=-1, keepdim=True),
        near=near,
        far=near + torch.inf,
    )


def test_rays_match_the_original_formulae(generator):
    """The paper's equations with OpenGL axes, in numpy; their directions are not unit vectors."""
    rays = forward_rays(generator)
    pose = reference_pose()
    flip = np.diag([1.0, -1.0, -1.0])
    o = (rays.origins - pose[:, 3]).numpy() @ pose[:, :3].numpy() @ flip
    d = rays.directions.numpy() @ pose[:, :3].numpy() @ flip
    o = o + (-(NEAR + o[:, 2]) / d[:, 2])[:, None] * d
    ax, ay = -1 / (WIDTH / (2 * FOCAL)), -1 / (HEIGHT / (2 * FOCAL))
    o0, o1, o2 = ax * o[:, 0] / o[:, 2], ay * o[:, 1] / o[:, 2], 1 + 2 * NEAR / o[:, 2]
    d0 = ax * (d[:, 0] / d[:, 2] - o[:, 0] / o[:, 2])
    d1 = ay * (d[:, 1] / d[:, 2] - o[:, 1] / o[:, 2])
    d2 = -2 * NEAR / o[:, 2]
    made = cube().rays(rays)
    np.testing.assert_allclose(made.origins.numpy(), np.stack([o0, o1, o2], -1), atol=1e-12)
    along = np.stack([d0, d1, d2], -1)
    np.testing.assert_allclose((made.directions * made.far[:, None]).numpy(), along, atol=1e-12)
    np.testing.assert_allclose(made.directions.norm(dim=-1).numpy(), 1)


def test_points_of_a_ray_lie_on_the_ray_of_the_cube(generator):
    rays, ndc = forward_rays(generator), cube()
    made = ndc.rays(rays)
    t = torch.linspace(0.0, 0.95, 7, dtype=torch.float64) * made.far[:, None]
    in_cube = made.origins[:, None] + t[..., None] * made.directions[:, None]
    distance = ndc.world_distance(rays, t)
    world_points = rays.origins[:, None] + distance[..., None] * rays.directions[:, None]
    torch.testing.assert_close(ndc.points(world_points), in_cube, atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(in_cube[:, 0, 2], torch.full((20,), -1.0).double())


def test_the_image_of_the_reference_camera_fills_the_cube():
    camera = Cameras(
        camera_to_world=reference_pose()[None],
        intrinsics=torch.tensor([[FOCAL, FOCAL, WIDTH / 2, HEIGHT / 2]]).double(),
        width=WIDTH,
        height=HEIGHT,
    )
    ndc = NDC.from_camera(camera, NEAR)
    corners = torch.tensor([[0.0, 0.0], [WIDTH, HEIGHT]]).double()
    rays = camera.rays(torch.zeros(2, dtype=torch.long), corners)
    made = ndc.rays(rays)
    expected = torch.tensor([[-1.0, 1.0, -1.0], [1.0, -1.0, -1.0]]).double()
    torch.testing.assert_close(made.origins, expected)
    end = made.origins + made.far[:, None] * made.directions
    torch.testing.assert_close(end[:, 2], torch.ones(2).double())


def test_depth_of_an_opaque_wall_comes_out_in_world_units(world):
    """A wall at depth 4 of the reference camera, seen through a field that lives in the cube."""
    ndc = cube()
    wall = 1 - 2 * NEAR / 4.0
    field = world.AnalyticField(lambda p: 1e5 * (p[..., 2] > wall).to(p), torch.sigmoid)
    pose = reference_pose()
    rays = Rays(
        origins=pose[None, :, 3],
        directions=pose[None, :, 2],
        near=torch.zeros(1).double(),
        far=torch.full((1,), torch.inf).double(),
    )
    out = render(field, rays, NDCSampler(sampler=StratifiedSampler(count=2000), ndc=ndc))
    assert float(out.depth) == pytest.approx(4.0, abs=0.02)
    assert float(out.opacity) == pytest.approx(1.0)


def test_the_last_sample_of_the_original_layout_is_finite(world, generator):
    rays = forward_rays(generator)
    sampler = NDCSampler(
        sampler=StratifiedSampler(count=8, layout="ends", interval="next"), ndc=cube()
    )
    samples = sampler(rays, world.smooth())
    assert torch.isfinite(samples.t).all()
    assert (samples.t.diff(dim=1) > 0).all()
    torch.testing.assert_close(samples.directions[:, 0], rays.directions)


def test_rays_that_look_back_are_refused(generator):
    rays = forward_rays(generator)
    turned = Rays(origins=rays.origins, directions=-rays.directions, near=rays.near, far=rays.far)
    with pytest.raises(SceneError, match="forward"):
        cube().rays(turned)
