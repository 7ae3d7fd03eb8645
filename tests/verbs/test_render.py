"""``render``: paths of cameras, models that are shown objects and photographs, meshes."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from maskfield import api
from maskfield.core.config import to_dict
from maskfield.core.errors import CheckpointError, ConfigError, DataError
from maskfield.data.object_config import ObjectDataConfig
from maskfield.data.scene import Scene
from maskfield.data.synthetic.object_cameras import object_cameras
from maskfield.engine.checkpoint import save_weights
from maskfield.engine.config import RunConfig
from maskfield.methods.pixelnerf.config import MLPConfig, PixelNeRFConfig, SmallEncoderConfig
from maskfield.methods.pixelnerf.config import SamplingConfig as Sampling
from maskfield.methods.pixelnerf.task import pixelnerf_conventions
from maskfield.verbs.conditioned import is_conditioned, load_conditioned
from maskfield.verbs.conditions import Conditions, open_conditions
from maskfield.verbs.render import Shots, path_cameras, shot_cameras

MLP = MLPConfig(blocks=2, hidden=8, combine_layer=1)
METHOD = PixelNeRFConfig(
    encoder=SmallEncoderConfig(widths=(8, 8)),
    mlp=MLP,
    mlp_fine=MLP,
    sampling=Sampling(coarse=4, fine=4, fine_depth=2),
)
SIZE, VIEWS = 16, 4


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """Weights of an untrained network that knows two procedural objects of four views."""
    folder = tmp_path_factory.mktemp("model")
    data = ObjectDataConfig(
        image_size=SIZE, views=VIEWS, train_count=2, validation_count=2, cache=str(folder / "cache")
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = METHOD.build()
        for name, parameter in network.named_parameters():
            if name.endswith("fc_1.weight"):
                torch.nn.init.normal_(parameter, 0, 0.5)
            if name.endswith("lin_out.bias"):
                torch.nn.init.constant_(parameter, 2.0)
    header = {
        "config": to_dict(RunConfig(method=METHOD, data=data)),
        "conventions": pixelnerf_conventions(),
    }
    save_weights(folder / "weights.safetensors", network.state_dict(), header)
    return folder / "weights.safetensors"


@pytest.fixture
def photo(tmp_path) -> Path:
    image = np.full((24, 24, 3), 255, np.uint8)
    image[8:16, 6:18] = (20, 60, 200)
    Image.fromarray(image).save(tmp_path / "boat_normalize.png")
    return tmp_path / "boat_normalize.png"


def scene(views: int = 6) -> Scene:
    cameras = object_cameras(views, SIZE, "spiral")
    return Scene(
        cameras=cameras,
        images=np.full((views, SIZE, SIZE, 3), 255, np.uint8),
        names=tuple(map(str, range(views))),
        box=torch.tensor([[-0.5] * 3, [0.5] * 3]),
        split={"train": tuple(range(views)), "test": (0,)},
        near=0.8,
        far=1.8,
    )


def test_orbits_have_the_height_and_distance_asked_for():
    cameras = path_cameras(scene(), Shots(path="orbit", frames=5, elevation=30.0, radius=2.0))
    torch.testing.assert_close(cameras.centres.norm(dim=1), torch.full((5,), 2.0))
    heights = torch.full((5,), 2 * math.sin(math.radians(30)))
    torch.testing.assert_close(cameras.centres[:, 2], heights)
    same = path_cameras(scene(), Shots(path="orbit", frames=5, elevation=0.0))
    torch.testing.assert_close(same.centres.norm(dim=1), torch.full((5,), 1.3))
    one = path_cameras(scene(1), Shots(path="orbit", frames=3))
    torch.testing.assert_close(one.centres.norm(dim=1), torch.full((3,), 1.3))


def test_every_path_has_its_number_of_cameras_in_the_size_asked_for():
    counts = {"test": 1, "train": 6, "tour": 7, "orbit": 7, "spiral": 7, "dtu": 7}
    for path, count in counts.items():
        cameras = shot_cameras(scene(), Shots(path=path, frames=7, scale=2.0))
        assert (len(cameras), cameras.width, cameras.height) == (count, 2 * SIZE, 2 * SIZE)
    far = path_cameras(scene(), Shots(path="dtu", frames=3, radius=5.0))
    torch.testing.assert_close(far.centres.norm(dim=1), torch.full((3,), 5.0))


@pytest.mark.parametrize(
    ("option", "value"),
    [("frames", 0), ("fps", 0), ("scale", 9.0), ("elevation", 90.0), ("radius", 0.0)],
)
def test_options_out_of_range(option, value):
    with pytest.raises(ConfigError, match=option):
        Shots(**{option: value})


def test_an_object_seen_from_some_of_its_views(model, tmp_path):
    written = api.render(
        model,
        out=tmp_path,
        sources=(1, 3),
        object="1",
        frames=2,
        video=True,
        mesh="ply",
        mesh_nodes=10,
        mesh_level=0.5,
    )
    names = [p.name for p in written]
    assert names[:4] == ["sources.png", "mesh.ply", "000.png", "001.png"]
    assert written[-1].suffix in (".mp4", ".gif")
    shown = open_conditions(load_conditioned(model), Conditions(sources=(1, 3), object="1"))
    sources = np.asarray(Image.open(tmp_path / "sources.png"))
    np.testing.assert_array_equal(sources[:, SIZE:], shown.scene.images[3])
    frame = np.asarray(Image.open(tmp_path / "000.png"))
    assert frame.shape == (SIZE, SIZE, 3)
    assert frame.std() > 1


def test_sources_decide_the_picture_and_the_place(model):
    one, two = (api.render(model, sources=s, frames=1, scale=0.5) for s in ((0,), (0, 2)))
    assert one[0].parent != two[0].parent
    assert one[0].parent.parts[-1] == "orbit"
    assert one[0].is_relative_to(model.parent / "renders")
    first, second = (np.asarray(Image.open(w[-1])).astype(int) for w in (one, two))
    assert first.shape == (SIZE // 2, SIZE // 2, 3)
    assert np.abs(first - second).max() > 0


def test_a_photograph_is_shown_instead_of_an_object(model, photo, tmp_path):
    written = api.render(model, photo=photo, out=tmp_path / "a", frames=2)
    assert [p.name for p in written] == ["sources.png", "000.png", "001.png"]
    assert np.asarray(Image.open(written[0])).shape == (SIZE, SIZE, 3)
    assert api.render(model, photo=photo, frames=1)[0].parent.parent.name == "boat_normalize"


def test_views_by_number_name_or_chance(model):
    loaded = load_conditioned(model)
    second = open_conditions(loaded, Conditions(object="1"))
    name = second.name.rpartition("-v")[0].partition("_")[2]
    named = open_conditions(loaded, Conditions(object=name))
    assert named.name == second.name
    drawn = {
        open_conditions(loaded, Conditions(sources=(-1,), seed=seed)).sources for seed in range(12)
    }
    assert len(drawn) > 1
    assert all(0 <= v < VIEWS for (v,) in drawn)
    with pytest.raises(DataError, match="views 0 to 3"):
        open_conditions(loaded, Conditions(sources=(VIEWS,)))
    with pytest.raises(ConfigError, match="no such object"):
        open_conditions(loaded, Conditions(object="7"))


def test_an_official_checkpoint_needs_data_or_a_photograph(tmp_path, photo):
    from maskfield.methods.pixelnerf.config import ResNetEncoderConfig

    encoder = ResNetEncoderConfig(backbone="resnet18", layers=1)
    sampling = Sampling(coarse=2, fine=2, fine_depth=1)
    network = replace(METHOD, encoder=encoder, sampling=sampling).build()
    torch.save(network.state_dict(), tmp_path / "pixel_nerf_latest")
    path = tmp_path / "pixel_nerf_latest"
    assert is_conditioned(path)
    loaded = load_conditioned(path)
    assert loaded.official
    with pytest.raises(ConfigError, match="--photo"):
        open_conditions(loaded, Conditions())
    shown = open_conditions(loaded, Conditions(photo=photo))
    assert shown.scene.cameras.width == 128
    assert shown.scene.cameras.intrinsics[0, 2] == 64.5


def test_wrong_combinations_are_refused(model, tmp_path, photo):
    with pytest.raises(ConfigError, match="not fitted to a scene"):
        api.render(model, scene=tmp_path)
    with pytest.raises(CheckpointError):
        api.render(tmp_path / "absent")
    voxel = tmp_path / "voxel.safetensors"
    save_weights(voxel, {"x": torch.zeros(1)}, {"conventions": {"kind": "VoxelField"}})
    with pytest.raises(ConfigError, match="no other images"):
        api.render(voxel, photo=photo)
