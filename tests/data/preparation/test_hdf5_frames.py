from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from maskfield.core.errors import DataError
from maskfield.data.preparation.hdf5_frames import has_frames, list_frames, number_of

from .conftest import hdf5

MAP = np.ones((2, 3), np.int32)


def test_single_files_are_found_by_number_anywhere_below(tmp_path: Path) -> None:
    for name in ("train/frame_10.hdf5", "train/frame_2.hdf5", "val/3.h5"):
        hdf5(tmp_path / name, depth=MAP * 2.0, class_segmaps=MAP[..., None])
    frames = list_frames(tmp_path)
    assert sorted(frames) == [2, 3, 10]
    depth, classes = frames[10].read()
    assert depth.dtype == np.float32
    assert depth.tolist() == (MAP * 2).tolist()
    assert classes.shape == (2, 3)


@pytest.mark.parametrize("folder", ["semantic", "class_maps", "labels"])
def test_two_folders_are_joined_by_number(tmp_path: Path, folder: str) -> None:
    for i in (1, 12):
        hdf5(tmp_path / "depth" / f"{i}.hdf5", data=MAP * float(i))
        hdf5(tmp_path / folder / f"{i:04d}.hdf5", data=MAP * i)
    depth, classes = list_frames(tmp_path)[12].read()
    assert depth[0, 0] == classes[0, 0] == 12


def test_a_depth_map_alone_is_named(tmp_path: Path) -> None:
    hdf5(tmp_path / "depth/1.hdf5", data=MAP)
    hdf5(tmp_path / "depth/2.hdf5", data=MAP)
    hdf5(tmp_path / "semantic/1.hdf5", data=MAP)
    with pytest.raises(DataError) as caught:
        list_frames(tmp_path)
    assert caught.value.value == [2]


def test_two_frames_of_one_number_are_refused(tmp_path: Path) -> None:
    for scene in ("a", "b"):
        hdf5(tmp_path / scene / "0.hdf5", depth=MAP, class_segmaps=MAP)
    with pytest.raises(DataError, match="number of one frame"):
        list_frames(tmp_path)


def test_numbers_come_from_the_end_of_the_name() -> None:
    assert number_of(Path("scene7_frame_0012_depth.hdf5")) == 12
    with pytest.raises(DataError, match="must hold its number"):
        number_of(Path("depth.hdf5"))


def test_nothing_there(tmp_path: Path) -> None:
    assert not has_frames(tmp_path)
    with pytest.raises(DataError, match="no HDF5 frames"):
        list_frames(tmp_path)
