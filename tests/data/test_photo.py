"""Photographs and masks as files: upright, 8 bit, refused when they are something else."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from maskfield.core.errors import DataError
from maskfield.data.photo import read_mask, read_photo


def stripes() -> np.ndarray:
    return np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)


def test_colour_grey_and_opacity(tmp_path):
    Image.fromarray(stripes()).save(tmp_path / "a.png")
    colour, opacity = read_photo(tmp_path / "a.png")
    np.testing.assert_array_equal(colour, stripes())
    assert opacity is None
    Image.fromarray(stripes()[..., 0]).save(tmp_path / "g.png")
    assert (read_photo(tmp_path / "g.png")[0] == stripes()[..., :1]).all()
    clear = np.concatenate([stripes(), np.full((4, 6, 1), 77, np.uint8)], axis=2)
    Image.fromarray(clear).save(tmp_path / "c.png")
    colour, opacity = read_photo(tmp_path / "c.png")
    np.testing.assert_array_equal(colour, stripes())
    assert opacity is not None
    assert (opacity == 77).all()


def test_camera_turns_are_applied(tmp_path):
    image = Image.fromarray(stripes())
    exif = image.getexif()
    exif[0x0112] = 6  # the camera was held upright
    image.save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_photo(tmp_path / "a.png")[0], np.rot90(stripes(), -1))


def test_wrong_files_are_refused(tmp_path):
    with pytest.raises(DataError, match="not found"):
        read_photo(tmp_path / "absent.png")
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(DataError, match="cannot decode"):
        read_photo(tmp_path / "text.png")
    Image.fromarray(np.zeros((4, 6), np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(DataError, match="mode"):
        read_photo(tmp_path / "deep.png")


def test_masks_are_grey_or_opacity(tmp_path):
    mask = np.zeros((4, 6), np.uint8)
    mask[1:3, 2:4] = 255
    Image.fromarray(mask).save(tmp_path / "m.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png", (4, 6)), mask)
    Image.fromarray(np.dstack([stripes(), mask])).save(tmp_path / "clear.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "clear.png", (4, 6)), mask)
    with pytest.raises(DataError, match="another size"):
        read_mask(tmp_path / "m.png", (6, 4))
    Image.fromarray(mask // 255).save(tmp_path / "dark.png")
    with pytest.raises(DataError, match="marks nothing"):
        read_mask(tmp_path / "dark.png", (4, 6))
