"""render() against closed forms: homogeneous sphere and slab, opaque plane, misses, masks."""

from __future__ import annotations

import math

import pytest
import torch

from maskfield.geometry.cameras import Cameras
from maskfield.geometry.rays import Rays
from maskfield.rendering.occupancy import OccupancyGrid
from maskfield.rendering.renderer import Compositing, render, render_image
from maskfield.rendering.samplers import ImportanceSampler, OccupancySampler, StratifiedSampler

BOX = torch.tensor([[-1.2, -1.2, -1.2], [1.2, 1.2, 1.2]], dtype=torch.float64)


def chords(rays: Rays) -> torch.Tensor:
    """Length of each parallel ray inside the unit sphere."""
    return 2 * (1 - rays.origins[:, 0].square()).clamp_min(0).sqrt()


def samplers(field) -> dict[str, object]:
    grid = OccupancyGrid.full(BOX, (24, 24, 24)).updated(field)
    stratified = StratifiedSampler(count=600)
    coarse = StratifiedSampler(count=200, layout="ends", interval="next")
    return {
        "stratified": stratified,
        "importance": ImportanceSampler(coarse=coarse, fine=400),
        "occupancy": OccupancySampler(occupancy=grid, step=0.01),
        "occupancy torch": OccupancySampler(occupancy=grid, step=0.01, backend="torch"),
    }


@pytest.mark.parametrize("kind", ["density", "alpha", "weights"])
@pytest.mark.parametrize("name", ["stratified", "importance", "occupancy", "occupancy torch"])
def test_homogeneous_sphere(name, kind, world):
    rays, colour = world.parallel_rays(16), (0.9, 0.5, 0.1)
    # the grid of the occupancy sampler is built from density: weights exist along rays only
    sampler = samplers(world.sphere(1.3, colour))[name]
    out = render(world.sphere(1.3, colour, kind), rays, sampler)
    opacity = 1 - torch.exp(-1.3 * chords(rays))
    torch.testing.assert_close(out.opacity, opacity, atol=0.02, rtol=0)
    expected = opacity[:, None] * torch.tensor(colour, dtype=torch.float64)
    torch.testing.assert_close(out.colour, expected, atol=0.02, rtol=0)


@pytest.mark.parametrize("background", [None, (1.0, 0.0, 0.25)])
def test_slab_is_exact_where_samples_fit_it(background, world):
    """Constant density with bin edges on the slab's faces: opacity exact, colour second order."""
    rays = world.parallel_rays(3, near=3.0, far=4.0)  # z from 0 to 1
    sigma, n = 2.0, 512
    out = render(
        world.slab(sigma, -1, 2),
        rays,
        StratifiedSampler(count=n),
        Compositing(background=background),
    )
    opacity = 1 - math.exp(-sigma)
    # integral of sigma exp(-sigma z) z over [0, 1]
    red = (1 - math.exp(-sigma) * (1 + sigma)) / sigma
    behind = torch.tensor(background or (0.0, 0.0, 0.0)).double() * (1 - opacity)
    expected = torch.tensor([red, opacity - red, 0.5 * opacity]).double() + behind
    torch.testing.assert_close(out.opacity, torch.full((3,), opacity).double())
    torch.testing.assert_close(out.colour, expected.expand(3, 3), atol=1e-5, rtol=0)
    depth = 3 + red / opacity
    torch.testing.assert_close(out.depth, torch.full((3,), depth).double(), atol=1e-5, rtol=0)


def test_quadrature_is_second_order(world):
    rays, errors = world.parallel_rays(1, near=2.0, far=4.0), []
    exact = render(world.smooth(), rays, StratifiedSampler(count=8192)).colour
    for n in (32, 64, 128):
        errors.append(
            float(
                (render(world.smooth(), rays, StratifiedSampler(count=n)).colour - exact)
                .abs()
                .max()
            )
        )
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.1)
    assert errors[1] / errors[2] == pytest.approx(4, rel=0.1)


@pytest.mark.parametrize("depth", ["expected", "accumulated", "median"])
def test_depth_of_an_opaque_plane(depth, world):
    rays = world.parallel_rays(4)
    out = render(
        world.slab(1e5, 0.5, 9), rays, StratifiedSampler(count=2000), Compositing(depth=depth)
    )
    torch.testing.assert_close(out.depth, torch.full((4,), 3.5).double(), atol=0.004, rtol=0)
    torch.testing.assert_close(out.opacity, torch.ones(4).double())


def test_rays_that_miss_show_the_background_only(world):
    rays = world.parallel_rays(4)
    far_box = torch.tensor([[5.0, 5.0, 5.0], [6.0, 6.0, 6.0]], dtype=torch.float64)
    missing = rays.clipped(far_box)
    back = Compositing(background=(0.1, 0.2, 0.3), last_interval="1e10")
    field = world.AnalyticField(
        lambda p: torch.full_like(p[..., 0], torch.nan), lambda p: p * torch.nan
    )
    out = render(field, missing, StratifiedSampler(count=8), back)
    expected = torch.tensor([0.1, 0.2, 0.3]).double().expand(4, 3)
    torch.testing.assert_close(out.colour, expected)
    assert (out.opacity == 0).all()
    assert (out.depth == 0).all()


def test_image_depth_is_along_camera_z_and_distance_along_the_ray(world):
    pose = torch.eye(4)[:3].double()
    pose[2, 3] = -3
    cameras = Cameras(
        camera_to_world=pose[None],
        intrinsics=torch.tensor([[10.0, 10.0, 6.0, 4.0]]).double(),
        width=12,
        height=8,
    )
    image = render_image(
        world.slab(1e5, 0.5, 9), cameras, 0, StratifiedSampler(count=4000), near=0.0, far=8.0
    )
    assert image.colour.shape == (8, 12, 3)
    torch.testing.assert_close(image.depth, torch.full((8, 12), 3.5).double(), atol=0.005, rtol=0)
    v, u = torch.meshgrid(torch.arange(8) + 0.5, torch.arange(12) + 0.5, indexing="ij")
    length = torch.sqrt(((u - 6) / 10) ** 2 + ((v - 4) / 10) ** 2 + 1).double()
    torch.testing.assert_close(image.distance, 3.5 * length, atol=0.005, rtol=0)
    assert image.features.shape == (8, 12, 3)
    assert image.logits.shape == (8, 12, 1)


def test_image_rays_are_clipped_to_the_box(world):
    pose = torch.eye(4)[:3].double()
    pose[2, 3] = -3
    cameras = Cameras(
        camera_to_world=pose[None],
        intrinsics=torch.tensor([[4.0, 4.0, 8.0, 8.0]]).double(),
        width=16,
        height=16,
    )
    out = render_image(
        world.sphere(50.0, (1, 1, 1)), cameras, 0, StratifiedSampler(count=400), box=BOX
    )
    assert float(out.opacity[8, 8]) == pytest.approx(1, abs=1e-6)
    # the ray through this pixel's centre meets the sphere at 2.1014; light goes 1 / 50 deep
    assert float(out.distance[8, 8]) == pytest.approx(2.1014 + 0.02, abs=0.005)
    assert float(out.opacity[0, 0]) == 0


def test_features_and_logits_are_composited_with_the_same_weights(world):
    rays = world.parallel_rays(5)
    sampler = StratifiedSampler(count=50)
    out = render(world.smooth(), rays, sampler, Compositing(keep_weights=True))
    points = rays.origins[:, None] + out.t[..., None] * rays.directions[:, None]
    expected = (out.weights[..., None] * points).sum(1)
    torch.testing.assert_close(out.features, expected)
    torch.testing.assert_close(out.logits, out.colour[:, :1])
