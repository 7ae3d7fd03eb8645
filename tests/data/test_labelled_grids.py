"""Grids with boxes, labels or finer grids: procedural rooms, our stores, official folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from maskfield.core.errors import DataError
from maskfield.data.config import GridDataConfig
from maskfield.data.labelled_grids import open_boxed, open_finer, open_labelled
from maskfield.data.synthetic.classes import CLASS_ID, CLASS_NAMES, FURNITURE
from maskfield.data.synthetic.rooms import make_room, rasterise_room


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> GridDataConfig:
    cache = str(tmp_path_factory.mktemp("rooms"))
    return GridDataConfig(resolution=32, train_count=4, validation_count=2, cache=cache)


@pytest.fixture
def official(tmp_path: Path) -> Path:
    """Two scenes in the official layout."""
    rng = np.random.default_rng(0)
    for kind in ("features", "features_256", "obb", "aabb", "voxel"):
        (tmp_path / kind).mkdir()
    for name in ("a", "b"):
        grid = rng.random((12, 10, 8, 4), np.float32)
        np.savez(tmp_path / "features" / f"{name}.npz", rgbsigma=grid)
        finer = rng.random((24, 20, 16, 4), np.float32)
        np.savez(tmp_path / "features_256" / f"{name}.npz", rgbsigma=finer)
        np.save(tmp_path / "obb" / f"{name}.npy", np.array([[5, 5, 4, 4, 3, 2, 0.3]]))
        np.save(tmp_path / "aabb" / f"{name}.npy", np.array([[3, 3, 3, 7, 8, 6]]))
        np.save(tmp_path / "voxel" / f"{name}.npy", rng.integers(0, 3, (12, 10, 8)))
    return tmp_path


def config(folder: Path, **changes: object) -> GridDataConfig:
    return GridDataConfig(path=str(folder), resolution=16, **changes)  # pyright: ignore[reportArgumentType]


def test_rooms_give_the_boxes_of_their_furniture_in_voxels(rooms: GridDataConfig) -> None:
    train, validation = open_boxed(rooms)
    assert (len(train), len(validation)) == (4, 2)
    room = make_room(0)
    wanted = [int(i) in {CLASS_ID[n] for n in FURNITURE} for i in room.boxes.label]
    grid, rows = train[0]
    assert rows.shape == (sum(wanted), 7)
    voxel = float((room.box[1] - room.box[0]).max()) / 32
    sizes = room.boxes.size[torch.tensor(wanted)] / voxel
    torch.testing.assert_close(rows[:, 3:6], sizes, rtol=0.05, atol=0.05)
    assert grid.shape[0] == 4
    assert (rows[:, :3] < torch.tensor(grid.shape[1:])).all()


def test_smaller_shares_of_labels_lie_within_larger(rooms: GridDataConfig) -> None:
    from dataclasses import replace

    names = [open_boxed(replace(rooms, percent_train=p))[0].names for p in (0.25, 0.5, 1.0)]
    assert [len(n) for n in names] == [1, 2, 4]
    assert names[1][:1] == names[0]
    assert names[2][:2] == names[1]


def test_rooms_give_labels_and_finer_grids(rooms: GridDataConfig) -> None:
    labelled, _ = open_labelled(rooms, len(CLASS_NAMES))
    grid, labels = labelled[1]
    assert labels.shape == grid.shape[1:]
    expected = rasterise_room(make_room(1), 32).labels
    np.testing.assert_array_equal(labels.numpy(), expected)
    finer, _ = open_finer(rooms, 48)
    coarse, fine = finer[1]
    assert max(coarse.shape) == 32
    assert max(fine.shape) == 48


def test_the_official_layout(official: Path) -> None:
    train, validation = open_boxed(config(official))
    assert (train.names, validation.names) == (("a",), ("b",))
    torch.testing.assert_close(train[0][1], torch.tensor([[5, 5, 4, 4, 3, 2, 0.3]]))
    aligned, _ = open_boxed(config(official, boxes="aabb"))
    assert aligned[0][1].tolist() == [[3, 3, 3, 7, 8, 6]]
    labelled, _ = open_labelled(config(official), 3)
    assert labelled[0][1].shape == (12, 10, 8)
    finer, _ = open_finer(config(official), 32)
    assert finer[0][1].shape == (4, 24, 20, 16)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.array([[5, 5, 4, 4, 0, 2, 0.3]]), "non-positive size"),
        (np.array([[5, 5, 4, 4, 1, 2, np.nan]]), "not finite"),
        (np.array([[5, 5, 4, 4, 1]]), "7 columns"),
        (np.array([[50, 5, 4, 4, 1, 2, 0.3]]), "outside its grid"),
    ],
)
def test_wrong_boxes_are_refused(official: Path, rows: np.ndarray, message: str) -> None:
    np.save(official / "obb" / "a.npy", rows)
    with pytest.raises(DataError, match=message) as caught:
        open_boxed(config(official))
    assert "a.npy" in str(caught.value)


def test_missing_boxes_and_foreign_labels_are_refused(official: Path) -> None:
    with pytest.raises(DataError, match="outside the class list"):
        open_labelled(config(official), 2)
    (official / "obb" / "b.npy").unlink()
    with pytest.raises(DataError, match="has no boxes"):
        open_boxed(config(official))
    (official / "features_256" / "b.npz").unlink()
    with pytest.raises(DataError, match="no finer grids"):
        open_finer(config(official), 32)


def test_scenes_without_boxes_are_left_out(official: Path) -> None:
    np.savez(official / "s_split.npz", train_scenes=["a", "b"], val_scenes=["b"], test_scenes=["a"])
    np.save(official / "obb" / "a.npy", np.zeros((0, 7)))
    train, _ = open_boxed(config(official))
    assert train.names == ("b",)
    with pytest.raises(DataError, match="no grid has a box"):
        open_boxed(config(official, held_out="test"))
