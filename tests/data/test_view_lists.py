"""Lists of source and target views."""

from __future__ import annotations

from pathlib import Path

import pytest

from maskfield.core.errors import DataError
from maskfield.data.view_lists import read_source_list, read_view_list


def write(folder: Path, text: str) -> Path:
    (folder / "list.txt").write_text(text)
    return folder / "list.txt"


def test_source_views_of_each_object(tmp_path: Path):
    file = write(tmp_path, "02691156 abc 12\n\n02958343 def 3 7\n")
    assert read_source_list(file) == {("02691156", "abc"): (12,), ("02958343", "def"): (3, 7)}


def test_the_first_line_names_the_target_views(tmp_path: Path):
    assert read_view_list(write(tmp_path, "0 24 49 249\nrest is ignored")) == (0, 24, 49, 249)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("02691156 abc\n", "line 1"),
        ("a b 1\na b 2\n", "two lines"),
        ("a b -1\n", "from 0 on"),
        ("a b 1 1\n", "once"),
        ("a b c\n", "whole numbers"),
    ],
)
def test_bad_source_lists_are_refused(tmp_path: Path, text: str, words: str):
    with pytest.raises(DataError, match=words) as caught:
        read_source_list(write(tmp_path, text))
    assert "list.txt" in str(caught.value)


@pytest.mark.parametrize("text", ["one two\n", "1.5\n", "\n"])
def test_bad_view_lists_are_refused(tmp_path: Path, text: str):
    with pytest.raises(DataError):
        read_view_list(write(tmp_path, text))


def test_a_missing_list_is_named(tmp_path: Path):
    with pytest.raises(DataError, match=r"gone\.txt"):
        read_source_list(tmp_path / "gone.txt")
