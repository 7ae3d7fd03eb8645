from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from maskfield.core.errors import DataError
from maskfield.data.synthetic.object_sets import (
    OBJECTS_REVISION,
    SyntheticObjects,
    open_synthetic,
    synthetic_objects,
    write_objects,
)
from maskfield.data.synthetic.objects import make_object, object_scene
from maskfield.data.synthetic.splits import FIRST_SEED, split_of, split_seeds

STORED = Path(__file__).with_name("objects_v1.json")


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def objects(cache) -> SyntheticObjects:
    return synthetic_objects("objects-v1", "train", 5, 3, 16, cache)


def test_a_set_gives_the_scenes_of_its_seeds(objects):
    assert len(objects) == 5
    for index, seed in enumerate(split_seeds("train", 5)):
        scene, alone = objects[index].validated(), object_scene(seed, 3, 16)
        assert np.array_equal(scene.images, alone.images)
        assert np.array_equal(scene.opacity, alone.opacity)
        assert torch.equal(scene.cameras.camera_to_world, alone.cameras.camera_to_world)
        assert torch.equal(scene.cameras.intrinsics, alone.cameras.intrinsics)
        assert (scene.names, scene.near, scene.far) == (alone.names, alone.near, alone.far)
        assert objects.categories[index] == make_object(seed).category
    assert objects[-1].names == objects[4].names
    with pytest.raises(IndexError):
        objects[5]


def test_pixels_are_mapped_and_made_once(objects, cache):
    assert isinstance(objects.images, np.memmap)
    (file,) = cache.glob("*-train-5x3x16/images.npy")
    made = file.stat().st_mtime_ns
    again = synthetic_objects("objects-v1", "train", 5, 3, 16, cache)
    assert file.stat().st_mtime_ns == made
    assert np.array_equal(again.images, objects.images)
    assert again.names == objects.names


def test_the_number_of_threads_changes_nothing(tmp_path):
    sets = [
        open_synthetic(write_objects(tmp_path / str(n), range(6), 2, 16, workers=n)) for n in (1, 3)
    ]
    assert np.array_equal(sets[0].images, sets[1].images)
    assert sets[0].categories == sets[1].categories


def test_splits_are_disjoint_and_held_out_views_are_a_spiral(objects, cache):
    held_out = [synthetic_objects("objects-v1", s, 2, 3, 16, cache) for s in ("val", "test")]
    names = [set(s.names) for s in (objects, *held_out)]
    assert len(set.union(*names)) == sum(len(n) for n in names)
    for one in held_out:
        assert np.array_equal(one.poses[0], one.poses[1])
    assert not np.array_equal(objects.poses[0], objects.poses[1])
    assert not np.array_equal(held_out[0].images[0], held_out[1].images[0])


def test_every_seed_belongs_to_the_split_that_lists_it():
    for split in FIRST_SEED:
        seeds = split_seeds(split, 1_000_000)
        assert {split_of(seeds[0]), split_of(seeds[-1])} == {split}


@pytest.mark.parametrize(
    ("values", "field"),
    [
        (("objects-v9", "train", 2, 2, 8), "data.path"),
        (("objects-v1", "dev", 2, 2, 8), "split"),
        (("objects-v1", "train", 0, 2, 8), "count"),
        (("objects-v1", "train", 2, 0, 8), "views"),
        (("objects-v1", "train", 2, 2, 0), "size"),
    ],
)
def test_sets_that_cannot_be_made(values, field, tmp_path):
    with pytest.raises(DataError) as error:
        synthetic_objects(*values, tmp_path)
    assert error.value.field == field
    assert not any(tmp_path.iterdir())


def test_a_damaged_set_names_its_file(tmp_path):
    folder = write_objects(tmp_path / "set", range(2), 1, 8)
    (folder / "opacity.npy").write_bytes(b"no array")
    with pytest.raises(DataError, match=r"opacity\.npy"):
        open_synthetic(folder)
    write_objects(folder, range(2), 1, 8)
    np.save(folder / "poses.npy", np.zeros((3, 1, 3, 4), np.float32))
    with pytest.raises(DataError, match="disagree"):
        open_synthetic(folder)
    (folder / "index.json").write_text('{"format_version": 99}')
    with pytest.raises(DataError, match="version"):
        open_synthetic(folder)


def digests(split: str) -> dict[str, str]:
    """Of the first object of a split; poses rounded, as processors differ in the last bit."""
    seed = split_seeds(split, 1).start
    scene = object_scene(seed, 3, 32)
    parts = {
        "images": scene.images,
        "opacity": scene.opacity,
        "poses": np.rint(scene.cameras.camera_to_world.double().numpy() * 1e4).astype("<i8") + 0,
    }
    return {
        "category": make_object(seed).category,
        **{
            k: hashlib.sha256(np.ascontiguousarray(a).tobytes()).hexdigest()
            for k, a in parts.items()
        },
    }


@pytest.mark.parametrize("split", sorted(FIRST_SEED))
def test_a_split_regenerates_from_its_seeds(split):
    """After a change that is meant, raise ``OBJECTS_REVISION`` and run this file."""
    stored = json.loads(STORED.read_text(encoding="utf-8"))
    assert digests(split) == stored[split]
    assert stored["revision"] == OBJECTS_REVISION


if __name__ == "__main__":
    table = {"revision": OBJECTS_REVISION, **{s: digests(s) for s in FIRST_SEED}}
    STORED.write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")
