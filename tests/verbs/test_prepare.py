"""`data prepare` as a user calls it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import maskfield
from maskfield.cli.main import main
from maskfield.core.errors import ConfigError, DataError
from maskfield.data.preparation.options import PrepareOptions
from maskfield.data.readers.nerf_rpn import read_boxes, read_split

BOX = {
    "position": [1, 1, 1],
    "extents": [1, 0.5, 0.5],
    "orientation": np.eye(3).tolist(),
    "label": "bed",
}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for i in range(4):
        folder = tmp_path / "source" / f"3dfront_000{i}_00" / "train"
        folder.mkdir(parents=True)
        Image.new("RGB", (8, 6)).save(folder / "0.png")
        head = {
            "camera_angle_x": 1.0,
            "room_bbox": [[0, 0, 0], [4, 3, 2]],
            "bounding_boxes": [BOX],
            "frames": [{"file_path": "0.png", "transform_matrix": np.eye(4).tolist()}],
        }
        (folder / "transforms.json").write_text(json.dumps(head))
    return tmp_path / "source"


def test_the_command_prepares_and_says_what_it_kept(source, tmp_path, capsys) -> None:
    out = tmp_path / "out"
    words = ["data", "prepare", "front3d", source, "--out", out, "--val", "0.25", "--test", "0.25"]
    assert main([str(w) for w in words]) == 0
    text = capsys.readouterr().out
    assert "front3d: 4 scenes (train 2, val 1, test 1)" in text
    assert "4 cameras, 4 boxes" in text
    assert len(read_split(out / "3dfront_split.npz")["train"]) == 2
    boxes = read_boxes(out / "obb/3dfront_0000_00.npy", (160, 120, 80))
    assert boxes.size.tolist() == [[40, 20, 20]]
    np.testing.assert_array_equal(
        np.load(out / "aabb/3dfront_0000_00.npy"), [[20, 30, 30, 60, 50, 50]]
    )


def test_python_and_command_agree(source, tmp_path) -> None:
    report = maskfield.data_prepare(
        "front3d",
        source,
        out=tmp_path / "out",
        options=PrepareOptions(longest=40, limit=1, val=0, test=0),
    )
    assert report.split == {"train": 1, "val": 0, "test": 0}
    assert report.scenes[0].resolution == (40, 30, 20)


@pytest.mark.parametrize(
    "option",
    [
        {"longest": 0},
        {"every": 0},
        {"limit": 0},
        {"min_size": -1.0},
        {"val": 0.6, "test": 0.4},
        {"val": -0.1},
        {"val_frames": -1},
    ],
)
def test_options_out_of_range_are_refused(option: dict) -> None:
    with pytest.raises(ConfigError) as caught:
        PrepareOptions(**option)
    assert next(iter(option)) in str(caught.value.field)


def test_unknown_data_sets_folders_and_targets_are_refused(source, tmp_path) -> None:
    with pytest.raises(ConfigError, match="sunrgbd"):
        maskfield.data_prepare("sunrgb", source, out=tmp_path / "out")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="no such folder"):
        maskfield.data_prepare("hm3d", tmp_path / "none", out=tmp_path / "out")
    with pytest.raises(ConfigError, match="mix with the source"):
        maskfield.data_prepare("front3d", source, out=source)


@pytest.mark.parametrize("name", ["front3d", "hm3d", "hypersim", "scannet", "sunrgbd"])
def test_a_folder_of_something_else_is_refused(name, tmp_path) -> None:
    (tmp_path / "source" / "photos").mkdir(parents=True)
    with pytest.raises(DataError) as caught:
        maskfield.data_prepare(name, tmp_path / "source", out=tmp_path / "out")
    assert caught.value.file == str(tmp_path / "source")
