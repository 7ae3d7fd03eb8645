"""The renderer's promises: chunks, memory budget, fast path, options, gradients."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch
from torch.autograd import gradcheck

from maskfield.core.errors import ConfigError
from maskfield.geometry.cameras import Cameras
from maskfield.geometry.rays import Rays
from maskfield.rendering.budget import PROBE_RAYS, bytes_per_ray, rays_in_budget
from maskfield.rendering.compositing import LARGE_INTERVAL
from maskfield.rendering.occupancy import OccupancyGrid
from maskfield.rendering.renderer import Compositing, RenderOutput, render
from maskfield.rendering.samplers import ImportanceSampler, OccupancySampler, StratifiedSampler

BOX = torch.tensor([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]], dtype=torch.float64)


def jittered_samplers(field) -> dict[str, object]:
    coarse = StratifiedSampler(count=12, jitter=True)
    grid = OccupancyGrid.full(BOX, (8, 8, 8), threshold=0.6).updated(field)
    return {
        "stratified": StratifiedSampler(count=20, jitter=True),
        "importance": ImportanceSampler(coarse=coarse, fine=10, jitter=True),
        "occupancy": OccupancySampler(occupancy=grid, step=0.05, jitter=True),
    }


@pytest.mark.parametrize("name", ["stratified", "importance", "occupancy"])
def test_the_result_does_not_depend_on_chunks(name, world):
    field, rays = world.smooth(), world.parallel_rays(300)
    sampler = jittered_samplers(field)[name]
    keep, results = Compositing(keep_weights=True, background=(1, 1, 1)), []
    for memory in (0.05, 512):
        seeded = torch.Generator().manual_seed(3)
        results.append(render(field, rays, sampler, keep, generator=seeded, memory_mb=memory))
    assert len(field.asked) > 6
    for item in fields(RenderOutput):
        small, large = (getattr(r, item.name) for r in results)
        torch.testing.assert_close(small, large, msg=lambda m, n=item.name: f"{n}: {m}")


def test_chunks_stay_within_the_budget(world):
    field, rays = world.smooth(), world.parallel_rays(2000)
    sampler = StratifiedSampler(count=32)
    render(field, rays, sampler, memory_mb=1)
    samples = sampler(rays[:PROBE_RAYS])
    each = bytes_per_ray(samples, field(samples), field)
    assert field.asked[0][0] == PROBE_RAYS
    assert all(n * each <= 2**20 for n, _ in field.asked[1:-1])
    assert field.asked[1][0] == rays_in_budget(each, 1) > PROBE_RAYS


def test_a_field_may_declare_its_hunger(world):
    rays, sampler = world.parallel_rays(10), StratifiedSampler(count=4)
    field = world.smooth()
    samples = sampler(rays)
    plain = bytes_per_ray(samples, field(samples), field)
    field.sample_bytes = 1000
    assert bytes_per_ray(samples, field(samples), field) == plain + 4000
    assert rays_in_budget(10**9, 1) == 1


def test_no_rays(world):
    out = render(world.smooth(), world.parallel_rays(0), StratifiedSampler(count=4))
    assert out.colour.shape == (0, 3)
    assert out.depth.shape == (0,)


def test_the_fields_fast_path_is_asked_first(world):
    field, rays, sampler = world.smooth(), world.parallel_rays(5), StratifiedSampler(count=4)
    slow = render(field, rays, sampler, Compositing())
    seen = []

    def offer(asked_sampler, asked_compositing):
        seen.append((asked_sampler, asked_compositing))
        return lambda r: replace(slow, depth=torch.full((len(r),), 7.0))

    field.fused, field.asked = offer, []
    out = render(field, rays, sampler, Compositing(early_stop=0.1))
    assert seen == [(sampler, Compositing(early_stop=0.1))]
    assert field.asked == []
    assert (out.depth == 7).all()


def test_infinite_last_interval_closes_the_ray(world):
    field, rays = world.smooth(), world.parallel_rays(5, far=3.0)
    sampler = StratifiedSampler(count=16, layout="ends", interval="next")
    far = render(field, rays, sampler, Compositing(keep_weights=True))
    infinite = render(field, rays, sampler, Compositing(last_interval="1e10", keep_weights=True))
    assert (far.opacity < 0.99).all()
    torch.testing.assert_close(infinite.opacity, torch.ones(5).double())
    torch.testing.assert_close(infinite.weights[:, :-1], far.weights[:, :-1])
    assert (infinite.delta[:, -1] == LARGE_INTERVAL).all()


def test_infinite_last_interval_skips_padding(world):
    field, rays = world.smooth(), world.parallel_rays(8)
    grid = OccupancyGrid.full(BOX, (8, 8, 8), threshold=0.6).updated(field)
    out = render(
        field,
        rays,
        OccupancySampler(occupancy=grid, step=0.1),
        Compositing(last_interval="1e10", keep_weights=True),
    )
    assert ((out.delta == LARGE_INTERVAL).sum(1) <= 1).all()
    met = out.opacity > 0
    assert met.any()
    torch.testing.assert_close(out.opacity[met], torch.ones(int(met.sum())).double())


def test_direction_norm_in_delta_makes_the_parametrisation_irrelevant(world):
    field, rays = world.smooth(), world.parallel_rays(6)
    stretched = Rays(
        origins=rays.origins, directions=rays.directions * 4, near=rays.near / 4, far=rays.far / 4
    )
    sampler, option = StratifiedSampler(count=64), Compositing(norm_in_delta=True)
    expected = render(field, rays, sampler, option)
    torch.testing.assert_close(render(field, stretched, sampler, option).colour, expected.colour)
    without = render(field, stretched, sampler, Compositing()).opacity
    assert (without < 0.8 * expected.opacity).all()


def test_early_stop_drops_what_is_hidden_and_no_more(world):
    field, rays = world.sphere(20.0, (1, 1, 1)), world.parallel_rays(6)
    sampler = StratifiedSampler(count=400)
    full = render(field, rays, sampler, Compositing(keep_weights=True))
    stopped = render(field, rays, sampler, Compositing(keep_weights=True, early_stop=1e-2))
    reaching = 1 - (full.weights.cumsum(1) - full.weights)
    torch.testing.assert_close(stopped.weights, full.weights * (reaching >= 1e-2))
    assert (stopped.weights != full.weights).any()
    torch.testing.assert_close(stopped.colour, full.colour, atol=1e-2, rtol=0)


@pytest.mark.parametrize("kind", ["density", "alpha", "weights"])
def test_masked_samples_never_count(kind, world):
    field, rays = world.smooth(kind), world.parallel_rays(4)

    class Holes:
        """Masks every other sample and leaves NaN there."""

        def __call__(self, rays, field, generator=None):
            samples = StratifiedSampler(count=10)(rays)
            mask = samples.mask & (torch.arange(10) % 2 == 0)
            points = torch.where(mask[..., None], samples.points, torch.nan)
            return replace(samples, mask=mask, points=points)

    keep = Compositing(keep_weights=True)
    out = render(field, rays, Holes(), keep)
    assert (out.weights[:, 1::2] == 0).all()
    if kind != "weights":  # these are the field's own business, NaN spreads inside it
        assert torch.isfinite(out.colour).all()
        assert (out.weights[:, ::2] > 0).all()


@pytest.mark.parametrize("backend", ["torch", "numba"])
@pytest.mark.parametrize("kind", ["density", "alpha"])
def test_gradients_reach_ray_origins_and_directions(backend, kind, world):
    rays, option = world.parallel_rays(3), Compositing(backend=backend, background=(1, 0, 1))

    def pixels(origins, directions):
        moved = replace(rays, origins=origins, directions=directions)
        out = render(world.smooth(kind), moved, StratifiedSampler(count=9), option)
        return out.colour, out.depth, out.opacity

    inputs = (rays.origins.clone().requires_grad_(), rays.directions.clone().requires_grad_())
    assert gradcheck(pixels, inputs)


def test_gradients_reach_the_camera_pose(world):
    pixels = torch.tensor([[3.0, 2.0], [5.5, 4.5]]).double()

    def colours(pose):
        cameras = Cameras(
            camera_to_world=pose[None],
            intrinsics=torch.tensor([[9.0, 9.0, 4.0, 4.0]]).double(),
            width=8,
            height=8,
        )
        rays = cameras.rays(torch.zeros(2, dtype=torch.long), pixels, 1.0, 5.0)
        return render(world.smooth(), rays, StratifiedSampler(count=8)).colour

    pose = torch.eye(4)[:3].double()
    pose[2, 3] = -3
    assert gradcheck(colours, (pose.requires_grad_(),))


def test_gradients_reach_the_field(world):
    weight = torch.tensor([0.7, 1.3], dtype=torch.float64, requires_grad=True)

    def pixels(w):
        field = world.AnalyticField(
            lambda p: w[0] * torch.exp(-p.square().sum(-1)), lambda p: torch.sigmoid(w[1] * p)
        )
        coarse = StratifiedSampler(count=6)
        # deterministic positions: gradients do not run through the choice of samples
        out = render(field, world.parallel_rays(3), coarse)
        return out.colour, out.opacity

    assert gradcheck(pixels, (weight,))


@pytest.mark.parametrize(
    "bad", [{"last_interval": "near"}, {"depth": "mode"}, {"early_stop": 1.0}, {"early_stop": -0.1}]
)
def test_bad_options_are_refused(bad):
    with pytest.raises(ConfigError, match=next(iter(bad))):
        Compositing(**bad)
