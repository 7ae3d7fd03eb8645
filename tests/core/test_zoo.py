"""Names of packaged weights."""

from __future__ import annotations

from pathlib import Path

import pytest

from maskfield.core import zoo
from maskfield.core.errors import CheckpointError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("detector-tiny", "semantic-tiny"):
        (tmp_path / f"{name}.safetensors").write_bytes(b"weights")
        (tmp_path / f"{name}.md").write_text("card")
    monkeypatch.setattr(zoo, "zoo_folder", lambda: tmp_path)
    return tmp_path


def test_the_package_has_the_folder():
    assert (zoo.zoo_folder() / "README.md").is_file()


def test_every_packaged_file_has_a_card_and_is_small():
    for name in zoo.zoo_names():
        path = zoo.zoo_path(name)
        assert path.with_suffix(".md").is_file(), name
        assert path.stat().st_size <= 5_000_000, name


def test_names_and_paths(folder):
    assert zoo.zoo_names() == ("detector-tiny", "semantic-tiny")
    assert zoo.zoo_path("detector-tiny") == folder / "detector-tiny.safetensors"
    assert zoo.zoo_path("zoo:semantic-tiny") == folder / "semantic-tiny.safetensors"


def test_only_the_prefix_makes_a_zoo_name():
    assert zoo.is_zoo("zoo:detector-tiny")
    assert zoo.is_zoo(Path("zoo:detector-tiny"))
    assert not zoo.is_zoo("runs/zoo:x")


@pytest.mark.parametrize("name", ["zoo:detectr-tiny", "zoo:", "zoo:../secret", "superres-tiny"])
def test_an_unknown_name_lists_what_is_there(folder, name):
    with pytest.raises(CheckpointError, match="no such weights") as caught:
        zoo.zoo_path(name)
    assert "detector-tiny, semantic-tiny" in caught.value.remedy


def test_an_empty_zoo_says_how_to_train(folder):
    for path in folder.glob("*.safetensors"):
        path.unlink()
    with pytest.raises(CheckpointError, match="no such weights") as caught:
        zoo.zoo_path("detector-tiny")
    assert "finetune" in caught.value.remedy
