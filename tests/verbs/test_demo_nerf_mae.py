"""The demo of NeRF-MAE on one's own photographs, with a network that is there already."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import maskfield
from maskfield.cli.main import main
from maskfield.core.config import to_dict
from maskfield.core.errors import CheckpointError, ConfigError, SceneError
from maskfield.data.radiance_grid import load_grid
from maskfield.data.scene import Scene, save_scene
from maskfield.data.synthetic.rooms import make_room, rasterise_room, room_scene
from maskfield.data.writers import write_transforms_json
from maskfield.engine.checkpoint import save_weights
from maskfield.engine.config import RunConfig
from maskfield.fields import fit
from maskfield.fields.fit import fit_config
from maskfield.methods.nerf_mae.config import SIZES
from maskfield.methods.nerf_mae.convert import write_official
from maskfield.verbs import demo_plan, demo_stages
from maskfield.verbs.demo_sections import scene_section
from maskfield.verbs.demo_stages import Sight, sight_of, trained_network

TINY = replace(SIZES["tiny"], resolution=32, rgb_region="masked_occupied", block_size=2)


def tiny_fit(preset: str = "default", data=None) -> RunConfig:
    """A fit of a second instead of minutes."""
    base = fit_config(preset, data)
    small = {"resolutions": (12, 24), "rays": (256, 256), "shares": (0.5, 0.5), "patches": (1, 2)}
    method = replace(base.method, **small, refit_box=-1)
    return replace(base, method=method, engine=replace(base.engine, steps=40, threads=1))


@pytest.fixture(scope="module")
def scene() -> Scene:
    return room_scene(0, views=10, width=32, height=24, holdout=5)


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("network") / "weights.safetensors"
    header = {"config": to_dict(RunConfig(method=TINY)), "conventions": {"kind": "NerfMAE"}}
    save_weights(path, TINY.build().state_dict(), header)
    return path


@pytest.fixture
def small(monkeypatch) -> None:
    monkeypatch.setattr(fit, "fit_config", tiny_fit)
    monkeypatch.setattr(demo_stages, "FINE", 48)


@pytest.fixture
def capture(scene, tmp_path) -> Path:
    """Photographs as a foreign program leaves them."""
    return write_transforms_json(scene, tmp_path / "capture")


def test_own_photographs_become_a_report(small, capture, weights, tmp_path, capsys):
    out = tmp_path / "demo"
    words = ["demo", "nerf-mae", "--data", capture, "--init", weights, "--out", out]
    assert main([str(w) for w in words]) == 0
    assert f"report: {out / 'report.html'}" in capsys.readouterr().out
    html = (out / "report.html").read_text()
    for part in ("held-out PSNR", "held-out SSIM", "5. Hidden", "4. Hidden", "nearest visible"):
        assert (part in html) == (part != "5. Hidden")
    assert html.count("data:image/") == 2 + 2 + 4 + 1 + 2  # last: boxes on grid and photographs
    assert "The package&#39;s own detector" in html
    assert not (out / "pretrain").exists()


def test_the_network_sees_the_grid_at_its_resolution(small, capture, weights, tmp_path):
    maskfield.demo(data=capture, init=weights, out=tmp_path / "demo")
    assert max(load_grid(tmp_path / "demo" / "grid.safetensors").resolution) == 48
    assert max(load_grid(tmp_path / "demo" / "grid-32.safetensors").resolution) == 32
    numbers = json.loads((tmp_path / "demo" / "numbers.json").read_text())
    stored = json.loads((tmp_path / "demo" / "fit" / "metrics.json").read_text())
    assert numbers["fit"]["psnr"] == stored["psnr"]
    assert numbers["reconstruction"]["hidden_alpha_mse"] > 0
    assert set(numbers["seconds"]) >= {"read the photographs", "fit a radiance field"}
    assert "pre-train" not in numbers["seconds"]


def test_what_would_be_cleared_is_refused(scene, weights, tmp_path):
    inside = save_scene(scene, tmp_path / "scene")
    before = sorted(p.name for p in inside.iterdir())
    with pytest.raises(ConfigError, match="about to write"):
        maskfield.demo(data=inside, init=weights, out=tmp_path)
    assert sorted(p.name for p in inside.iterdir()) == before
    with pytest.raises(ConfigError, match="init"):
        maskfield.demo(init=tmp_path / "pretrain", out=tmp_path)


def test_bad_input_is_refused_before_anything_is_written(capture, weights, tmp_path):
    with pytest.raises(SceneError):
        maskfield.demo(data=tmp_path / "gone", init=weights, out=tmp_path / "demo")
    with pytest.raises(CheckpointError):
        maskfield.demo(data=capture, init=tmp_path / "gone", out=tmp_path / "demo")
    assert not (tmp_path / "demo").exists()


def test_a_network_comes_from_our_weights_and_from_official_ones(weights, tmp_path):
    ours = trained_network(weights)
    official = tmp_path / "official.pt"
    write_official(ours, official, epoch=1, train_args=to_dict(RunConfig(method=TINY)))
    grid = torch.rand(4, 20, 32, 16, generator=torch.Generator().manual_seed(0))
    again = trained_network(official)
    torch.testing.assert_close(again.reconstruct(grid), ours.reconstruct(grid))


def test_a_network_of_another_method_is_refused(tmp_path):
    other = fit_config()
    field = {"config": to_dict(other), "conventions": {"kind": "VoxelField"}}
    save_weights(tmp_path / "field.safetensors", {"density": torch.zeros(4, 4, 4)}, field)
    with pytest.raises(CheckpointError, match=r"field\.safetensors"):
        trained_network(tmp_path / "field.safetensors")


def test_a_report_says_when_nothing_is_held_out(scene):
    all_train = replace(scene, split={"train": tuple(range(len(scene)))})
    text = scene_section(all_train, "photos").text[0]
    assert "read from photos; none of them are held out" in text
    assert "2 of them are held out" in scene_section(scene, None).text[0]


def test_a_room_is_drawn_opened_and_a_thing_from_where_the_cameras_are(scene):
    assert sight_of(scene) == Sight(view="corner", cutaway=True)
    pose = scene.cameras.camera_to_world.clone()
    pose[:, :3, 3] = scene.box.mean(0) + torch.tensor([0.0, 20.0, 40.0])
    outside = replace(scene, cameras=replace(scene.cameras, camera_to_world=pose))
    sight = sight_of(outside)
    assert sight.view == pytest.approx((90.0, 45.0))
    assert not sight.cutaway


def test_a_room_ends_with_two_detectors_trained_equally(tmp_path, scene, weights):
    from maskfield.core.config import diff
    from maskfield.recipes.nerf_mae import tiny_cpu
    from maskfield.verbs.demo_detection import detection_config, detection_section, train_and_find

    size = replace(demo_plan.QUICK, detect_rooms=3, detect_steps=2, validation_grids=2, batch=2)
    job = demo_plan.DemoJob(folder=tmp_path, size=size, seed=0, data=None, init=None)
    base = tiny_cpu()
    data = replace(base.data, resolution=32, cache=str(tmp_path / "grids"))
    pretraining = replace(base, method=TINY, data=data)
    arms = [detection_config(job, pretraining, arm) for arm in ("pretrained", "scratch")]
    assert set(diff(*arms)) == {"name", "method.base.positional_table"}
    grid = rasterise_room(make_room(0), 32).radiance
    found = train_and_find(job, pretraining, grid, scene, init=weights)
    assert set(found.metrics) == {"pretrained", "scratch"}
    assert found.truth is not None
    assert found.packaged is not None
    section = detection_section(job, found, grid, scene)
    assert len(section.figures) == 3
    assert [row[0] for row in section.table][1:] == [
        "AP at IoU 0.25",
        "AP at IoU 0.5",
        "recall at 0.5",
    ]
