"""Photographs normalised: the object is centred, on white, and of the size the ellipse says."""

from __future__ import annotations

import numpy as np
import pytest

from maskfield.core.errors import ConfigError, DataError
from maskfield.data.normalise_photo import PhotoFraming, normalise_photo

GREY, RED = 90, (200, 30, 40)


def photo(centre=(70.0, 45.0), axes=(60.0, 30.0), size=(100, 160)):
    """A red ellipse on grey, and its mask."""
    y, x = np.mgrid[: size[0], : size[1]]
    inside = ((x - centre[0]) / axes[0] * 2) ** 2 + ((y - centre[1]) / axes[1] * 2) ** 2 <= 1
    picture = np.where(inside[..., None], np.array(RED), GREY).astype(np.uint8)
    return picture, np.where(inside, 255, 0).astype(np.uint8)


@pytest.mark.parametrize("compat", ["maskfield", "official"])
def test_the_object_is_in_the_middle_of_white(compat):
    picture, mask = photo()
    found = normalise_photo(picture, mask, PhotoFraming(size=64, compat=compat))
    assert found.image.shape == (64, 64, 3)
    assert (found.image[0] == 255).all()
    assert (found.image[32, 32] == RED).all()
    assert (found.image[found.mask == 0] == 255).all()
    rows, columns = np.nonzero(found.mask > 128)
    assert abs(rows.mean() - 31.5) < 1
    assert abs(columns.mean() - 31.5) < 1


def test_the_square_is_as_large_as_the_ellipse_asks_for():
    picture, mask = photo()
    found = normalise_photo(picture, mask)
    left, top, side = found.square
    assert abs(side - 30 * 4.37) < 5  # the minor axis decides
    assert (left + side / 2, top + side / 2) == pytest.approx((70, 45), abs=1)
    wide = normalise_photo(picture, mask, PhotoFraming(minor_scale=1.0, major_scale=2.0))
    assert abs(wide.square[2] - 120) < 4


def test_beyond_the_edge_nothing_of_the_object_is_repeated():
    picture, mask = photo(centre=(5.0, 5.0))  # a quarter of the object is in the picture
    for border in ("replicate", "white"):
        found = normalise_photo(picture, mask, PhotoFraming(border=border))
        left, top, side = found.square
        assert left < 0
        assert top < 0
        outside = int(-left / side * 128) - 1
        assert (found.image[:, :outside] == 255).all()
        assert (found.mask[:, :outside] == 0).all()


def test_reduction_is_area_true_unless_official():
    picture, mask = photo(size=(800, 1200), centre=(600.0, 400.0), axes=(900.0, 420.0))
    stripes = np.where(np.arange(1200) % 2, 0, 255).astype(np.uint8)
    picture = np.where(mask > 0, stripes, GREY).astype(np.uint8)[..., None].repeat(3, axis=2)
    soft = normalise_photo(picture, mask, PhotoFraming(size=32)).image[16, 12:20]
    official = normalise_photo(picture, mask, PhotoFraming(size=32, compat="official"))
    assert np.abs(soft.astype(int) - 127).max() < 25
    assert np.abs(official.image[16, 12:20].astype(int) - 127).max() > 60


def test_a_soft_mask_whitens_partly():
    picture, mask = photo()
    half = np.where(mask > 0, 200, 0).astype(np.uint8)
    found = normalise_photo(picture, half, PhotoFraming(size=64))
    share = 200 / 255
    expected = np.array(RED) * share + 255 * (1 - share)
    assert np.abs(found.image[32, 32] - expected).max() <= 1


def test_bad_input_is_refused():
    picture, mask = photo()
    with pytest.raises(DataError, match="does not belong"):
        normalise_photo(picture, mask[:-1])
    with pytest.raises(DataError, match="uint8"):
        normalise_photo(picture.astype(float), mask)
    with pytest.raises(DataError, match="mask is empty"):
        normalise_photo(picture, mask // 4)
    with pytest.raises(ConfigError, match="16 to 1024"):
        PhotoFraming(size=4)
    with pytest.raises(ConfigError, match="minor_scale"):
        PhotoFraming(minor_scale=0.0)


@pytest.mark.shared
@pytest.mark.parametrize("name", ["model3", "police", "toyota"])
def test_published_results_are_reproduced_from_their_own_masks(shared, name):
    """A picture that is normalised already stays as it is, up to the reduction's blur."""
    from maskfield.data.photo import read_photo

    done, _ = read_photo(shared / f"data/pixelnerf_real_cars/{name}_normalize.png")
    mask = np.where((done < 250).any(-1), 255, 0).astype(np.uint8)
    again = normalise_photo(done, mask, PhotoFraming(border="white"))
    left, top, side = again.square
    assert abs(side - 128) <= 8
    assert abs(left + side / 2 - 64) <= 3
    assert abs(top + side / 2 - 64) <= 3
