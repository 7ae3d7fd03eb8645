"""Bad input through the command line: status 2, and a message with file or field and a remedy."""

from __future__ import annotations

import numpy as np
import pytest

from maskfield.cli.main import main


def complaint(words: list[str], capsys) -> str:
    """Standard error of a command that must fail with status 2 and without a traceback."""
    assert main([str(w) for w in words]) == 2
    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert "remedy:" in err
    return err


@pytest.mark.parametrize("verb", [["fit"], ["data", "check"]])
def test_a_scene_that_is_not_there(verb, tmp_path, capsys):
    err = complaint([*verb, tmp_path / "gone"], capsys)
    assert "gone" in err
    assert "no such file" in err


def test_a_folder_that_is_no_capture_lists_what_was_looked_for(tmp_path, capsys):
    err = complaint(["data", "import", tmp_path, "--out", tmp_path / "scene"], capsys)
    assert "transforms.json" in err
    assert not (tmp_path / "scene").exists()


def test_a_damaged_transforms_file_is_named_and_nothing_is_written(tmp_path, capsys):
    (tmp_path / "transforms.json").write_text('{"frames": [')
    err = complaint(["data", "import", tmp_path, "--out", tmp_path / "scene"], capsys)
    assert "transforms.json" in err
    assert not (tmp_path / "scene").exists()


@pytest.mark.parametrize("verb", ["extract", "render", "evaluate"])
def test_a_run_that_is_not_there(verb, tmp_path, capsys):
    assert "gone" in complaint([verb, tmp_path / "gone"], capsys)


def test_an_unknown_recipe_gets_the_nearest_one(tmp_path, capsys):
    err = complaint(["pretrain", "nerf-mae:tiny", "--out", tmp_path / "run"], capsys)
    assert "did you mean 'nerf-mae:tiny-cpu'?" in err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ("engine.stesp=1", "did you mean 'steps'?"),
        ("engine.steps=many", "engine.steps"),
        ("method.mask_ratio=1.5", "mask_ratio"),
        ("steps", "key=value"),
    ],
)
def test_a_wrong_change_names_the_key(change, part, tmp_path, capsys):
    words = ["pretrain", "nerf-mae:tiny-cpu", "--set", change, "--out", tmp_path / "run"]
    assert part in complaint(words, capsys)
    assert not (tmp_path / "run").exists()


def test_data_without_grids(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    words = ["pretrain", "nerf-mae:tiny-cpu", "--data", tmp_path / "empty"]
    assert "no grids here" in complaint([*words, "--out", tmp_path / "run"], capsys)


def test_a_folder_that_is_a_file(tmp_path, capsys):
    (tmp_path / "file").write_text("x")
    words = ["pretrain", "nerf-mae:tiny-cpu", "--out", tmp_path / "file" / "run"]
    assert "cannot write" in complaint(words, capsys)


def test_no_such_conversion_lists_the_known_ones(tmp_path, capsys):
    err = complaint(["convert", tmp_path / "a.txt", tmp_path / "b.npz"], capsys)
    assert "official.pt weights.safetensors" in err


def test_a_damaged_official_checkpoint(tmp_path, capsys):
    (tmp_path / "a.pt").write_bytes(b"not a checkpoint")
    err = complaint(["convert", tmp_path / "a.pt", tmp_path / "b.safetensors"], capsys)
    assert "a.pt" in err
    assert not (tmp_path / "b.safetensors").exists()


def test_a_grid_with_nan(tmp_path, capsys):
    grid = np.full((4, 4, 4, 4), np.nan, np.float32)
    np.savez(tmp_path / "a.npz", rgbsigma=grid, resolution=[4, 4, 4])
    err = complaint(["convert", tmp_path / "a.npz", tmp_path / "b.safetensors"], capsys)
    assert "a.npz" in err
    assert "NaN" in err


@pytest.mark.parametrize(
    "options", [("--views", "0"), ("--seed", "-1"), ("--width", "0")], ids=lambda o: o[0]
)
def test_a_room_that_cannot_be_photographed(options, tmp_path, capsys):
    words = ["data", "synth", "scene", "--out", tmp_path / "room", *options]
    assert options[1] in complaint(words, capsys)
    assert not (tmp_path / "room").exists()


@pytest.mark.parametrize(
    "options", [("--count", "0"), ("--seed", "-1"), ("--views", "0"), ("--height", "48")]
)
def test_objects_that_cannot_be_photographed(options, tmp_path, capsys):
    words = ["data", "synth", "objects", "--out", tmp_path / "objects", *options]
    assert options[1] in complaint(words, capsys)
    assert not (tmp_path / "objects").exists()


@pytest.mark.parametrize("options", [("--count", "0"), ("--seed", "-1"), ("--resolution", "0")])
def test_grids_that_cannot_be_made(options, tmp_path, capsys):
    words = ["data", "synth", "grids", "--out", tmp_path / "grids", *options]
    assert options[1] in complaint(words, capsys)
    assert not (tmp_path / "grids").exists()


def test_a_grid_is_no_checkpoint(tmp_path, capsys):
    grid = np.random.default_rng(0).random((4, 4, 4, 4), np.float32)
    np.savez(tmp_path / "a.npz", rgbsigma=grid, resolution=[4, 4, 4])
    assert main([str(w) for w in ("convert", tmp_path / "a.npz", tmp_path / "a.safetensors")]) == 0
    err = complaint(["convert", tmp_path / "a.safetensors", tmp_path / "a.pt"], capsys)
    assert "a.safetensors" in err
    assert "RadianceGrid" in err


def test_a_conversion_of_nothing(tmp_path, capsys):
    assert "no such file" in complaint(["convert", tmp_path / "gone", tmp_path / "a.pt"], capsys)


def test_render_options_out_of_range(tmp_path, capsys):
    assert "frames" in complaint(["render", tmp_path, "--frames", "0"], capsys)
