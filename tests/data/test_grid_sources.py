"""Where training grids come from: every kind of place answers alike, wrong places say so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from maskfield.core.errors import ConfigError, DataError, GridError
from maskfield.data.config import GridDataConfig
from maskfield.data.grid_sources import open_grids, room_store
from maskfield.data.radiance_grid import RadianceGrid, save_grid
from maskfield.data.store import write_store
from maskfield.data.writers import write_split


def grids(count: int) -> list[tuple[str, RadianceGrid]]:
    generator = torch.Generator().manual_seed(0)
    return [
        (
            f"scene{i:02d}",
            RadianceGrid(
                rgb=torch.rand(3, 5, 4, 3, generator=generator),
                density=torch.rand(1, 5, 4, 3, generator=generator),
                box=torch.tensor([[0.0, 0, 0], [5, 4, 3]]),
                density_kind="alpha",
            ),
        )
        for i in range(count)
    ]


def write_features(folder: Path, count: int) -> None:
    (folder / "features").mkdir()
    for name, grid in grids(count):
        rgba = torch.cat([grid.rgb, grid.density]).permute(1, 2, 3, 0).numpy()
        np.savez(folder / "features" / f"{name}.npz", rgbsigma=rgba, resolution=rgba.shape[:3])


def test_store_files_and_features_answer_alike(tmp_path: Path) -> None:
    pairs = grids(4)
    for name in ("store", "files", "features"):
        (tmp_path / name).mkdir()
    write_store(pairs, tmp_path / "store", colour="float16")
    for name, grid in pairs:
        save_grid(grid, tmp_path / "files" / f"{name}.safetensors")
    write_features(tmp_path / "features", 4)
    answers = []
    for place in ("store", "files", "features"):
        train, validation = open_grids(GridDataConfig(path=str(tmp_path / place), holdout=2))
        assert list(train.names) == ["scene00", "scene02"]
        assert list(validation.names) == ["scene01", "scene03"]
        answers.append(validation.rgba(1))
    for answer in answers:
        assert answer.dtype == torch.float32
        torch.testing.assert_close(answer, pairs[3][1].rgba(), atol=1e-3, rtol=1e-3)


def test_split_file_and_percent(tmp_path: Path) -> None:
    write_features(tmp_path, 5)
    names = tuple(n for n, _ in grids(5))
    write_split({"train": names[:4], "val": names[4:], "test": ()}, tmp_path / "x_split.npz")
    train, validation = open_grids(GridDataConfig(path=str(tmp_path), percent_train=0.5))
    assert list(train.names) == list(names[:2])  # the first names, as in the official loader
    assert list(validation.names) == list(names[4:])


def test_rooms_are_made_once_and_splits_differ(tmp_path: Path) -> None:
    train = room_store("train", 2, 16, str(tmp_path))
    stamp = next(train.folder.glob("*.bin")).stat().st_mtime_ns
    again = room_store("train", 2, 16, str(tmp_path))
    assert next(again.folder.glob("*.bin")).stat().st_mtime_ns == stamp
    validation = room_store("val", 2, 16, str(tmp_path))
    assert not set(train.names) & set(validation.names)
    assert torch.equal(train.read_rgba(0), again.read_rgba(0))
    other = room_store("train", 2, 16, str(tmp_path / "elsewhere"))
    assert torch.equal(other.read_rgba(1), train.read_rgba(1))


def test_empty_folder_says_what_is_wanted(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no grids here") as caught:
        open_grids(GridDataConfig(path=str(tmp_path)))
    assert caught.value.file == str(tmp_path)
    assert "maskfield data synth grids" in caught.value.remedy


def test_split_of_other_scenes(tmp_path: Path) -> None:
    write_features(tmp_path, 2)
    write_split({"train": ("a",), "val": ("b",), "test": ()}, tmp_path / "x_split.npz")
    with pytest.raises(DataError, match="no training grids"):
        open_grids(GridDataConfig(path=str(tmp_path)))


def test_a_small_set_validates_on_its_last_grid(tmp_path: Path) -> None:
    write_features(tmp_path, 3)
    train, validation = open_grids(GridDataConfig(path=str(tmp_path), holdout=10))
    assert (list(train.names), list(validation.names)) == (["scene00", "scene01"], ["scene02"])


@pytest.mark.parametrize("kind", ["store", "features"])
def test_one_grid_cannot_be_split(kind: str, tmp_path: Path) -> None:
    write_store(grids(1), tmp_path) if kind == "store" else write_features(tmp_path, 1)
    with pytest.raises(DataError, match="no validation grids"):
        open_grids(GridDataConfig(path=str(tmp_path)))


@pytest.mark.parametrize("damage", ["truncated", "nan", "empty", "alpha read as exp"])
def test_every_file_is_checked_before_training(damage: str, tmp_path: Path) -> None:
    write_features(tmp_path, 4)
    path = tmp_path / "features" / "scene02.npz"
    rgba = dict(np.load(path))["rgbsigma"]
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:300])
    else:
        rgba[..., 3] = {"nan": np.nan, "empty": rgba[..., 3] - 60}.get(damage, rgba[..., 3])
        np.savez(path, rgbsigma=rgba, resolution=rgba.shape[:3])
    config = GridDataConfig(
        path=str(tmp_path), density="exp" if damage == "alpha read as exp" else "auto"
    )
    with pytest.raises(GridError) as caught:
        open_grids(config)
    assert str(caught.value.file).endswith(".npz")
    assert damage == "alpha read as exp" or caught.value.file == str(path)


def test_unknown_world() -> None:
    with pytest.raises(ConfigError, match="rooms-v1"):
        open_grids(GridDataConfig(path="synthetic:castles"))
