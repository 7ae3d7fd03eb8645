"""Drawing whole images faster: every option alone against the plain path."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from maskfield.data.object_batches import near_far
from maskfield.data.synthetic.objects import object_scene
from maskfield.data.synthetic.splits import split_seeds
from maskfield.engine.restore import restore_model
from maskfield.geometry.camera_paths import look_at
from maskfield.geometry.cameras import Cameras
from maskfield.methods.pixelnerf.config import (
    EXACT,
    FAST,
    PLAIN,
    CodeConfig,
    PixelNeRFConfig,
    RenderOptions,
    SamplingConfig,
)
from maskfield.methods.pixelnerf.evaluation_views import pixelnerf_views, source_views
from maskfield.methods.pixelnerf.fast import FastRender
from maskfield.methods.pixelnerf.model.network import PixelNeRF
from maskfield.methods.pixelnerf.sampling import compositing_of, level_sampler
from maskfield.methods.pixelnerf.scout import frustum_of, scout
from maskfield.rendering.renderer import ImageOutput, RenderOutput, render, render_image
from maskfield.rendering.samplers import OccupancySampler

SIDE, NEAR, FAR = 32, 0.9, 1.7
ZOOM = 2.0  # the rays stay near the origin, in front of all source cameras
STEEP = 30.0  # densities per unit of what the network puts out
SEED = 3


def camera() -> Cameras:
    eye = torch.tensor([[0.9, -0.7, 0.6]])
    return Cameras(
        camera_to_world=look_at(eye, torch.zeros(1, 3)),
        intrinsics=torch.tensor([[ZOOM * SIDE, ZOOM * SIDE, SIDE / 2, SIDE / 2]]),
        width=SIDE,
        height=SIDE,
    )


def object_network(small: SimpleNamespace, config: PixelNeRFConfig) -> PixelNeRF:
    """A network that shows something dense and smooth in otherwise empty space."""
    sampling, code = SamplingConfig(coarse=24, fine=16, fine_depth=6), CodeConfig(frequencies=1)
    config = replace(config, sampling=sampling, code=code)
    network: PixelNeRF = small.built(config, seed=SEED, spread=0.1)
    points = 0.6 * torch.rand(2000, 3, generator=torch.Generator().manual_seed(0)) - 0.3
    if network.mlp_fine is not None:  # nearly the same object in both passes
        network.mlp_fine.load_state_dict(network.mlp_coarse.state_dict())
    with torch.no_grad():
        field = network.field(network.encode(*small.source_views()))
        raw = field.views.raw(network.mlp_coarse, points, points)[:, 3]
        shares = {network.mlp_coarse: 0.7} | ({network.mlp_fine: 0.72} if network.mlp_fine else {})
        for mlp, share in shares.items():
            mlp.lin_out.bias[3] -= raw.quantile(share)
            mlp.lin_out.bias[3] *= STEEP
            mlp.lin_out.weight[3] *= STEEP
    return network


@dataclass(frozen=True)
class Drawn:
    network: PixelNeRF
    views: tuple[Tensor, ...]

    @torch.no_grad()
    def image(self, options: RenderOptions | None) -> ImageOutput:
        field = self.network.field(self.network.encode(*self.views), options=options)
        config = self.network.config
        sampler, compositing = level_sampler(config, jitter=False), compositing_of(config)
        return render_image(field, camera(), 0, sampler, compositing, near=NEAR, far=FAR)


@pytest.fixture(params=[1, 2, "one network"], ids=["1 view", "2 views", "one network"])
def drawn(request: pytest.FixtureRequest, small: SimpleNamespace) -> Drawn:
    single = request.param == "one network"
    config = replace(small.config, mlp_fine=None) if single else small.config
    views = small.source_views(views=1 if single else request.param)
    network = object_network(small, config)
    return Drawn(network, views)


def off(**on: bool) -> RenderOptions:
    return replace(PLAIN, **on)


def test_there_is_something_to_see(drawn: Drawn) -> None:
    opacity = drawn.image(PLAIN).opacity
    assert 0.05 < float((opacity > 0.5).float().mean()) < 0.9
    assert float((opacity < 0.01).float().mean()) > 0.05


@pytest.mark.parametrize(
    ("options", "bound"),
    [
        (off(project=True), 1e-5),
        (off(reuse=True), 1e-5),
        (EXACT, 1e-5),
        (off(skip_empty=True), 1e-3),
        (off(stop_early=True), 1e-3),
        (replace(FAST, bf16=False), 1e-3),
        (off(bf16=True), 1e-2),
        (FAST, 1e-2),
    ],
    ids=["project", "reuse", "exact", "skip", "stop", "fp32", "bf16", "fast"],
)
def test_every_option_keeps_its_promise(drawn: Drawn, options: RenderOptions, bound: float) -> None:
    plain, fast = drawn.image(PLAIN), drawn.image(options)
    assert float((plain.colour - fast.colour).abs().max()) < bound
    assert float((plain.opacity - fast.opacity).abs().max()) < 3 * bound
    seen = plain.opacity > 0.5
    assert float((plain.distance - fast.distance).abs()[seen].max()) < 3 * bound


def test_plain_options_are_the_plain_path(drawn: Drawn) -> None:
    assert torch.equal(drawn.image(PLAIN).colour, drawn.image(PLAIN).colour)
    torch.testing.assert_close(drawn.image(None).colour, drawn.image(PLAIN).colour)


class Counted:
    """Counts the rows that a network is asked for."""

    def __init__(self, network: PixelNeRF) -> None:
        self.rows = 0
        for mlp in {network.mlp_coarse, network.mlp_fine or network.mlp_coarse}:
            mlp.lin_out.register_forward_hook(self._count)

    def _count(self, _module: object, inputs: tuple[Tensor, ...], _output: Tensor) -> None:
        self.rows += inputs[0].shape[:-1].numel()


def test_what_each_option_saves(drawn: Drawn) -> None:
    counted = Counted(drawn.network)

    def rows(options: RenderOptions) -> int:
        counted.rows = 0
        drawn.image(options)
        return counted.rows

    plain = rows(PLAIN)
    assert plain == SIDE * SIDE * (24 + 40)
    single = drawn.network.mlp_fine is None
    assert rows(off(reuse=True)) == SIDE * SIDE * (40 if single else 64)
    assert rows(off(stop_early=True)) < plain
    assert rows(replace(off(skip_empty=True), empty_margin=0.0)) < 0.95 * plain


def test_only_whole_images_without_noise_or_gradients_go_the_fast_way(drawn: Drawn) -> None:
    network = drawn.network
    config = network.config
    field = network.field(network.encode(*drawn.views), options=FAST)
    still, jittered = (level_sampler(config, jitter=j) for j in (False, True))
    compositing = compositing_of(config)
    assert field.fused(still, compositing) is None  # gradients are wanted
    with torch.no_grad():
        assert isinstance(field.fused(still, compositing), FastRender)
        assert field.fused(jittered, compositing) is None
        assert field.fused(still, replace(compositing, early_stop=0.1)) is None
        assert network.field(network.encode(*drawn.views)).fused(still, compositing) is None
        plain = network.field(network.encode(*drawn.views), options=PLAIN)
        assert plain.fused(still, compositing) is None


@torch.no_grad()
def test_rays_from_several_places_are_drawn_too(drawn: Drawn, small: SimpleNamespace) -> None:
    network, rays = drawn.network, small.rays()
    assert frustum_of(rays, 8) is None

    def colours(options: RenderOptions) -> RenderOutput:
        field = network.field(network.encode(*drawn.views), options=options)
        return render(
            field, rays, level_sampler(network.config, jitter=False), compositing_of(network.config)
        )

    exact = replace(FAST, bf16=False)
    difference = colours(exact).colour - colours(PLAIN).colour
    assert float(difference.abs().max()) < 1e-3


@torch.no_grad()
def test_a_single_pass(small: SimpleNamespace) -> None:
    config = replace(small.config, mlp_fine=None)
    network = object_network(small, config)
    network.config = replace(config, sampling=SamplingConfig(coarse=32, fine=0, fine_depth=0))
    single = Drawn(network, small.source_views())
    a, b = single.image(PLAIN), single.image(replace(FAST, bf16=False))
    assert float((a.colour - b.colour).abs().max()) < 1e-3


@torch.no_grad()
def test_no_rays(drawn: Drawn) -> None:
    network = drawn.network
    field = network.field(network.encode(*drawn.views), options=FAST)
    rays = camera().image_rays(0, NEAR, FAR)[:0]
    out = render(
        field, rays, level_sampler(network.config, jitter=False), compositing_of(network.config)
    )
    assert out.colour.shape == (0, 3)


def ball(points: Tensor, directions: Tensor) -> Tensor:
    """Whether points lie in a ball of radius 0.1 round (0.1, 0, 0)."""
    return (points - torch.tensor([0.1, 0.0, 0.0])).norm(dim=-1) < 0.1


def test_scouting_finds_a_ball_and_little_else() -> None:
    rays = camera().image_rays(0, NEAR, FAR)
    known = scout(rays, 64, ball)
    assert known is not None
    t = torch.linspace(NEAR, FAR, 80).expand(len(rays), 80)
    points = rays.origins[:, None] + t[..., None] * rays.directions[:, None]
    inside = ball(points, points)
    found = known.at(rays.directions, t)
    assert bool(found[inside].all())
    assert float(found.float().mean()) < 0.1


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_scouting_finds_thin_sheets_and_rods(axis: int) -> None:
    rays = camera().image_rays(0, NEAR, FAR)
    t = torch.linspace(NEAR, FAR, 200).expand(len(rays), 200)
    points = rays.origins[:, None] + t[..., None] * rays.directions[:, None]

    def sheet(places: Tensor, directions: Tensor) -> Tensor:
        return places[..., axis].abs() < 0.015

    known = scout(rays, 64, sheet)
    assert known is not None
    inside = sheet(points, points)
    found = known.at(rays.directions, t)
    assert float(found[inside].float().mean()) > 0.999
    assert float(found.float().mean()) < 0.6


def test_cells_are_asked_in_the_direction_of_the_rays() -> None:
    rays = camera().image_rays(0, NEAR, FAR)
    seen: list[Tensor] = []

    def find(points: Tensor, directions: Tensor) -> Tensor:
        seen.append(torch.nn.functional.normalize(points - rays.origins[0], dim=1) - directions)
        return points[:, 0] > 0

    scout(rays, 16, find)
    assert float(seen[0].abs().max()) < 1e-5
    assert len(seen[0]) < len(rays) * 16 / 8  # one cell in four, of every second ray both ways


def test_unknown_samplers_go_the_plain_way(drawn: Drawn) -> None:
    field = drawn.network.field(drawn.network.encode(*drawn.views), options=FAST)
    sampler = object.__new__(OccupancySampler)
    with torch.no_grad():
        assert field.fused(sampler, compositing_of(drawn.network.config)) is None


@pytest.mark.parametrize(
    ("options", "bound"),
    [
        (EXACT, 1e-5),
        (off(skip_empty=True), 1e-3),
        (off(stop_early=True), 1e-3),
        (off(bf16=True), 1e-2),
    ],
    ids=["exact", "skip", "stop", "bf16"],
)
def test_the_packaged_network_keeps_the_promises(options: RenderOptions, bound: float) -> None:
    """On trained weights edges are sharp: what moves samples shows."""
    network = restore_model("zoo:pixelnerf-tiny", "cpu").model
    assert isinstance(network, PixelNeRF)
    scene = object_scene(split_seeds("test", 3)[2], views=8, size=48)
    near, far = near_far(scene)

    def image(options: RenderOptions) -> Tensor:
        draw = pixelnerf_views(network.eval(), least_coarse=1, options=options)
        return draw(source_views(scene, [0]))(scene.cameras[5], near, far, None).colour

    difference = (image(options) - image(PLAIN)).abs()
    assert float(difference.max()) < bound
