"""Vanilla NeRF: layouts in and out, files, and how it is sampled."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from maskfield.core.errors import CheckpointError, ConfigError
from maskfield.data.readers.nerf_synthetic import read
from maskfield.fields.evaluate import field_image, photograph
from maskfield.fields.load import load_field
from maskfield.fields.nerf import NeRFField, NeRFNetwork, save_nerf
from maskfield.fields.nerf_config import (
    NeRFConfig,
    NeRFNetworkConfig,
    NeRFViewing,
    forward_facing,
)
from maskfield.fields.nerf_convert import (
    load_official_network,
    nerf_from_official,
    network_config,
    network_to_official,
    write_official_nerf,
)
from maskfield.geometry.camera_paths import look_at, pinholes
from maskfield.nn.positional import octave_code
from maskfield.rendering.renderer import render

SMALL = NeRFNetworkConfig(
    depth=4, width=24, skips=(2,), point_octaves=4, view_octaves=2, view_width=8
)
FLEXIBLE = replace(SMALL, activate_first=False, activate_feature=True)
BLIND = replace(SMALL, view_octaves=None, view_width=12, outputs=5)


def a_field(network: NeRFNetworkConfig = SMALL, **viewing: object) -> NeRFField:
    torch.manual_seed(0)
    settings = NeRFViewing(coarse_samples=12, fine_samples=8)
    return NeRFField(
        NeRFConfig(coarse=network, fine=network, viewing=replace(settings, **viewing))  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("config", [SMALL, FLEXIBLE, BLIND])
def test_sizes_are_read_off_the_tensors_and_weights_come_back(config: NeRFNetworkConfig) -> None:
    torch.manual_seed(0)
    network = NeRFNetwork(config)
    state = network_to_official(network)
    assert network_config(state) == config
    other = NeRFNetwork(config)
    load_official_network(other, {f"module.{k}": v for k, v in state.items()})
    points, directions = torch.randn(5, 3, 3), torch.randn(5, 1, 3)
    torch.testing.assert_close(other(points, directions), network(points, directions))


def test_skipped_layers_of_the_flexible_layout_see_the_trunk_first() -> None:
    """krrish94's forward pass, written out."""
    torch.manual_seed(0)
    network = NeRFNetwork(FLEXIBLE)
    w = network_to_official(network)
    points, direction = torch.randn(7, 3), torch.nn.functional.normalize(torch.randn(7, 3), dim=1)

    def linear(name: str, x: torch.Tensor) -> torch.Tensor:
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    code = octave_code(points, 4)
    x = linear("layer1", code)
    x = linear("layers_xyz.0", x).relu()
    x = linear("layers_xyz.1", torch.cat([x, code], dim=1)).relu()
    x = linear("layers_xyz.2", x).relu()
    sigma, feature = linear("fc_alpha", x), linear("fc_feat", x).relu()
    y = linear("layers_dir.0", torch.cat([feature, octave_code(direction, 2)], dim=1)).relu()
    expected = torch.cat([linear("fc_rgb", y), sigma], dim=1)
    torch.testing.assert_close(network(points, direction), expected)


def test_activations_of_no_layout_stay_ours() -> None:
    mixed = NeRFNetwork(replace(SMALL, activate_feature=True))
    with pytest.raises(CheckpointError, match="activations"):
        network_to_official(mixed)


@pytest.mark.parametrize("config", [SMALL, FLEXIBLE])
def test_files_both_ways(config: NeRFNetworkConfig, tmp_path: Path) -> None:
    field = a_field(config, far=5.0)
    write_official_nerf(field, tmp_path / "000100.tar", step=100)
    foreign = load_field(tmp_path / "000100.tar", field.viewing)
    save_nerf(field, tmp_path / "nerf.safetensors")
    own = load_field(tmp_path / "nerf.safetensors")
    assert isinstance(foreign, NeRFField)
    assert isinstance(own, NeRFField)
    assert own.config == field.config == foreign.config
    for loaded in (own, foreign):
        torch.testing.assert_close(
            dict(loaded.state_dict()), dict(field.state_dict()), rtol=0, atol=0
        )
    other = load_field(tmp_path / "nerf.safetensors", NeRFViewing(near=1.0))
    assert isinstance(other, NeRFField)
    assert other.viewing.near == 1.0


@pytest.mark.parametrize(
    "content", [{"epoch": 3}, {"network_fn_state_dict": {"conv.weight": torch.zeros(2, 2)}}]
)
def test_other_checkpoints_are_refused(content: dict[str, object], tmp_path: Path) -> None:
    torch.save(content, tmp_path / "a.tar")
    with pytest.raises(CheckpointError, match=r"a\.tar[\s\S]*keys"):
        load_field(tmp_path / "a.tar")


def test_missing_and_damaged_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="not found"):
        load_field(tmp_path / "a.tar")
    (tmp_path / "a.tar").write_bytes(b"no checkpoint")
    with pytest.raises(CheckpointError, match="cannot read"):
        load_field(tmp_path / "a.tar")


def test_a_code_that_runs_is_not_run(tmp_path: Path) -> None:
    class Bad:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (open, (str(tmp_path / "ran"), "w"))  # type: ignore[return-value]

    torch.save({"network_fn_state_dict": Bad()}, tmp_path / "a.tar")
    with pytest.raises(CheckpointError):
        load_field(tmp_path / "a.tar")
    assert not (tmp_path / "ran").exists()


def test_a_tensor_too_many_is_named() -> None:
    state = network_to_official(NeRFNetwork(SMALL))
    state["extra.weight"] = torch.zeros(1)
    with pytest.raises(CheckpointError, match="extra"):
        nerf_from_official({"network_fn_state_dict": state})


def test_a_field_of_one_network_renders_itself() -> None:
    state = network_to_official(NeRFNetwork(SMALL))
    field = nerf_from_official({"network_fn_state_dict": state, "network_fine_state_dict": None})
    assert field.fine is None
    assert field.shown is field.coarse is field.proposal


def test_rays_begin_and_end_at_planes() -> None:
    cameras = pinholes(look_at(torch.tensor([[0.0, 4, 0.5]]), torch.zeros(1, 3)), 9, 7, 60.0)
    field = a_field()
    rays = field.rays(cameras, 0)
    assert field_image(field, cameras, 0).colour.shape == (7, 9, 3)
    ends = rays.origins + rays.far[:, None] * rays.directions
    depth = (ends - cameras.centres) @ cameras.forward_axes[0]
    torch.testing.assert_close(depth, torch.full((63,), 6.0))
    out = render(field, rays, field.sampler(), replace(field.compositing(), norm_in_delta=False))
    assert out.colour.shape == (63, 3)
    assert bool(torch.isfinite(out.colour).all())


def test_forward_facing_fields_live_in_a_cube() -> None:
    field = a_field().with_viewing(forward_facing(20.0, 24, 16))
    pose = torch.cat([torch.diag(torch.tensor([1.0, -1, -1])), torch.zeros(3, 1)], dim=1)
    cameras = pinholes(pose[None], 24, 16, 62.0)
    rays = field.rays(cameras, 0)
    samples = field.sampler()(rays, field)
    assert float(samples.points.abs().max()) < 1.5
    assert bool((samples.t[:, 1:] >= samples.t[:, :-1]).all())


@pytest.mark.parametrize(
    "wrong", [{"near": 6.0}, {"far": float("inf")}, {"coarse_samples": 2}, {"fine_samples": -1}]
)
def test_impossible_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="out of range"):
        NeRFViewing(**wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="skips"):
        NeRFNetworkConfig(depth=4, skips=(4,))


def test_the_code_is_sine_and_cosine_of_octaves() -> None:
    x = torch.tensor([[0.5, -1.25, 3.0]], dtype=torch.float64)
    code = octave_code(x, 3)
    parts = [x] + [f(x * 2**k) for k in range(3) for f in (torch.sin, torch.cos)]
    torch.testing.assert_close(code, torch.cat(parts, dim=1))
    assert octave_code(x, 3, include_input=False).shape == (1, 18)


def test_masked_samples_get_zeros_and_do_not_change_the_others() -> None:
    field = a_field()
    cameras = pinholes(look_at(torch.tensor([[0.0, 4, 0.5]]), torch.zeros(1, 3)), 9, 7, 60.0)
    samples = field.sampler()(field.rays(cameras, 0), field)
    mask = torch.rand(samples.mask.shape, generator=torch.Generator().manual_seed(0)) > 0.5
    whole, part = field(samples), field(replace(samples, mask=mask))
    assert whole.density is not None
    assert part.density is not None
    torch.testing.assert_close(part.density[mask], whole.density[mask])
    torch.testing.assert_close(part.colour[mask], whole.colour[mask])
    assert float(part.density[~mask].detach().abs().max()) == 0


@pytest.mark.shared
def test_the_published_lego_field(shared: Path) -> None:
    """27.6 dB over all test views (its README); here over 1500 rays of every thirtieth."""
    field = load_field(shared / "data/weights/nerf_pytorch_lego_lowres/checkpoint199999.ckpt")
    assert isinstance(field, NeRFField)
    scene = read(shared / "data/nerf_synthetic/lego")
    views = scene.indices("test")[::30]
    chosen, size = np.random.default_rng(0), scene.cameras.width * scene.cameras.height
    errors = []
    for view in views:
        pixels = torch.from_numpy(chosen.integers(0, size, 1500 // len(views)))
        rays = field.rays(scene.cameras, view)[pixels]
        plain = replace(field.compositing(), norm_in_delta=False)
        with torch.no_grad():
            seen = render(field, rays, field.sampler(), plain).colour
        truth = photograph(scene, view, torch.ones(3)).reshape(-1, 3)[pixels]
        errors.append((seen.clamp(0, 1) - truth).square().mean())
    assert -10 * float(torch.stack(errors).mean().log10()) > 26.5
