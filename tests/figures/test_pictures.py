"""Tables of pictures, files and depth colours."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from maskfield.core.errors import StorageError
from maskfield.figures.pictures import (
    beside,
    depth_picture,
    heat_picture,
    resized,
    save_picture,
    table_of,
    to_picture,
    trimmed,
)

RED = np.full((20, 30, 3), (255, 0, 0), np.uint8)
BLUE = np.full((20, 30, 3), (0, 0, 255), np.uint8)


def test_to_picture_rounds_clips_and_blackens_nan():
    image = torch.tensor([[[0.0, 0.5, 1.0], [-3.0, 7.0, float("nan")]]])
    expected = [[[0, 128, 255], [0, 255, 0]]]
    np.testing.assert_array_equal(to_picture(image), expected)
    assert to_picture(RED) is RED


def test_beside_keeps_every_pixel():
    sheet = beside([RED, BLUE])
    assert sheet.shape == (20, 66, 3)
    np.testing.assert_array_equal(sheet[:, :30], RED)
    np.testing.assert_array_equal(sheet[:, 36:], BLUE)
    assert (sheet[:, 30:36] == 255).all()


def test_titles_and_labels_are_drawn_outside_the_pictures():
    sheet = table_of([[RED, BLUE], [BLUE, RED]], titles=["a", "b"], labels=["first", "second row"])
    assert sheet.shape == (24 + 46, 92 + 66, 3)
    assert (sheet[:24, 92:122] < 128).any()
    assert (sheet[24:44, :92] < 128).any()
    np.testing.assert_array_equal(sheet[50:70, 92:122], BLUE)


def test_rows_of_different_length_leave_white():
    sheet = table_of([[RED, BLUE], [RED]])
    assert (sheet[26:, 36:] == 255).all()


def test_enlarged_pixels_stay_square():
    small = np.asarray([[[0, 0, 0], [255, 255, 255]]], np.uint8)
    large = resized(small, height=4)
    assert large.shape == (4, 8, 3)
    assert set(np.unique(large)) == {0, 255}


def test_trimmed_keeps_everything_that_is_not_white():
    sheet = np.full((60, 80, 3), 255, np.uint8)
    sheet[20:40, 30:60] = RED
    np.testing.assert_array_equal(trimmed(sheet, margin=0), RED)
    assert trimmed(sheet, margin=5).shape == (30, 40, 3)
    blank = np.full((4, 4, 3), 255, np.uint8)
    assert trimmed(blank) is blank


def test_depth_near_is_brighter_and_unknown_is_white():
    depth = np.linspace(1, 4, 50, dtype=np.float32)[None].repeat(3, 0)
    depth[1, 10], depth[1, 11] = 0, np.nan
    picture = depth_picture(depth).astype(int)
    assert picture[0, 0].sum() > picture[0, 40].sum() + 200
    assert (picture[1, 10:12] == 255).all()
    assert (depth_picture(np.zeros((2, 2), np.float32)) == 255).all()


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_saved_pictures_read_back(tmp_path, name):
    save_picture(RED, tmp_path / "deep" / name)
    with Image.open(tmp_path / "deep" / name) as image:
        assert np.abs(np.asarray(image).astype(int) - RED).max() <= 2
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError):
        save_picture(RED, tmp_path / "file" / name)


def test_heat_runs_from_black_over_red_and_yellow_to_white():
    picture = heat_picture(np.linspace(-2, 3, 256).reshape(1, 256))
    assert picture[0, 0].tolist() == [0, 0, 0]
    assert picture[0, 102, 0] > 245
    assert picture[0, 102, 1:].max() < 10
    assert picture[0, 206].tolist()[:2] == [255, 255]
    assert picture[0, 255].tolist() == [255, 255, 255]
    assert (np.diff(picture.astype(int).sum(-1)[0]) >= 0).all()
    assert (heat_picture(np.full((2, 2), 7.0)) == 0).all()
