"""`data labels` against the truth of a procedural room, from our scenes and official frames."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import maskfield
from maskfield.cli.main import main
from maskfield.core.errors import ConfigError, DataError, GridError, MissingPartError, SceneError
from maskfield.data.label_grid import load_labels
from maskfield.data.preparation.class_maps import front3d_classes, named_classes, save_classes
from maskfield.data.radiance_grid import save_grid
from maskfield.data.scene import load_scene, save_scene
from maskfield.data.synthetic.rooms import make_room, rasterise_room, room_scene
from maskfield.data.writers import write_nerf_rpn_npz, write_transforms_json

SEED, RESOLUTION = 3, 32


@pytest.fixture(scope="module")
def scene(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("scene")
    return save_scene(room_scene(SEED, views=16, width=96, height=72), folder)


@pytest.fixture(scope="module")
def truth():
    return rasterise_room(make_room(SEED), RESOLUTION)


@pytest.fixture(scope="module")
def grid(truth, tmp_path_factory) -> Path:
    return save_grid(truth.radiance, tmp_path_factory.mktemp("grid") / "room.safetensors")


@pytest.fixture(scope="module")
def official(scene, tmp_path_factory) -> Path:
    """The same room as 3D-FRONT would come: raw ids in class_segmaps, the lowest of each class."""
    h5py = pytest.importorskip("h5py")
    folder, ours = tmp_path_factory.mktemp("official") / "room", load_scene(scene)
    write_transforms_json(ours, folder)
    raw = raw_ids(ours.class_names)
    for i in range(len(ours)):
        with h5py.File(folder / f"{i}.hdf5", "w") as stream:
            stream["depth"] = np.where(ours.depths[i] > 0, ours.depths[i], np.inf)
            stream["class_segmaps"] = raw[ours.semantics[i]].astype(np.uint8)
    return folder


def raw_ids(names: tuple[str, ...]) -> np.ndarray:
    classes, words = front3d_classes(), {"armchair": "chair", "bookshelf": "bookcase"}
    first = {
        n: min(r for r, c in classes.raw.items() if c == i)
        for i, n in zip(classes.categories, classes.names, strict=True)
    }
    return np.array([first.get(words.get(n, n), first["others"]) for n in names])


def agreement(labels: torch.Tensor, truth: torch.Tensor) -> tuple[float, float]:
    """Share of the labelled voxels that agree, and of the truly labelled that are labelled."""
    both = (labels > 0) & (truth > 0)
    return float((labels == truth)[both].float().mean()), float(both.sum() / (truth > 0).sum())


def test_labels_of_a_scene_agree_with_the_room(scene, grid, truth, tmp_path) -> None:
    report = maskfield.data_labels(scene, grid=grid, out=tmp_path / "l.safetensors")
    found = load_labels(report.files[0])
    assert found.class_names == load_scene(scene).class_names
    assert found.matches(truth.radiance)
    right, seen = agreement(found.labels.long(), torch.from_numpy(truth.labels).long())
    assert right > 0.8
    assert seen > 0.3
    assert report.voxels["floor"] > 50
    assert sum(report.voxels.values()) == int((found.labels > 0).sum())


def test_official_frames_give_the_same_labels(scene, official, grid, tmp_path) -> None:
    ours = load_labels(
        maskfield.data_labels(scene, grid=grid, out=tmp_path / "a.safetensors").files[0]
    )
    theirs = load_labels(
        maskfield.data_labels(official, grid=grid, out=tmp_path / "b.safetensors").files[0]
    )
    classes = front3d_classes()
    assert theirs.class_names == classes.names
    expected = classes.contiguous(torch.from_numpy(raw_ids(ours.class_names)))[ours.labels.long()]
    same = (theirs.labels == expected)[(expected > 0) | (theirs.labels > 0)]
    assert float(same.float().mean()) > 0.98  # classes that share a category may win together


def test_the_command_writes_beside_the_grid_and_the_official_array(
    scene, truth, tmp_path, capsys
) -> None:
    (tmp_path / "features").mkdir()
    write_nerf_rpn_npz(truth.radiance, tmp_path / "features" / "room.npz")
    words = ["data", "labels", scene, "--grid", tmp_path / "features" / "room.npz", "--npy"]
    assert main([str(w) for w in words]) == 0
    labels = load_labels(tmp_path / "labels" / "room.safetensors")
    array = np.load(tmp_path / "voxel" / "room.npy")
    assert array.dtype == np.int64
    np.testing.assert_array_equal(array, labels.labels.numpy())
    out = capsys.readouterr().out
    assert out.count("wrote:") == 2
    assert "labelled:" in out


def test_the_seed_decides_which_points_vote(scene, grid, tmp_path) -> None:
    made = [
        load_labels(
            maskfield.data_labels(
                scene, grid=grid, out=tmp_path / f"{i}.safetensors", points=200, seed=seed
            ).files[0]
        ).labels
        for i, seed in enumerate((1, 1, 2))
    ]
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])


def test_far_depth_does_not_count(scene, grid, tmp_path) -> None:
    near = maskfield.data_labels(scene, grid=grid, out=tmp_path / "n.safetensors", max_depth=1.5)
    all_ = maskfield.data_labels(scene, grid=grid, out=tmp_path / "a.safetensors")
    assert near.share < 0.8 * all_.share


def test_two_folders_of_hm3d_and_a_class_map(scene, official, grid, tmp_path) -> None:
    h5py = pytest.importorskip("h5py")
    ours, folder = load_scene(scene), tmp_path / "room"
    folder.mkdir()
    head = (official / "transforms.json").read_text()
    (folder / "transforms.json").write_text(head)
    for i in range(len(ours)):
        for name, array in (("depth", ours.depths[i]), ("semantic", ours.semantics[i])):
            (folder / name).mkdir(exist_ok=True)
            with h5py.File(folder / name / f"{i:04d}.hdf5", "w") as stream:
                stream["data"] = array[..., None]
    classes = save_classes(named_classes(f"c{i:02d}" for i in range(40)), tmp_path / "map.json")
    report = maskfield.data_labels(
        folder, grid=grid, out=tmp_path / "l.safetensors", classes=str(classes)
    )
    expected = maskfield.data_labels(scene, grid=grid, out=tmp_path / "e.safetensors")
    same = load_labels(report.files[0]).labels == load_labels(expected.files[0]).labels
    assert float(same.float().mean()) > 0.99


def test_scenes_without_depth_or_classes_are_refused(scene, grid, tmp_path) -> None:
    for name in ("depths", "semantics"):
        bare = save_scene(replace(load_scene(scene), **{name: None}), tmp_path / name)
        with pytest.raises(SceneError, match=f"no {name}"):
            maskfield.data_labels(bare, grid=grid)


def test_ids_without_a_name_are_refused(scene, grid, tmp_path) -> None:
    few = replace(load_scene(scene), class_names=("void", "bed"))
    with pytest.raises(DataError, match="no name"):
        maskfield.data_labels(save_scene(few, tmp_path), grid=grid)


def test_a_grid_of_another_place_is_refused(scene, truth, tmp_path) -> None:
    far = save_grid(
        replace(truth.radiance, box=truth.radiance.box + 100), tmp_path / "g.safetensors"
    )
    with pytest.raises(GridError, match="share one world"):
        maskfield.data_labels(scene, grid=far)


@pytest.mark.parametrize("option", [{"max_depth": 0.0}, {"points": 0}, {"classes": "front3d"}])
def test_options_out_of_place_are_refused(scene, grid, option) -> None:
    with pytest.raises(ConfigError) as caught:
        maskfield.data_labels(scene, grid=grid, **option)
    assert caught.value.field in option


def broken(official: Path, folder: Path, number: int = 0) -> Path:
    folder.mkdir()
    for path in official.iterdir():
        if path.is_file():
            (folder / path.name).symlink_to(path)
    (folder / f"{number}.hdf5").unlink()
    return folder / f"{number}.hdf5"


def test_a_frame_without_maps_is_named(official, grid, tmp_path) -> None:
    broken(official, tmp_path / "room", 3)
    with pytest.raises(DataError, match=r"no depth and class maps[\s\S]*00003"):
        maskfield.data_labels(tmp_path / "room", grid=grid)


@pytest.mark.parametrize(
    ("arrays", "word"),
    [
        ({"depth": np.ones((72, 96))}, "lacks an array"),
        ({"depth": np.ones((72, 96)), "class_segmaps": np.ones((72, 95), int)}, "one size"),
        ({"depth": np.ones((72, 96)), "class_segmaps": np.ones((72, 96))}, "of integers"),
        ({"depth": np.ones((36, 48)), "class_segmaps": np.ones((36, 48), int)}, "another size"),
        ({"depth": np.ones((72, 96)), "class_segmaps": np.full((72, 96), 200)}, "class list"),
        (None, "cannot read the HDF5 file"),
    ],
)
def test_damaged_frames_are_typed_errors(official, grid, tmp_path, arrays, word) -> None:
    h5py = pytest.importorskip("h5py")
    path = broken(official, tmp_path / "room")
    if arrays is None:
        path.write_bytes(b"nothing")
    else:
        with h5py.File(path, "w") as stream:
            for name, array in arrays.items():
                stream[name] = array
    with pytest.raises(DataError, match=word) as caught:
        maskfield.data_labels(tmp_path / "room", grid=grid)
    assert str(path) == caught.value.file


def test_without_h5py_the_error_names_the_extra(official, grid, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingPartError, match=r"maskfield\[compat\]"):
        maskfield.data_labels(official, grid=grid)


def test_without_cameras_there_are_no_labels(official, grid, tmp_path) -> None:
    (tmp_path / "0.hdf5").symlink_to(official / "0.hdf5")
    with pytest.raises(SceneError, match=r"no transforms\.json"):
        maskfield.data_labels(tmp_path, grid=grid)
    (tmp_path / "transforms.json").write_text(json.dumps({"frames": []}))
    with pytest.raises(SceneError, match="no frames"):
        maskfield.data_labels(tmp_path, grid=grid)
