"""Films can be read back and show the frames that went in."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from PIL import Image

from maskfield.core.errors import ConfigError, DataError, MissingPartError, StorageError
from maskfield.figures import video
from maskfield.figures.video import best_suffix, write_video

needs_av = pytest.mark.skipif(importlib.util.find_spec("av") is None, reason="PyAV is absent")


def frames(count: int = 5, height: int = 48, width: int = 64) -> list[np.ndarray]:
    """A white square that moves to the right over dark blue."""
    out = []
    for i in range(count):
        frame = np.zeros((height, width, 3), np.uint8)
        frame[..., 2] = 90
        frame[16:32, 8 * i + 4 : 8 * i + 20] = 255
        out.append(frame)
    return out


def decoded(path) -> np.ndarray:
    import av

    with av.open(str(path)) as container:
        return np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])


@needs_av
def test_mp4_holds_the_frames(tmp_path):
    path = write_video(iter(frames()), tmp_path / "a" / "film.mp4", fps=10)
    read = decoded(path).astype(int)
    assert read.shape == (5, 48, 64, 3)
    assert np.abs(read - np.stack(frames())).mean() < 6


@needs_av
def test_odd_sizes_lose_one_row_and_column(tmp_path):
    path = write_video(frames(2, 33, 41), tmp_path / "film.mp4")
    assert decoded(path).shape == (2, 32, 40, 3)


def test_gif_holds_the_frames(tmp_path):
    path = write_video(frames(), tmp_path / "film.gif", fps=10)
    with Image.open(path) as film:
        assert film.n_frames == 5
        assert film.info["duration"] == 100
        film.seek(4)
        last = np.asarray(film.convert("RGB")).astype(int)
    assert np.abs(last - frames()[4]).mean() < 6


def test_mp4_without_pyav_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setattr(video.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPartError, match=r"maskfield\[video\]"):
        write_video(frames(), tmp_path / "film.mp4")
    assert best_suffix() == ".gif"
    assert write_video(frames(), tmp_path / "film.gif").stat().st_size > 200


def test_no_frames(tmp_path):
    with pytest.raises(DataError, match="at least one frame"):
        write_video([], tmp_path / "film.gif")
    assert list(tmp_path.iterdir()) == []


def test_mixed_sizes_are_named_and_nothing_is_left(tmp_path):
    with pytest.raises(DataError, match="frame 1"):
        write_video([*frames(1), *frames(1, 10, 10)], tmp_path / "film.gif")
    assert list(tmp_path.iterdir()) == []


def test_unknown_suffix(tmp_path):
    with pytest.raises(ConfigError, match=r"film\.avi"):
        write_video(frames(), tmp_path / "film.avi")


def test_unwritable_place(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError):
        write_video(frames(), tmp_path / "file" / "film.gif")
