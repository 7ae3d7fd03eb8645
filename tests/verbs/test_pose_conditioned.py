"""``pose`` with an image-conditioned model: the camera of a photograph of an object seen before."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from maskfield import api
from maskfield.core.errors import ConfigError, DataError
from maskfield.data.scene import Scene, save_scene
from maskfield.data.synthetic.objects import object_scene
from maskfield.data.synthetic.splits import split_seeds
from maskfield.engine.checkpoint import save_weights
from maskfield.geometry.se3 import compose, exp
from maskfield.methods.inerf import config
from maskfield.methods.inerf.observation import Observation
from maskfield.metrics.pose import rotation_error, translation_error
from maskfield.verbs.conditioned_views import open_conditioned, starts_about
from maskfield.verbs.conditions import Conditions

MODEL, VIEW = "zoo:pixelnerf-tiny", 2
TURN = exp(torch.tensor([0.02, 0.0, 0.0, 0.0, 0.05, 0.1]))


@pytest.fixture(scope="module")
def scene() -> Scene:
    return object_scene(split_seeds("test", 2)[1], views=6, size=48)


@pytest.fixture(scope="module")
def data(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_scene(scene, tmp_path_factory.mktemp("objects") / "thing")


@pytest.fixture(scope="module")
def photo(scene: Scene, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the model itself shows from a known camera: so the camera can be found."""
    given = open_conditioned(Path(MODEL), Conditions(data=str(data)), bake=False)
    camera = scene.cameras[VIEW]
    blank = Observation(image=torch.zeros(48, 48, 3), camera=camera)
    image = given.view.image(blank, camera.camera_to_world[0]).clamp(0, 1)
    path = tmp_path_factory.mktemp("photo") / "thing.png"
    Image.fromarray((image * 255).round().byte().numpy()).save(path)
    return path


def test_a_camera_is_found_by_what_a_model_makes_of_another_view(scene, data, photo, tmp_path):
    true = scene.cameras.camera_to_world[VIEW]
    start = tmp_path / "start.json"
    start.write_text(json.dumps(compose(TURN, true).tolist()))
    answer = api.pose(
        MODEL, photo, data=data, init=start, film=False, out=tmp_path / "out", steps=60
    )
    (found,) = answer.estimates
    assert float(rotation_error(found.camera_to_world, true)) < 1.5
    assert float(translation_error(found.camera_to_world, true)) < 0.04
    assert found.verdict == "converged"
    assert (tmp_path / "out" / "pose.png").is_file()


def test_the_original_loop(scene, data, photo, tmp_path, monkeypatch):
    few = config.OfficialConfig(steps=4, pixels=replace(config.OfficialConfig().pixels, count=32))
    monkeypatch.setattr(config, "OfficialConfig", lambda: few)
    true = scene.cameras.camera_to_world[VIEW]
    start = tmp_path / "start.json"
    start.write_text(json.dumps(compose(TURN, true).tolist()))
    asked = {"data": data, "init": start, "film": False, "compat": "official"}
    (found,) = api.pose(MODEL, photo, out=tmp_path / "out", **asked).estimates
    assert found.trace is not None
    assert len(found.trace.losses) == 4
    turn = found.camera_to_world[:, :3]
    torch.testing.assert_close(turn @ turn.T, torch.eye(3), atol=1e-5, rtol=0)
    for changes in ({"init": None}, {"track": True}):
        with pytest.raises(ConfigError, match="start pose"):
            api.pose(MODEL, photo, **{**asked, **changes})
    voxel = tmp_path / "voxel.safetensors"
    save_weights(voxel, {"x": torch.zeros(1)}, {"conventions": {"kind": "VoxelField"}})
    with pytest.raises(ConfigError, match="this field has none"):
        api.pose(voxel, photo, init=start, compat="official")


def test_starts_lie_round_the_object(scene):
    starts = starts_about(scene, 40, torch.Generator().manual_seed(0))
    middle = scene.box.mean(0)
    own = (scene.cameras.centres - middle).norm(dim=1).median()
    away = starts[:, :, 3] - middle
    torch.testing.assert_close(away.norm(dim=1), own.expand(40))
    assert float((starts[:, :, 2] * away).sum(1).max()) < 0  # they look at it


def test_what_does_not_go_together_is_refused(data, photo, tmp_path):
    with pytest.raises(ConfigError, match="not fitted to a scene"):
        api.pose(MODEL, photo, scene=data)
    with pytest.raises(DataError, match="view"):
        api.pose(MODEL, photo, data=data, sources=(9,))
    with pytest.raises(ConfigError, match="no such object"):
        api.pose(MODEL, photo, data=data, object="boat")
    voxel = tmp_path / "voxel.safetensors"
    save_weights(voxel, {"x": torch.zeros(1)}, {"conventions": {"kind": "VoxelField"}})
    with pytest.raises(ConfigError, match="no other images"):
        api.pose(voxel, photo, data=data)
    with pytest.raises(ConfigError, match="no other images"):
        api.pose(voxel, photo, sources=(0, 1))


@pytest.mark.parametrize("option", ["by", "compat"])
def test_unknown_searches_are_refused(photo, option):
    with pytest.raises(ConfigError, match="no such search") as refused:
        api.pose(MODEL, photo, **{option: "nothing-known"})
    assert refused.value.field == option
