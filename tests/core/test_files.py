"""Atomic writing."""

from __future__ import annotations

import errno
import os

import pytest

from maskfield.core.errors import DataError, StorageError
from maskfield.core.files import atomic_path, read_json, write_json, write_text


def test_text_and_json_round_trip(tmp_path):
    write_text(tmp_path / "a" / "t.txt", "é\n")
    assert (tmp_path / "a" / "t.txt").read_text(encoding="utf-8") == "é\n"
    write_json(tmp_path / "j.json", {"b": 1, "a": [None]})
    assert read_json(tmp_path / "j.json") == {"b": 1, "a": [None]}
    assert list(read_json(tmp_path / "j.json")) == ["b", "a"]


def test_nan_is_refused_and_the_old_file_stays(tmp_path):
    write_json(tmp_path / "j.json", 1)
    with pytest.raises(ValueError):
        write_json(tmp_path / "j.json", float("nan"))
    assert read_json(tmp_path / "j.json") == 1


def test_failure_in_the_block_leaves_the_old_file_and_no_litter(tmp_path):
    target = tmp_path / "f"
    target.write_text("old")

    def fail_half_way() -> None:
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        fail_half_way()
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["f"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_system_errors_become_storage_errors(tmp_path, monkeypatch, number):
    target = tmp_path / "f"
    target.write_text("old")

    def refuse(source, destination):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(StorageError, match=os.strerror(number)) as caught:
        write_text(target, "new")
    assert caught.value.file == str(target)
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["f"]


def test_parent_is_a_file(tmp_path):
    (tmp_path / "f").write_text("")
    with pytest.raises(StorageError):
        write_text(tmp_path / "f" / "g", "x")


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "not found"), (b"{", "not valid JSON"), (b"\xff", "not valid JSON")],
)
def test_unreadable_json(tmp_path, content, says):
    if content is not None:
        (tmp_path / "j").write_bytes(content)
    with pytest.raises(DataError, match=says):
        read_json(tmp_path / "j")


def test_a_folder_is_not_json(tmp_path):
    with pytest.raises(DataError, match="cannot read"):
        read_json(tmp_path)
