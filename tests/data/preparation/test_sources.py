from __future__ import annotations

from pathlib import Path

import pytest

from maskfield.core.errors import DataError
from maskfield.data.preparation.sources import picture_size, pinhole, scene_folders

from .conftest import picture


def test_scenes_are_sorted_and_others_passed_over(tmp_path: Path) -> None:
    for name in ("b", "a", "notes"):
        (tmp_path / name).mkdir()
    found = scene_folders(tmp_path, lambda p: len(p.name) == 1, "letters")
    assert [name for name, _ in found] == ["a", "b"]
    with pytest.raises(DataError, match="the folder that holds digits"):
        scene_folders(tmp_path, lambda p: p.name.isdecimal(), "digits")


def test_the_principal_point_is_the_middle_unless_given() -> None:
    camera = pinhole((40, 30), (20.0, 21.0))
    assert (camera["cx"], camera["cy"], camera["fl_y"]) == (20, 15, 21)
    assert pinhole((40, 30), (20.0, 20.0), (1.0, 2.0))["cy"] == 2


def test_sizes_come_from_the_picture(tmp_path: Path) -> None:
    assert picture_size(picture(tmp_path / "a.png", (7, 5)), (1, 1)) == (7, 5)
    assert picture_size(tmp_path / "none.png", (4, 3)) == (4, 3)
    with pytest.raises(DataError, match="cannot read the picture"):
        picture_size(tmp_path / "none.png")
    (tmp_path / "bad.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="cannot read the picture"):
        picture_size(tmp_path / "bad.png", (4, 3))
