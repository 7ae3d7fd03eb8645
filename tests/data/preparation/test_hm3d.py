from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maskfield.core.errors import DataError, SceneError
from maskfield.data.preparation.hm3d import LARGE, prepare, read_categories
from maskfield.data.preparation.options import PrepareOptions

from .conftest import load, picture

OPTIONS = PrepareOptions(longest=160, val=0, test=0)


def box(name: str, low: tuple[float, ...], high: tuple[float, ...]) -> dict[str, Any]:
    """Given z-up; the file is y-up."""
    swap = [0, 2, 1]
    return {"class_name": name, "bbox": [[low[i] for i in swap], [high[i] for i in swap]]}


BOXES = [
    box("floor", (0, 0, 0), (4, 4, 0.1)),
    box("ceiling", (0, 0, 2.9), (4, 4, 3)),
    box("bed", (1, 1, 0), (2, 3, 0.5)),
    box("chair", (3, 1, 0), (3.5, 1.5, 0.8)),
    box("sofa", (3, 3, 0), (3.6, 3.6, 0.9)),
    box("cup", (1, 1, 1), (1.05, 1.05, 1.1)),
    box("wardrobe", (0, 0, 0), (2, 2, 2)),
]


def room(folder: Path, boxes: list[Any], frames: int = 4) -> Path:
    for i in range(frames):
        pose = np.eye(4)
        pose[:3, 3] = (1 + i, 2, 1)
        (folder / "pose").mkdir(parents=True, exist_ok=True)
        (folder / "pose" / f"{i}.json").write_text(json.dumps({"pose": pose.tolist()}))
        picture(folder / "rgb" / f"{i}.png", (32, 32))
    (folder / "boxes.json").write_text(json.dumps(boxes))
    return folder


@pytest.fixture
def source(tmp_path: Path) -> Path:
    room(tmp_path / "source/00009-vLpv2VX547B_0", BOXES)
    return tmp_path / "source"


def test_rooms_are_moved_and_boxes_filtered(source: Path, tmp_path: Path) -> None:
    options = PrepareOptions(longest=160, val=0, test=0, exclude=words(tmp_path, "floor"))
    (scene,) = prepare(source, tmp_path / "out", options).scenes
    # 40 voxels per metre: the ceiling (4 voxels) and the cup (2) are thin, the wardrobe is large
    assert scene.resolution == (160, 160, 120)
    assert scene.dropped == {
        "box: label excluded": 1,
        "box: a side below 6.5 voxels": 2,
        LARGE: 1,
    }
    obb = load(tmp_path / "out/obb/00009-vLpv2VX547B_0.npy")
    np.testing.assert_allclose(obb[0], [60, 80, 10, 40, 80, 20, 0], atol=1e-9)
    head = json.loads(
        (tmp_path / "out/scenes/00009-vLpv2VX547B_0/train/transforms.json").read_text()
    )
    centres = [np.array(f["transform_matrix"])[:3, 3] for f in head["frames"]]
    np.testing.assert_allclose(np.mean(centres, axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(head["room_bbox"], [[-2.5, -2, -1], [1.5, 2, 2]])
    assert head["frames"][0]["fl_x"] == 16  # 90 degrees
    assert (head["scale"], head["aabb_scale"]) == (1.5 / 4, 2)


def words(folder: Path, *labels: str) -> Path:
    path = folder / "exclude.txt"
    path.write_text("# dropped\n" + "\n".join(labels) + "\n")
    return path


def test_the_published_size_test_measures_by_the_box(source: Path, tmp_path: Path) -> None:
    options = PrepareOptions(val=0, test=0, keep_labels=True, compat="official")
    with pytest.raises(DataError, match="more than 2"):  # nearly every box fills itself: large
        prepare(source, tmp_path / "out", options)


def test_rooms_need_boxes_voxels_and_pictures(source: Path, tmp_path: Path) -> None:
    room(source / "b_few", BOXES[:3])
    room(source / "c_flat", [box("bed", (i, 0, 0), (i + 0.5, 4, 1)) for i in range(3)])
    room(source / "d_blind", BOXES)
    for file in (source / "d_blind/rgb").iterdir():
        file.unlink()
    (source / "e_still").mkdir()
    (source / "e_still/boxes.json").write_text("[]")
    left = prepare(source, tmp_path / "out", OPTIONS).left_out
    assert set(left) == {"b_few", "c_flat", "d_blind", "e_still"}
    assert "boxes on 160x160x120 voxels" in left["b_few"]
    assert "100 voxels along every axis" in left["c_flat"]
    assert "pictures" in left["d_blind"]
    assert "no frames" in left["e_still"]


def test_categories_become_nyu40_names(source: Path, tmp_path: Path) -> None:
    table = tmp_path / "category_mapping.tsv"
    table.write_text("raw_category\tnyu40id\tnyu40class\nsofa\t5\tchair\nthing\t\t\nbed\t4\t\n")
    assert read_categories(table) == {"sofa": "chair", "thing": "otherprop", "bed": "bed"}
    options = PrepareOptions(val=0, test=0, categories=table)
    prepare(source, tmp_path / "out", options)
    names = (tmp_path / "out/obb_labels/00009-vLpv2VX547B_0.txt").read_text().split()
    assert names == ["bed", "chair", "chair"]


@pytest.mark.parametrize(
    ("text", "word"),
    [("name,x\na,b\n", "lacks a column"), ("category,nyu40id\na,77\n", "row 2, column nyu40id")],
)
def test_bad_category_tables_are_typed_errors(tmp_path: Path, text: str, word: str) -> None:
    (tmp_path / "c.csv").write_text(text)
    with pytest.raises(DataError, match=word):
        read_categories(tmp_path / "c.csv")


@pytest.mark.parametrize(
    "entry",
    [
        {"class_name": "bed", "bbox": [[0, 0, 0], [1, 0, 1]]},
        {"class_name": "bed", "bbox": [[0, 0, 0], [1, 1, math.nan]]},
        {"class_name": "bed", "bbox": [[0, 0, 0]]},
        {"bbox": [[0, 0, 0], [1, 1, 1]]},
        "bed",
    ],
)
def test_bad_boxes_name_their_row(source: Path, tmp_path: Path, entry: object) -> None:
    room(source / "bad", [*BOXES, entry])
    with pytest.raises(DataError) as caught:
        prepare(source, tmp_path / "out", OPTIONS)
    assert caught.value.field == f"row {len(BOXES)} (class_name, bbox)"
    assert str(caught.value.file).endswith("bad/boxes.json")


@pytest.mark.parametrize("pose", [[1, 2], [[math.nan] * 4] * 4, (np.eye(4) * 2).tolist()])
def test_bad_poses_are_typed_errors(source: Path, tmp_path: Path, pose: object) -> None:
    file = source / "00009-vLpv2VX547B_0/pose/0.json"
    file.write_text(json.dumps({"pose": pose}))
    with pytest.raises((DataError, SceneError)) as caught:
        prepare(source, tmp_path / "out", OPTIONS)
    assert caught.value.file == str(file)
