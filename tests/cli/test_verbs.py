"""The verbs on tiny inputs, one after another as a user would call them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import maskfield
from maskfield.cli.main import main
from maskfield.data.radiance_grid import load_grid
from maskfield.data.scene import load_scene, save_scene
from maskfield.engine.checkpoint import load_weights
from maskfield.methods.nerf_mae.convert import read_official

FIT = [
    *("--set", "engine.steps=30", "--set", "engine.threads=1"),
    *("--set", "method.resolutions=[12,16,24]", "--set", "method.rays=[256,256,256]"),
    *("--set", "method.refit_box=-1"),
]
PRETRAIN = [
    *("--set", "engine.steps=3", "--set", "engine.validate_every=0", "--set", "engine.threads=1"),
    *(
        "--set",
        "method.resolution=32",
        "--set",
        "data.resolution=32",
        "--set",
        "method.depths=[2,2,2,2]",
    ),
    *("--set", "data.batch_size=2", "--set", "method.block_size=2"),
]


def do(*words: object) -> None:
    assert main([str(w) for w in words]) == 0


@pytest.fixture(scope="module")
def scene(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("scene")
    do("data", "synth", "scene", "--out", folder, "--views", 10, "--width", 32, "--height", 24)
    return folder


@pytest.fixture(scope="module")
def fitted(scene, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("fit") / "run"
    do("fit", scene, "--out", folder, "--figures", *FIT)
    return folder


@pytest.fixture(scope="module")
def grids(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("grids") / "store"
    do("data", "synth", "grids", "--out", folder, "--count", 11, "--resolution", 32)
    return folder


@pytest.fixture(scope="module")
def trained(grids, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pretrain") / "run"
    recipe = "nerf-mae:tiny-cpu"
    do("pretrain", recipe, "--data", grids, "--out", folder, "--figures", *PRETRAIN)
    return folder


def test_synth_scene_is_deterministic(scene, tmp_path):
    maskfield.data_synth("scene", out=tmp_path, views=10, width=32, height=24)
    np.testing.assert_array_equal(load_scene(tmp_path).images, load_scene(scene).images)


def test_synth_objects_writes_a_scene_for_each(tmp_path):
    words = ["--seed", 7, "--count", 2, "--views", 3, "--width", 16]
    do("data", "synth", "objects", "--out", tmp_path, *words)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["object-0000007", "object-0000008"]
    scene = load_scene(tmp_path / "object-0000008")
    assert scene.images.shape == (3, 16, 16, 3)
    assert scene.opacity is not None
    assert (scene.images[scene.opacity == 0] == 255).all()


def test_check_draws_the_cameras(scene, tmp_path, capsys):
    status = main(["data", "check", str(scene), "--out", str(tmp_path / "cameras.png")])
    out = capsys.readouterr().out
    assert "cameras            10" in out
    assert status == int("PROBABLE ERROR" in out)
    assert np.asarray(Image.open(tmp_path / "cameras.png")).std() > 10


def test_import_of_our_own_export_gives_the_scene_back(scene, tmp_path):
    from maskfield.data.writers import write_transforms_json

    ours = load_scene(scene)
    write_transforms_json(ours, tmp_path / "export")
    do("data", "import", tmp_path / "export", "--out", tmp_path / "again")
    again = load_scene(tmp_path / "again")
    np.testing.assert_array_equal(again.images, ours.images)
    torch.testing.assert_close(again.cameras.camera_to_world, ours.cameras.camera_to_world)


def test_fit_leaves_a_run_with_pictures_and_a_report(fitted):
    assert {"psnr", "ssim"} <= set(json.loads((fitted / "metrics.json").read_text()))
    for name in ("cameras.png", "held_out_photographs.png", "curves.png"):
        assert np.asarray(Image.open(fitted / "figures" / name)).std() > 10, name
    html = (fitted / "report.html").read_text()
    assert html.count("data:image/") == 3
    assert "steps: 30" in html


def test_extract_writes_the_grid_in_every_form(fitted, tmp_path, capsys):
    out = tmp_path / "grid.safetensors"
    forms = ("--ply", "--npz", "--mesh", "obj", "--figures")
    do("extract", fitted, "--out", out, "--longest", 24, *forms)
    assert (tmp_path / "grid-mesh.obj").read_text().startswith("v ")
    grid = load_grid(out)
    assert max(grid.resolution) == 24
    names = {p.name for p in tmp_path.iterdir()}
    assert {"grid.ply", "grid.npz", "grid-views.png", "grid-slices.png"} <= names
    assert capsys.readouterr().out.count("wrote:") == 6
    do("convert", tmp_path / "grid.npz", tmp_path / "again.safetensors")
    again = load_grid(tmp_path / "again.safetensors")
    torch.testing.assert_close(again.rgba(), grid.rgba(), atol=2e-2, rtol=0)


def test_convert_a_grid_there_and_back(fitted, tmp_path):
    maskfield.extract(fitted, out=tmp_path / "a.safetensors", longest=16)
    do("convert", tmp_path / "a.safetensors", tmp_path / "b.npz")
    do("convert", tmp_path / "b.npz", tmp_path / "c.safetensors")
    do("convert", tmp_path / "c.safetensors", tmp_path / "d.npz")
    b, d = np.load(tmp_path / "b.npz")["rgbsigma"], np.load(tmp_path / "d.npz")["rgbsigma"]
    np.testing.assert_allclose(b, d, atol=2e-2)


@pytest.mark.parametrize("path", ["test", "orbit", "tour", "spiral"])
def test_render_writes_pictures_that_show_something(fitted, tmp_path, path):
    do("render", fitted, "--out", tmp_path, "--path", path, "--frames", 3, "--scale", 0.5)
    pictures = sorted(tmp_path.glob("*.png"))
    assert len(pictures) == (2 if path == "test" else 3)
    first = np.asarray(Image.open(pictures[0]))
    assert first.shape == (12, 16, 3)
    assert first.std() > 2


def test_render_a_film(fitted, tmp_path):
    written = maskfield.render(fitted, out=tmp_path, frames=3, video=True)
    assert written[-1].suffix in (".mp4", ".gif")
    assert written[-1].stat().st_size > 300
    assert len(written) == 4


def test_a_scene_that_moved_is_given_by_hand(fitted, scene, tmp_path):
    moved = save_scene(load_scene(scene), tmp_path / "moved")
    assert len(maskfield.render(fitted, out=tmp_path / "a", frames=1, scene=moved)) == 1


def test_pretrain_leaves_a_run_with_a_report(trained):
    metrics = json.loads((trained / "metrics.json").read_text())
    assert metrics["step"] == 3
    assert "hidden_colour_psnr" in metrics
    assert "data:image/" in (trained / "report.html").read_text()


def test_pretrain_refuses_to_overwrite_and_resumes(trained, grids, capsys):
    words = [
        "pretrain",
        "nerf-mae:tiny-cpu",
        "--data",
        str(grids),
        "--out",
        str(trained),
        *PRETRAIN,
    ]
    assert main(words) == 2
    assert "--resume auto" in capsys.readouterr().err
    assert main([*words, "--resume", "auto"]) == 0


def test_evaluate_gives_the_runs_own_metrics(trained):
    before = json.loads((trained / "metrics.json").read_text())
    metrics = maskfield.evaluate(trained)
    assert metrics["loss"] == pytest.approx(before["loss"], rel=1e-5)
    assert json.loads((trained / "metrics.json").read_text()) == before
    found = json.loads((trained / "evaluation.json").read_text())
    assert found["checkpoint"] == "step-3"
    assert found["loss"] == metrics["loss"]


def test_evaluate_a_fit(fitted):
    before = json.loads((fitted / "metrics.json").read_text())
    (fitted / "figures" / "held_out_photographs.png").unlink(missing_ok=True)
    found = maskfield.evaluate(fitted, figures=True)
    assert found["psnr"] == pytest.approx(before["psnr"], rel=1e-4)
    assert (fitted / "figures" / "held_out_photographs.png").is_file()
    assert "Measured afterwards" in (fitted / "report.html").read_text()


def test_weights_go_out_in_the_official_format_and_come_back(trained, tmp_path):
    do("convert", trained, tmp_path / "official.pt")
    official = read_official(tmp_path / "official.pt")
    assert official.epoch == 3
    do("convert", tmp_path / "official.pt", tmp_path / "ours.safetensors")
    ours, _ = load_weights(tmp_path / "ours.safetensors")
    kept, _ = load_weights(trained)
    assert ours.keys() == kept.keys()
    assert all(torch.equal(ours[k], kept[k]) for k in ours)


def test_pretrain_starts_from_official_weights(trained, grids, tmp_path):
    do("convert", trained, tmp_path / "official.pt")
    words = ["pretrain", "nerf-mae:tiny-cpu", "--data", grids, *PRETRAIN, "--set", "engine.steps=1"]
    frozen = ["--set", "optim.lr=1e-12", "--set", "optim.weight_decay=0"]
    init = ["--init", tmp_path / "official.pt"]
    do(*words, *frozen, *init, "--out", tmp_path / "run")
    started, _ = load_weights(tmp_path / "run")
    kept, _ = load_weights(trained)
    for name, value in kept.items():
        torch.testing.assert_close(started[name], value, atol=1e-6, rtol=0)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_demo_quick_writes_its_report(tmp_path):
    report = maskfield.demo("nerf-mae", quick=True, out=tmp_path / "demo")
    html = report.read_text()
    assert html.count("data:image/") >= 8
    for stage in ("photograph a room", "fit a radiance field", "pre-train"):
        assert stage in html
    maskfield.demo("nerf-mae", quick=True, out=tmp_path / "demo")  # the same folder again
