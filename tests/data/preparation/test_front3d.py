from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from maskfield.core.errors import DataError, GridError, MissingPartError, SceneError
from maskfield.data.preparation.class_maps import load_classes
from maskfield.data.preparation.front3d import prepare
from maskfield.data.preparation.layout import split_scenes
from maskfield.data.preparation.options import PrepareOptions
from maskfield.data.readers.nerf_rpn import boxes_to_world, read_boxes, read_grid, read_split
from maskfield.data.readers.transforms_json import read as read_transforms

from .conftest import ROOM, capture, features, hdf5, load, nerf_box

DROP_NONE = PrepareOptions(longest=32, val=0, test=0)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    boxes = [
        nerf_box((1.0, 1.0, 0.5)),
        nerf_box((3.0, 2.0, 1.0), yaw=-0.9, label="sofa"),
        nerf_box((2.0, 1.5, 0.5), label=1),  # a wall
        nerf_box((9.0, 1.0, 0.5)),  # in another room
        nerf_box((2.0, 1.0, 0.5), extents=(0.5, 0.5, 0.05)),  # flat
    ]
    capture(tmp_path / "source" / "3dfront_0000_00", boxes)
    return tmp_path / "source"


def test_boxes_lie_on_the_foreseen_grid_and_losses_are_told(source: Path, tmp_path: Path) -> None:
    report = prepare(source, tmp_path / "out", DROP_NONE)
    (scene,) = report.scenes
    assert (scene.boxes, scene.frames, scene.resolution) == (2, 25, (32, 24, 16))
    assert scene.dropped == {
        "box: label excluded": 1,
        "box: centre outside the grid": 1,
        "box: a side below 2 voxels": 1,
    }
    obb = load(tmp_path / "out/obb/3dfront_0000_00.npy")
    np.testing.assert_allclose(obb[0], [8, 8, 4, 6.4, 4.8, 4, 0.3], atol=1e-9)
    np.testing.assert_allclose(obb[1], [24, 16, 8, 6.4, 4.8, 4, -0.9], atol=1e-9)
    labels = (tmp_path / "out/obb_labels/3dfront_0000_00.txt").read_text().split("\n")
    assert labels == ["chair", "sofa", ""]
    assert "dropped: box: label excluded" in report.text()


def test_aligned_boxes_enclose_the_oriented_ones(source: Path, tmp_path: Path) -> None:
    prepare(source, tmp_path / "out", DROP_NONE)
    aabb = load(tmp_path / "out/aabb/3dfront_0000_00.npy")
    half = [(6.4 * abs(math.cos(t)) + 4.8 * abs(math.sin(t))) / 2 for t in (0.3, 0.9)]  # along x
    assert aabb[:, 0].tolist() == [round(8 - half[0]), round(24 - half[1])]
    assert aabb[:, 3].tolist() == [round(8 + half[0]), round(24 + half[1])]
    assert aabb[:, [2, 5]].tolist() == [[2, 6], [6, 10]]


def test_boxes_on_extracted_grids_are_where_they_were(source: Path, tmp_path: Path) -> None:
    grid_file = tmp_path / "out/features/3dfront_0000_00.npz"
    features(grid_file)
    prepare(source, tmp_path / "out", DROP_NONE)
    grid = read_grid(grid_file)
    world = boxes_to_world(read_boxes(tmp_path / "out/obb/3dfront_0000_00.npy"), grid)
    torch.testing.assert_close(world.centre, torch.tensor([[1.0, 1, 0.5], [3, 2, 1]]))
    torch.testing.assert_close(world.size, torch.tensor([[0.8, 0.6, 0.5]] * 2))
    torch.testing.assert_close(world.yaw, torch.tensor([0.3, -0.9]))


def test_cameras_are_written_and_split_as_official_code_does(source: Path, tmp_path: Path) -> None:
    capture(source / "3dfront_0001_00", [nerf_box((1.0, 1, 0.5))], frames=60)
    report = prepare(source, tmp_path / "out", PrepareOptions(longest=32, val=0, test=0))
    folder = tmp_path / "out/scenes/3dfront_0001_00"
    val = json.loads((folder / "val/transforms.json").read_text())
    names = [Path(f["file_path"]).stem for f in val["frames"]]
    assert names == ["0002", "0012", "0022", "0032"]
    scene = read_transforms(folder / "train")
    assert len(scene) == 56
    assert scene.box.tolist() == ROOM
    assert report.scenes[1].frames == 60


def test_every_nth_frame_and_missing_pictures_are_told(source: Path, tmp_path: Path) -> None:
    (source / "3dfront_0000_00/train/images/0003.png").unlink()
    (source / "3dfront_0000_00/train/images/0006.png").unlink()
    options = PrepareOptions(longest=32, every=3, val=0, test=0)
    (scene,) = prepare(source, tmp_path / "out", options).scenes
    assert scene.frames == 9 - 2
    assert scene.dropped["frame: the picture is missing"] == 2
    assert scene.dropped["frame: not chosen (every n-th)"] == 16


def test_the_class_map_holds_what_the_class_maps_show(source: Path, tmp_path: Path) -> None:
    maps = np.zeros((4, 4), np.uint8)
    maps[0], maps[1] = 40, 14  # wall, chair
    folder = source / "3dfront_0000_00/hdf5"
    hdf5(folder / "0.hdf5", depth=np.ones((4, 4), np.float32), class_segmaps=maps)
    prepare(source, tmp_path / "out", DROP_NONE)
    found = load_classes(tmp_path / "out/label_map.json")
    assert found.names == ("void", "wall", "chair")
    assert found.contiguous(torch.tensor([0, 40, 14, 27])).tolist() == [0, 1, 2, 0]


def test_unknown_class_ids_are_refused(source: Path, tmp_path: Path) -> None:
    maps = np.full((4, 4), 99, np.uint8)
    hdf5(source / "3dfront_0000_00/0.hdf5", depth=np.ones((4, 4)), class_segmaps=maps)
    with pytest.raises(DataError, match=r"not in the class list[\s\S]*99"):
        prepare(source, tmp_path / "out", DROP_NONE)


def test_missing_h5py_is_a_typed_error(source: Path, tmp_path: Path, no_h5py: None) -> None:
    (source / "3dfront_0000_00/0.hdf5").write_bytes(b"x")
    with pytest.raises(MissingPartError, match=r"maskfield\[compat\]"):
        prepare(source, tmp_path / "out", DROP_NONE)


def test_splits_are_seeded_disjoint_and_complete(source: Path, tmp_path: Path) -> None:
    for i in range(1, 8):
        capture(source / f"3dfront_000{i}_00", [nerf_box((1.0, 1, 0.5))], frames=1)
    files = []
    for seed, name in ((3, "a"), (3, "b"), (4, "c")):
        options = PrepareOptions(longest=32, val=0.25, test=0.125, seed=seed)
        prepare(source, tmp_path / name, options)
        files.append(read_split(tmp_path / name / "3dfront_split.npz"))
    assert files[0] == files[1] != files[2]
    assert {n: len(v) for n, v in files[0].items()} == {"train": 5, "val": 2, "test": 1}
    assert len({s for part in files[0].values() for s in part}) == 8
    everything = PrepareOptions(longest=32, split="all", limit=2)
    assert prepare(source, tmp_path / "d", everything).split == {"train": 2, "val": 2, "test": 2}


@pytest.mark.parametrize(("count", "sizes"), [(1, (1, 0, 0)), (2, (2, 0, 0)), (3, (1, 1, 1))])
def test_small_sets_still_validate(count: int, sizes: tuple[int, ...]) -> None:
    split = split_scenes([f"s{i}" for i in range(count)], PrepareOptions())
    assert tuple(len(split[n]) for n in ("train", "val", "test")) == sizes


def test_scenes_without_boxes_are_left_out_and_named(source: Path, tmp_path: Path) -> None:
    capture(source / "3dfront_0001_00", [])
    capture(source / "3dfront_0002_00", [], room_bbox=None)
    report = prepare(source, tmp_path / "out", DROP_NONE)
    assert report.left_out == {
        "3dfront_0001_00": "no box is left",
        "3dfront_0002_00": "it has neither room_bbox nor bounding_boxes",
    }
    assert "left out: 3dfront_0001_00: no box is left" in report.text()
    written = json.loads((tmp_path / "out/prepared.json").read_text())
    assert written["left_out"] == report.left_out


def test_no_scene_left_is_an_error(tmp_path: Path) -> None:
    capture(tmp_path / "source/a", [])
    with pytest.raises(DataError, match=r"no scene can be used[\s\S]*no box is left"):
        prepare(tmp_path / "source", tmp_path / "out", DROP_NONE)


NAN = float("nan")


@pytest.mark.parametrize(
    ("box", "words"),
    [
        (nerf_box((1.0, 1, 0.5), yaw=NAN), ("bounding_boxes[1]", "NaN")),
        (nerf_box((1.0, NAN, 0.5)), ("bounding_boxes[1]", "NaN")),
        (nerf_box((1.0, 1, 0.5), extents=(1.0, 0.0, 1)), ("bounding_boxes[1].extents", "zero")),
        (nerf_box((1.0, 1, 0.5), extents=(1.0, -2.0, 1)), ("bounding_boxes[1].extents", "zero")),
        (nerf_box((1.0, 1)), ("bounding_boxes[1].position", "wrong shape")),
        ({"position": [1, 1, 1]}, ("bounding_boxes[1].orientation", "lacks numbers")),
        (
            {**nerf_box((1.0, 1, 1)), "orientation": [[2, 0, 0], [0, 2, 0], [0, 0, 2]]},
            ("bounding_boxes[1].orientation", "not a rotation"),
        ),
        (nerf_box((1.0, 1, 0.5), label=11), ("bounding_boxes[1].label", "not in the class list")),
        ("box", ("list of objects",)),
    ],
)
def test_bad_boxes_name_file_row_and_key(tmp_path: Path, box: object, words: tuple) -> None:
    file = capture(tmp_path / "source/a", [nerf_box((1.0, 1, 0.5)), box])
    with pytest.raises(DataError) as caught:
        prepare(tmp_path / "source", tmp_path / "out", DROP_NONE)
    assert str(file.parent.parent) in str(caught.value)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("head", "field"),
    [
        ({"room_bbox": [[0, 0, 0], [0, 1, 1]]}, "room_bbox"),
        ({"room_bbox": "large"}, "room_bbox"),
        ({"scale": 0.0, "offset": [0, 0, 0]}, "scale"),
        ({"scale": 0.2, "offset": [0, 0]}, "offset"),
    ],
)
def test_bad_rooms_are_typed_errors(tmp_path: Path, head: dict, field: str) -> None:
    capture(tmp_path / "source/a", [nerf_box((1.0, 1, 0.5))], **head)
    with pytest.raises(SceneError) as caught:
        prepare(tmp_path / "source", tmp_path / "out", DROP_NONE)
    assert field in str(caught.value.field)


def test_features_that_are_asked_for_must_be_there(source: Path, tmp_path: Path) -> None:
    options = PrepareOptions(features=tmp_path / "grids")
    with pytest.raises(DataError, match="no feature grid"):
        prepare(source, tmp_path / "out", options)
    (tmp_path / "grids").mkdir()
    np.savez(tmp_path / "grids/3dfront_0000_00.npz", rgbsigma=np.zeros((4, 4, 4, 4)))
    with pytest.raises(GridError, match="does not say where its voxels lie"):
        prepare(source, tmp_path / "out", options)


def test_a_folder_without_scenes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no scenes here"):
        prepare(tmp_path, tmp_path / "out", DROP_NONE)
