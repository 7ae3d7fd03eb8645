"""Sets of objects: which layout, which objects, decoded once."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from maskfield.core.errors import ConfigError, DataError, SceneError
from maskfield.data.object_config import ObjectDataConfig
from maskfield.data.object_scenes import as_object, views_of
from maskfield.data.object_sets import DecodedObjects, open_objects, open_split
from maskfield.data.object_sources import detect_layout
from maskfield.data.scene import Scene, save_scene
from maskfield.geometry.camera_paths import pinholes, spherical
from maskfield.geometry.cameras import Cameras

SIDE = 16


def an_object(seed: int = 0, views: int = 4) -> Scene:
    angle = torch.linspace(0, 300, views)
    poses = spherical(angle, torch.full_like(angle, 20.0), torch.full_like(angle, 1.3))
    images = np.random.default_rng(seed).integers(0, 255, (views, SIDE, SIDE, 3), np.uint8)
    return Scene(
        cameras=pinholes(poses, SIDE, SIDE, 50),
        images=images,
        names=tuple(f"{i:03d}" for i in range(views)),
        box=torch.tensor([[-0.5] * 3, [0.5] * 3]),
        split={"train": tuple(range(views - 1)), "test": (views - 1,)},
        near=0.8,
        far=1.8,
    )


def write_srn(folder: Path, count: int = 2) -> None:
    for index in range(count):
        place, scene = folder / f"car{index}", an_object(index)
        for kind in ("rgb", "pose"):
            (place / kind).mkdir(parents=True)
        for i, name in enumerate(scene.names):
            Image.fromarray(scene.images[i]).save(place / "rgb" / f"{name}.png")
            rows = [*scene.cameras.camera_to_world[i].flatten().tolist(), 0, 0, 0, 1]
            (place / "pose" / f"{name}.txt").write_text(" ".join(map(str, rows)))
        (place / "intrinsics.txt").write_text("17.2 8 8 0\n")


@pytest.fixture
def cars(tmp_path: Path) -> ObjectDataConfig:
    write_srn(tmp_path / "cars_train", 3)
    write_srn(tmp_path / "cars_val")
    return ObjectDataConfig(path=str(tmp_path / "cars"), cache=str(tmp_path / "cache"))


def test_both_parts_of_a_data_set(cars: ObjectDataConfig):
    train, held_out = open_objects(cars)
    assert train.names == ("car0", "car1", "car2")
    assert held_out.categories == ("", "")
    np.testing.assert_array_equal(train[1].images, an_object(1).images)
    assert train[1].opacity is not None


def test_objects_are_decoded_once(cars: ObjectDataConfig, monkeypatch: pytest.MonkeyPatch):
    first = open_split(cars, "train")[0]
    for file in Path(cars.path + "_train").glob("car0/rgb/*.png"):
        assert file.stat().st_size > 0

    def refuse(*_: object) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr("maskfield.data.readers.object_views.decode_images", refuse)
    again = open_split(cars, "train")
    np.testing.assert_array_equal(again[0].images, first.images)
    assert isinstance(again[0].images, np.memmap)
    assert again[0] is again[0]


def test_a_changed_object_is_decoded_again(cars: ObjectDataConfig):
    before = open_split(cars, "train")[0].images.copy()
    file = Path(cars.path + "_train") / "car0" / "rgb" / "000.png"
    Image.fromarray(np.full((SIDE, SIDE, 3), 7, np.uint8)).save(file)
    after = open_split(cars, "train")[0].images
    assert (after[0] == 7).all()
    np.testing.assert_array_equal(after[1:], before[1:])


def test_a_damaged_copy_is_made_again(cars: ObjectDataConfig):
    wanted = open_split(cars, "train")[0].images.copy()
    assert cars.cache is not None
    for copy in Path(cars.cache).rglob("images.npy"):
        copy.write_bytes(b"cut off")
    np.testing.assert_array_equal(open_split(cars, "train")[0].images, wanted)


def test_an_object_that_cannot_be_read_is_named(cars: ObjectDataConfig):
    (Path(cars.path + "_train") / "car0" / "pose" / "001.txt").unlink()
    with pytest.raises(SceneError, match=r"car0[\s\S]*'rgb': 4, 'pose': 3"):
        open_split(cars, "train")[0]


def test_sizes_counts_and_centres(cars: ObjectDataConfig):
    config = replace(cars, image_size=8, train_count=2, official_centres=True)
    train = open_split(config, "train")
    assert (len(train), train.names, train.categories) == (2, ("car0", "car1"), ("", ""))
    assert train[0].images.shape == (4, 8, 8, 3)
    assert train[0].cameras.intrinsics[0].tolist() == pytest.approx([8.6, 8.6, 4.5, 4.5])


def test_a_set_can_be_sent_to_another_process(cars: ObjectDataConfig):
    train = open_split(cars, "train")
    wanted = train[2].images.copy()
    sent = pickle.dumps(train)
    assert len(sent) < wanted.nbytes + 4000
    np.testing.assert_array_equal(pickle.loads(sent)[2].images, wanted)
    with pytest.raises(IndexError):
        train[3]


def test_a_folder_of_one_split_is_understood(cars: ObjectDataConfig):
    given = replace(cars, path=cars.path + "_train")
    assert open_split(given, "val").names == ("car0", "car1")
    with pytest.raises(DataError, match="cars_test"):
        open_split(given, "test")
    with pytest.raises(ConfigError, match="unknown split"):
        open_split(given, "validation")


@pytest.mark.parametrize(
    ("files", "layout"),
    [
        (["02/softras_val.lst"], "dvr"),
        (["02/gen_test.lst"], "dvr_gen"),
        (["DTU/new_val.lst"], "dvr_dtu"),
        (["val/0/transforms.json", "val/0/a_obj.png"], "multi_obj"),
        (["val/0/transforms.json", "val/0/a.png"], "scenes"),
        (["a/scene.json"], "scenes"),
    ],
)
def test_layouts_are_told_by_their_files(tmp_path: Path, files: list[str], layout: str):
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    assert detect_layout(tmp_path) == layout


def test_a_wrong_path_is_named(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"data\.path"):
        open_objects(ObjectDataConfig(path=str(tmp_path / "gone")))
    with pytest.raises(DataError, match="no objects of this split"):
        open_objects(ObjectDataConfig(path=str(tmp_path)))


def test_every_tenth_scene_of_a_folder_is_held_out(tmp_path: Path):
    for index in range(11):
        save_scene(an_object(index), tmp_path / "all" / f"s{index:02d}")
    config = ObjectDataConfig(path=str(tmp_path / "all"), cache=str(tmp_path / "cache"))
    train, held_out = open_objects(config)
    assert held_out.names == ("s09",)
    assert len(train) == 10
    np.testing.assert_array_equal(train[3].images, an_object(3).images)
    assert not (tmp_path / "cache").exists()  # scenes are memory maps already


def test_scenes_in_folders_of_splits(tmp_path: Path):
    save_scene(an_object(1), tmp_path / "train" / "a")
    save_scene(an_object(2), tmp_path / "test" / "b")
    config = ObjectDataConfig(path=str(tmp_path), held_out="test", image_size=8)
    train, held_out = open_objects(replace(config, cache=str(tmp_path / "cache")))
    assert (train.names, held_out.names) == (("a",), ("b",))
    assert held_out[0].images.shape == (4, 8, 8, 3)


def test_of_a_single_capture_training_sees_the_training_images(tmp_path: Path):
    save_scene(an_object(), tmp_path / "one")
    config = ObjectDataConfig(path=str(tmp_path / "one"), cache=str(tmp_path / "cache"))
    train, held_out = open_objects(config)
    assert (len(train[0]), len(held_out[0])) == (3, 4)


def test_a_capture_becomes_an_object_over_white():
    scene = an_object()
    opacity = np.zeros((4, SIDE, SIDE), np.uint8)
    opacity[:, :8] = 128
    made = as_object(replace(scene, opacity=opacity))
    alpha = 128 / 255
    wanted = scene.images[:, :8] * alpha + 255 * (1 - alpha)
    np.testing.assert_allclose(made.images[:, :8], wanted, atol=0.51)
    assert (made.images[:, 8:] == 255).all()
    np.testing.assert_array_equal(made.opacity, opacity)


def test_a_distorted_capture_becomes_a_pinhole():
    """A smooth picture, distorted by rendering it through the lens, comes back straight."""
    straight = pinholes(spherical(*(torch.tensor([v]) for v in (10.0, 20.0, 1.3))), 64, 48, 60)
    bent = replace(straight, distortion=torch.tensor([[0.25, -0.05, 0.004, 0.002, 0.0]]))
    scene = replace(
        an_object(views=1), cameras=bent, images=_smooth(bent)[None], names=("a",), split={}
    )
    made = as_object(scene)
    assert made.cameras.distortion is None
    difference = np.abs(made.images[0].astype(int) - _smooth(straight).astype(int))[4:-4, 4:-4]
    assert difference.max() <= 2
    assert np.abs(scene.images[0].astype(int) - _smooth(straight).astype(int)).max() > 8


def _smooth(cameras: Cameras) -> np.ndarray:
    directions = cameras.image_rays(0).directions.view(48, 64, 3)
    return ((torch.sin(4 * directions) * 0.5 + 0.5) * 255).round().byte().numpy()


def test_some_views_of_a_scene():
    some = views_of(an_object(), (2, 0)).validated()
    np.testing.assert_array_equal(some.images, an_object().images[[2, 0]])
    assert some.names == ("002", "000")


def test_many_objects_are_not_all_kept_open(
    cars: ObjectDataConfig, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("maskfield.data.object_sets._OPEN", 2)
    train = open_split(cars, "train")
    assert isinstance(train, DecodedObjects)
    held = [train[i] for i in range(3)]
    assert train[2] is held[2]
    assert train[0] is not held[0]


@pytest.mark.shared
def test_the_real_cars(shared: Path, tmp_path: Path):
    config = ObjectDataConfig(path=str(shared / "data/srn_cars/cars"), cache=str(tmp_path))
    cars = open_split(config, "train")
    assert [len(cars[i]) for i in range(3)] == [11, 6, 6]
    scene = cars[0]
    assert scene.opacity is not None
    assert 0.05 < (scene.opacity > 0).mean() < 0.6
    towards = -torch.nn.functional.normalize(scene.cameras.centres, dim=1)
    assert float((towards * scene.cameras.forward_axes).sum(1).min()) > 0.99


@pytest.mark.shared
def test_the_real_cars_agree_with_their_silhouettes(shared: Path, tmp_path: Path):
    """What lies within all masks covers each of them: poses, lens and masks fit together.

    Highlights, white as the background, are holes in official masks: hence not all of it.
    """
    config = ObjectDataConfig(path=str(shared / "data/srn_cars/cars"), cache=str(tmp_path))
    scene = open_split(config, "train")[0]
    assert covered(scene, scene.cameras) > 0.95
    mirrored = scene.cameras.camera_to_world * torch.tensor([1.0, -1, -1, 1])
    assert covered(scene, replace(scene.cameras, camera_to_world=mirrored)) < 0.7


def covered(scene: Scene, cameras: Cameras) -> float:
    """Share of the masks that their visual hull covers, mean over views."""
    line = (torch.arange(96) + 0.5) / 96 - 0.5
    seen, _ = cameras.project(torch.cartesian_prod(line, line, line))
    pixels = seen.floor().long().clamp(0, cameras.width - 1)
    masks = torch.from_numpy(np.array(scene.opacity)) > 0
    view = torch.arange(len(scene))[:, None].expand(pixels.shape[:2])
    within = grown(masks)[view, pixels[..., 1], pixels[..., 0]].all(0)
    hull = torch.zeros_like(masks)
    hull[view[:, within], pixels[:, within, 1], pixels[:, within, 0]] = True
    return float((grown(hull) & masks).sum() / masks.sum())


def grown(masks: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.max_pool2d(masks[:, None].float(), 3, 1, 1)[:, 0] > 0
