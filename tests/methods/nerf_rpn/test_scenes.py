from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from maskfield.core.errors import DataError
from maskfield.methods.nerf_rpn.scenes import detection_scenes
from maskfield.methods.nerf_rpn.wireframes import aligned_corners, posed_corners, voxel_points


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, boxes in (("a", 2), ("b", 0), ("c", 1)):
        for part, array in (("features", np.zeros((2, 2, 2, 4))), ("obb", np.ones((boxes, 7)))):
            (tmp_path / part).mkdir(exist_ok=True)
            path = tmp_path / part / name
            if part == "features":
                np.savez(path, rgbsigma=array.astype(np.float32))
            else:
                np.save(path, array)
    return tmp_path


def test_scenes_without_boxes_or_features_are_left_out(folder: Path) -> None:
    found = detection_scenes(folder, ["c", "b", "none", "a"])
    assert [(s.name, len(s.boxes)) for s in found] == [("c", 1), ("a", 2)]
    assert [s.name for s in detection_scenes(folder)] == ["a", "c"]


def test_a_missing_box_file_is_an_error(folder: Path) -> None:
    (folder / "obb/a.npy").unlink()
    with pytest.raises(DataError, match="boxes"):
        detection_scenes(folder)


def test_a_folder_without_any_box_is_an_error(folder: Path) -> None:
    with pytest.raises(DataError, match="no scene has a box"):
        detection_scenes(folder, ["b"])


def test_voxel_points_run_along_x_first() -> None:
    points = voxel_points((4, 3, 2))
    assert points.shape == (24, 3)
    assert points[0].tolist() == [0.125] * 3
    assert points[1, 0] > points[0, 0]
    assert points[4, 1] > points[0, 1]


def test_corners_of_aligned_and_posed_boxes_are_the_same_set() -> None:
    box = torch.tensor([[0.0, 1.0, 2.0, 4.0, 3.0, 8.0]])
    pose = torch.eye(4)[:3].clone()
    pose[:, 3] = torch.tensor([2.0, 2.0, 5.0])
    one = aligned_corners(box)[0].tolist()
    two = posed_corners(pose, torch.tensor([4.0, 2.0, 6.0])).tolist()
    assert sorted(one) == sorted(two)
    assert one[0] == [0, 1, 2]
