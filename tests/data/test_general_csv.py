from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from maskfield.core.errors import DataError
from maskfield.data.readers.general_csv import GeneralRow, read_general_csv

HEADER = ",scene,rgbsigma_path,boxes_path\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "grids").mkdir()
    for name in ("a", "b"):
        np.savez(tmp_path / "grids" / f"{name}.npz", rgbsigma=np.zeros((2, 2, 2, 4), np.float32))
    np.save(tmp_path / "a.npy", np.ones((1, 7)))
    return tmp_path


def table(folder: Path, text: str) -> Path:
    path = folder / "scenes.csv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("word", ["None", "", "nan"])
def test_paths_count_from_the_table_and_no_boxes_is_no_boxes(folder: Path, word: str) -> None:
    rows = read_general_csv(
        table(folder, f"{HEADER}0,a,grids/a.npz,a.npy\n1,b,{folder}/grids/b.npz,{word}\n")
    )
    assert rows == (
        GeneralRow(name="a", features=folder / "grids/a.npz", boxes=folder / "a.npy"),
        GeneralRow(name="b", features=folder / "grids/b.npz", boxes=None),
    )


def test_paths_count_from_the_working_folder_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = folder / "tables"
    elsewhere.mkdir()
    monkeypatch.chdir(folder)
    (row,) = read_general_csv(table(elsewhere, "scene,rgbsigma_path\na,grids/a.npz\n"))
    assert (row.features, row.boxes) == (Path("grids/a.npz"), None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"{HEADER}0,a,grids/c.npz,None\n", ("row 2", "rgbsigma_path", "grids/c.npz")),
        (f"{HEADER}0,a,grids/a.npz,lost.npy\n", ("row 2", "boxes_path", "lost.npy")),
        (f"{HEADER}0,a,grids/a.npz,\n1,,grids/b.npz,\n", ("row 3", "column scene", "no name")),
        (f"{HEADER}0,a,grids/a.npz,\n1,a,grids/b.npz,\n", ("row 3", "same scene name")),
        (f"{HEADER}0,a,,None\n", ("row 2", "names no feature grid")),
        (",scene,boxes_path\n0,a,None\n", ("column missing", "rgbsigma_path")),
        (HEADER, ("no rows",)),
    ],
)
def test_bad_tables_name_row_and_column(folder: Path, text: str, words: tuple[str, ...]) -> None:
    path = table(folder, text)
    with pytest.raises(DataError) as caught:
        read_general_csv(path)
    assert caught.value.file == str(path)
    for word in words:
        assert word in str(caught.value)


def test_a_missing_table_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read the table"):
        read_general_csv(tmp_path / "none.csv")
