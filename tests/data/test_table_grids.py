"""A ``general`` CSV as training data: names, boxes and split are those of its rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from maskfield.core.errors import DataError
from maskfield.core.files import write_json
from maskfield.data.config import GridDataConfig
from maskfield.data.grid_sources import open_grids
from maskfield.data.labelled_grids import open_boxed, open_labelled
from maskfield.data.radiance_grid import load_grid, save_grid
from maskfield.data.readers.nerf_rpn import boxes_to_world, read_boxes, read_grid

HEADER = ",scene,rgbsigma_path,boxes_path\n"
SHAPE = (12, 10, 8)
ORIENTED, ALIGNED = [[5, 5, 4, 4, 3, 2, 0.3]], [[3, 3, 3, 7, 8, 6]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five scenes whose files are called otherwise, in folders of their own; one is ours."""
    rng = np.random.default_rng(0)
    lines = []
    for i, name in enumerate("abcde"):
        place = tmp_path / "scenes" / str(i)
        place.mkdir(parents=True)
        np.savez(place / "grid.npz", rgbsigma=rng.random((*SHAPE, 4), np.float32))
        np.save(place / "boxes.npy", np.array(ALIGNED if name == "c" else ORIENTED))
        boxes = "None" if name == "b" else f"scenes/{i}/boxes.npy"
        lines.append(f"{i},{name},scenes/{i}/grid.npz,{boxes}\n")
    write_table(tmp_path, lines)
    return tmp_path


def write_table(folder: Path, lines: list[str]) -> None:
    (folder / "scenes.csv").write_text(HEADER + "".join(lines), encoding="utf-8")


def config(folder: Path, **changes: object) -> GridDataConfig:
    options = {"resolution": 16, "holdout": 2, **changes}
    return GridDataConfig(path=str(folder / "scenes.csv"), **options)  # pyright: ignore


def test_every_second_row_validates_and_names_are_the_tables(folder: Path) -> None:
    train, validation = open_grids(config(folder))
    assert (train.names, validation.names) == (("a", "c", "e"), ("b", "d"))
    expected = read_grid(folder / "scenes" / "3" / "grid.npz").rgba()
    assert torch.equal(validation.rgba(1), expected)
    assert train.frame(0)[1] == SHAPE
    some, _ = open_grids(config(folder, percent_train=0.7))
    assert some.names == ("a", "c")


def test_paths_count_from_the_table_not_from_where_one_stands(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    relative = GridDataConfig(path=f"{folder.name}/scenes.csv", resolution=16, holdout=2)
    assert open_grids(relative)[0].names == ("a", "c", "e")


def test_a_split_file_may_be_given(folder: Path) -> None:
    split = folder / "mine.npz"
    np.savez(split, train_scenes=["e", "a"], val_scenes=["c"], test_scenes=["d"])
    train, validation = open_grids(config(folder, split_file=str(split)))
    assert (train.names, validation.names) == (("e", "a"), ("c",))


def test_boxes_are_the_tables_and_rows_without_are_left_out(folder: Path) -> None:
    train, validation = open_boxed(config(folder))
    assert (train.names, validation.names) == (("a", "c", "e"), ("d",))
    torch.testing.assert_close(train[0][1], torch.tensor(ORIENTED))
    assert train[1][1].tolist() == [[5, 5.5, 4.5, 4, 5, 3, 0]]  # an upright box, oriented
    aligned, _ = open_boxed(config(folder, boxes="aabb"))
    assert aligned[1][1].tolist() == ALIGNED


def test_our_grids_and_world_boxes(folder: Path) -> None:
    place = folder / "scenes" / "0"
    grid = read_grid(place / "grid.npz")
    save_grid(grid, place / "grid.safetensors")
    write_json(
        place / "boxes.json", boxes_to_world(read_boxes(place / "boxes.npy"), grid).to_json()
    )
    lines = (folder / "scenes.csv").read_text().splitlines(keepends=True)[2:]
    write_table(folder, ["0,a,scenes/0/grid.safetensors,scenes/0/boxes.json\n", *lines])
    train, _ = open_boxed(config(folder))
    torch.testing.assert_close(train[0][0], load_grid(place / "grid.safetensors").rgba())
    torch.testing.assert_close(train[0][1], torch.tensor(ORIENTED), atol=1e-4, rtol=1e-4)


def test_labels_lie_beside_the_table(folder: Path) -> None:
    (folder / "voxel").mkdir()
    for name in "abcde":
        np.save(folder / "voxel" / f"{name}.npy", np.full(SHAPE, ord(name) - ord("a")))
    train, _ = open_labelled(config(folder), 5)
    assert [int(train.labels(i).max()) for i in range(3)] == [0, 2, 4]
    with pytest.raises(DataError, match="outside the class list"):
        open_labelled(config(folder), 4)


def test_wrong_tables_and_wrong_boxes_are_refused_before_training(folder: Path) -> None:
    np.save(folder / "scenes" / "4" / "boxes.npy", np.array([[50, 5, 4, 4, 1, 2, 0.3]]))
    with pytest.raises(DataError, match="outside its grid") as caught:
        open_boxed(config(folder))
    assert "boxes.npy" in str(caught.value)
    write_table(folder, ["0,a,scenes/0/grid.npz,None\n", "1,b,scenes/1/lost.npz,None\n"])
    with pytest.raises(DataError, match="row 3"):
        open_grids(config(folder))
    write_table(folder, ["0,a,scenes/0/grid.npz,None\n"])
    with pytest.raises(DataError, match="no validation grids"):
        open_grids(config(folder))
    (folder / "scenes.csv").unlink()
    with pytest.raises(DataError, match="cannot read the table"):
        open_grids(config(folder))


def test_a_table_without_any_box_says_so(folder: Path) -> None:
    write_table(folder, [f"{i},s{i},scenes/{i}/grid.npz,\n" for i in range(4)])
    with pytest.raises(DataError, match="no grid has a box"):
        open_boxed(config(folder))
