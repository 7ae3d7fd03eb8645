from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from maskfield.core.errors import DataError
from maskfield.data.preparation.hypersim import prepare
from maskfield.data.preparation.options import PrepareOptions

from .conftest import capture, hdf5, load, nerf_box, picture

OPTIONS = PrepareOptions(longest=60, val=0, test=0)
SCENE = "ai_001_001"
BOXES = "metadata_semantic_instance_bounding_box_object_aligned_2d_{}.hdf5"


def raw_scene(folder: Path, frames: int = 3) -> Path:
    """Five instances in asset units of 0.5 m; the first has no surface, as instance 0 has."""
    mesh, cam = folder / "_detail/mesh", folder / "_detail/cam_00"
    turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    inf = math.inf
    extents = np.array([[inf] * 3, [1, 2, 1], [2, 1, 1], [8, 6, 4], [0.1, 0.1, 0.1]])
    positions = np.array([[inf] * 3, [1, 1, 1], [6, 4, 1], [4, 3, 2], [2, 2, 1]])
    turns = np.stack([np.full((3, 3), inf), turn, np.eye(3), np.eye(3), np.eye(3)])
    hdf5(mesh / BOXES.format("extents"), dataset=extents)
    hdf5(mesh / BOXES.format("positions"), dataset=positions)
    hdf5(mesh / BOXES.format("orientations"), dataset=turns)
    # objects: two of instance 1 (chair), sofa, wall, cup of no class, one of no instance
    hdf5(mesh / "mesh_objects_sii.hdf5", dataset=np.array([1, 1, 2, 3, 4, -1]))
    hdf5(mesh / "mesh_objects_si.hdf5", dataset=np.array([5, 5, 6, 1, -1, 9]))
    hdf5(cam / "camera_keyframe_positions.hdf5", dataset=np.arange(3 * frames).reshape(-1, 3) / 4)
    hdf5(cam / "camera_keyframe_orientations.hdf5", dataset=np.stack([turn] * frames))
    hdf5(cam / "camera_keyframe_frame_indices.hdf5", dataset=np.arange(frames))
    (folder / "_detail/metadata_scene.csv").write_text(
        "parameter_name,parameter_value\nmeters_per_asset_unit,0.5\n"
    )
    for i in range(frames):
        picture(folder / f"images/scene_cam_00_final_preview/frame.{i:04d}.tonemap.jpg", (32, 24))
    return folder


@pytest.fixture
def source(tmp_path: Path) -> Path:
    raw_scene(tmp_path / "source" / SCENE)
    return tmp_path / "source"


def test_raw_scenes_become_metres_boxes_and_cameras(source: Path, tmp_path: Path) -> None:
    (scene,) = prepare(source, tmp_path / "out", OPTIONS).scenes
    assert scene.dropped == {
        "box: infinite (an instance without surface)": 1,
        "box: no class": 1,
        "box: label excluded": 1,
    }
    # boxes span 0..4, 0..3, 0..2 m; a tenth more on every side: 4.8, 3.6, 2.4 m; 60 voxels
    assert scene.resolution == (60, 46, 30)
    head = json.loads((tmp_path / f"out/scenes/{SCENE}/train/transforms.json").read_text())
    np.testing.assert_allclose(head["room_bbox"], [[-0.4, -0.3, -0.2], [4.4, 3.3, 2.2]])
    pose = np.array(head["frames"][1]["transform_matrix"])
    np.testing.assert_allclose(pose[:3, 3], np.array([3, 4, 5]) / 4 * 0.5)
    assert head["frames"][0]["fl_x"] == pytest.approx(16 / math.tan(math.pi / 6))
    obb = load(tmp_path / f"out/obb/{SCENE}.npy")
    low, voxels = np.array([-0.4, -0.3, -0.2]), np.array([60 / 4.8, 46 / 3.6, 30 / 2.4])
    np.testing.assert_allclose(obb[1, :3], (np.array([3, 2, 0.5]) - low) * voxels)
    np.testing.assert_allclose(obb[1, 3:], [*(np.array([1, 0.5, 0.5]) * voxels), 0])
    assert obb[0, 6] == pytest.approx(math.pi / 2)
    assert (tmp_path / f"out/obb_labels/{SCENE}.txt").read_text() == "chair\nsofa\n"


def test_released_scenes_take_boxes_from_transforms_json(tmp_path: Path) -> None:
    boxes = [nerf_box((1.0, 1, 0.5), label=5), nerf_box((3.0, 2, 1), label=16)]
    capture(tmp_path / "source/ai_001_002", boxes, scale=0.2, offset=[0.1, 0.2, 0.3], aabb_scale=4)
    (scene,) = prepare(tmp_path / "source", tmp_path / "out", OPTIONS).scenes
    assert scene.dropped == {"box: label excluded": 1}
    obb = load(tmp_path / "out/obb/ai_001_002.npy")
    np.testing.assert_allclose(obb[0], [15, 15, 7.5, 12, 9, 7.5, 0.3], rtol=0.03)


def test_the_published_aligned_boxes_keep_the_y_up_axes(source: Path, tmp_path: Path) -> None:
    prepare(source, tmp_path / "ours", OPTIONS)
    official = PrepareOptions(longest=60, val=0, test=0, compat="official")
    prepare(source, tmp_path / "theirs", official)
    ours, theirs = (load(tmp_path / n / f"aabb/{SCENE}.npy") for n in ("ours", "theirs"))
    np.testing.assert_array_equal(ours[:, :3], theirs[:, [2, 0, 1]])
    assert not np.array_equal(ours, theirs)


def test_boxes_are_filtered_by_hand(source: Path, tmp_path: Path) -> None:
    (tmp_path / f"{SCENE}.csv").write_text("box_id,manually_filtered\n0,1\n1,0\n")
    options = PrepareOptions(longest=60, val=0, test=0, manual=tmp_path)
    (scene,) = prepare(source, tmp_path / "out", options).scenes
    assert scene.dropped["box: filtered by hand"] == 1
    assert (tmp_path / f"out/obb_labels/{SCENE}.txt").read_text() == "sofa\n"


@pytest.mark.parametrize("row", ["9,1", "0,yes", "x,1", "0"])
def test_bad_lists_made_by_hand_name_the_row(source: Path, tmp_path: Path, row: str) -> None:
    (tmp_path / "list.csv").write_text(f"box_id,manually_filtered\n0,0\n{row}\n")
    options = PrepareOptions(manual=tmp_path / "list.csv")
    with pytest.raises(DataError, match="row 3"):
        prepare(source, tmp_path / "out", options)


@pytest.mark.parametrize(
    ("name", "table", "word"),
    [
        (BOXES.format("extents"), np.ones((2, 3)), "do not agree"),
        ("mesh_objects_si.hdf5", np.ones(2, int), "one class and one instance"),
        ("mesh_objects_si.hdf5", np.full(6, 77), "not in the class list"),
    ],
)
def test_bad_tables_are_typed_errors(
    source: Path, tmp_path: Path, name: str, table: np.ndarray, word: str
) -> None:
    hdf5(source / SCENE / "_detail/mesh" / name, dataset=table)
    with pytest.raises(DataError, match=word):
        prepare(source, tmp_path / "out", OPTIONS)


def test_missing_tables_are_typed_errors(source: Path, tmp_path: Path) -> None:
    (source / SCENE / "_detail/mesh/mesh_objects_sii.hdf5").unlink()
    with pytest.raises(DataError, match="mesh_objects_sii"):
        prepare(source, tmp_path / "out", OPTIONS)
