"""``data normalize-photo``: where the mask comes from, what is written."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import maskfield
from maskfield.core.errors import DataError
from maskfield.data.normalise_photo import PhotoFraming
from maskfield.verbs.normalize_photo import normalise_file


@pytest.fixture
def photo(tmp_path):
    """A blue disc on grey with its mask and a copy that carries it as opacity."""
    y, x = np.mgrid[:80, :120]
    mask = np.where((x - 50) ** 2 + (y - 40) ** 2 < 20**2, 255, 0).astype(np.uint8)
    colour = np.where(mask[..., None] > 0, (20, 40, 220), 128).astype(np.uint8)
    Image.fromarray(colour).save(tmp_path / "car.png")
    Image.fromarray(mask).save(tmp_path / "mask.png")
    Image.fromarray(np.dstack([colour, mask])).save(tmp_path / "clear.png")
    return tmp_path / "car.png"


def test_mask_from_a_file_or_from_the_opacity(photo):
    given = maskfield.data_normalize_photo(photo, mask=photo.with_name("mask.png"), figures=True)
    assert given.mask_from == "file"
    assert [p.name for p in given.files] == ["car_normalize.png", "car_normalize_overview.png"]
    picture = np.asarray(Image.open(given.files[0]))
    assert picture.shape == (128, 128, 3)
    assert (picture[64, 64] == (20, 40, 220)).all()
    out = photo.with_name("b.png")
    clear = maskfield.data_normalize_photo(photo.with_name("clear.png"), out=out)
    assert clear.mask_from == "opacity"
    assert clear.files == (out,)
    np.testing.assert_array_equal(np.asarray(Image.open(out)), picture)
    assert str(out) in clear.text()


def test_a_model_is_asked_when_there_is_no_mask(photo):
    asked, folder = [], photo.parent

    def stand_in(photo, label):
        asked.append((photo.shape, label))
        return np.asarray(Image.open(folder / "mask.png"))

    report = normalise_file(
        photo,
        mask=None,
        out=None,
        framing=PhotoFraming(size=32),
        label="boat",
        model="stand-in",
        figures=False,
        segmenter=stand_in,
    )
    assert asked == [((80, 120, 3), "boat")]
    assert report.mask_from == "stand-in"
    assert Image.open(report.files[0]).size == (32, 32)


def test_a_mask_of_another_size_is_refused(photo):
    Image.new("L", (10, 10), 255).save(photo.with_name("small.png"))
    with pytest.raises(DataError, match="another size"):
        maskfield.data_normalize_photo(photo, mask=photo.with_name("small.png"))
