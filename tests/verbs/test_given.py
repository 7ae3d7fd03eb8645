"""A grid in every form that a verb takes."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from maskfield.core.errors import CheckpointError, DataError, GridError, SceneError
from maskfield.data.radiance_grid import save_grid
from maskfield.data.scene import load_scene, save_scene
from maskfield.data.writers import write_nerf_rpn_npz
from maskfield.fields.fit import fit_config, fit_scene
from maskfield.verbs.given import open_given


@pytest.fixture(scope="module")
def fitted(scene_folder, tmp_path_factory) -> Path:
    from maskfield.core.config import override

    changes = ["engine.steps=3", "engine.threads=1", "method.resolutions=[8,12,16]"]
    changes += ["method.rays=[64,64,64]", "method.refit_box=-1"]
    folder = tmp_path_factory.mktemp("fit") / "run"
    fit_scene(str(scene_folder), folder, override(fit_config(), changes), progress="off")
    return folder


def test_a_grid_file(grid_file, room):
    given = open_given(grid_file)
    assert given.name == "den"
    assert given.grid.resolution == room.radiance.resolution
    assert (given.scene, given.truth) == (None, None)


def test_an_official_npz_is_the_same_grid(room, tmp_path):
    path = write_nerf_rpn_npz(room.radiance, tmp_path / "den.npz")
    given = open_given(path)
    torch.testing.assert_close(given.grid.rgba(), room.radiance.rgba(), atol=2e-2, rtol=0)
    torch.testing.assert_close(given.grid.box, room.radiance.box, atol=1e-4, rtol=0)


def test_a_grid_of_a_store_brings_its_boxes(store, room):
    given = open_given(f"{store}:room-0000003")
    assert given.name == "room-0000003"
    assert given.truth is not None
    torch.testing.assert_close(given.truth.centre, room.boxes.centre)


def test_a_store_needs_a_name(store):
    with pytest.raises(DataError, match="many grids") as caught:
        open_given(store)
    assert "room-0000003" in caught.value.remedy
    with pytest.raises(DataError, match="room-9"):
        open_given(f"{store}:room-9")


@pytest.mark.parametrize("name", ["nothing.safetensors", "gone:room", "image.png"])
def test_what_is_not_there_or_no_grid_is_refused(tmp_path, name):
    (tmp_path / "image.png").write_bytes(b"x")
    with pytest.raises(DataError) as caught:
        open_given(tmp_path / name)
    assert "grid store" in caught.value.remedy


def test_a_scene_is_added_with_its_boxes(grid_file, scene_folder):
    given = open_given(grid_file, scene=scene_folder)
    assert given.scene is not None
    assert len(given.scene) == 6
    assert given.truth is not None


def test_a_scene_of_another_place_is_refused(grid_file, scene_folder, tmp_path):
    scene = load_scene(scene_folder)
    pose = scene.cameras.camera_to_world.clone()
    pose[:, 0, 3] += 50
    shift = torch.tensor([50.0, 0, 0])
    cameras = replace(scene.cameras, camera_to_world=pose)
    away = save_scene(
        replace(scene, cameras=cameras, box=scene.box + shift, boxes=None), tmp_path / "away"
    )
    with pytest.raises(SceneError, match="different places"):
        open_given(grid_file, scene=away)


def test_a_fit_is_extracted_now_or_its_fresh_grid_is_taken(fitted):
    extracted = open_given(fitted, longest=16)
    assert max(extracted.grid.resolution) == 16
    assert extracted.scene is not None
    assert extracted.scene_source is not None
    kept = save_grid(open_given(fitted, longest=24).grid, fitted / "grid.safetensors")
    assert max(open_given(fitted, longest=16).grid.resolution) == 24
    assert open_given(fitted).scene is None, "the scene is not opened unless it is wanted"
    assert open_given(fitted, photos=True).scene is not None
    os.utime(kept, (0, 0))
    assert max(open_given(fitted, longest=16).grid.resolution) == 16, "the grid is out of date"


def test_a_fit_whose_scene_has_gone(fitted, scene_folder):
    hidden = scene_folder.with_name("hidden")
    grid = save_grid(open_given(fitted, longest=16).grid, fitted / "grid.safetensors")
    scene_folder.rename(hidden)
    try:
        assert open_given(fitted, photos=True).scene is None
        assert open_given(fitted, scene=hidden).scene is not None
        grid.unlink()
        with pytest.raises(SceneError):
            open_given(fitted)
    finally:
        hidden.rename(scene_folder)


def test_weights_of_something_else_are_no_field(weights, tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(weights["detector"].read_bytes())
    with pytest.raises((CheckpointError, DataError)):
        open_given(path)


def test_a_damaged_grid_is_a_typed_error(tmp_path):
    (tmp_path / "g.safetensors").write_bytes(b"nonsense")
    with pytest.raises(GridError, match="cannot open"):
        open_given(tmp_path / "g.safetensors")
