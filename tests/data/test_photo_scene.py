"""A photograph as a scene of one view: its camera, its size, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from maskfield.core.errors import ConfigError, DataError
from maskfield.data.photo_scene import PhotoCamera, photo_scene


@pytest.fixture
def photo(tmp_path):
    """Red, 60 x 40 pixels, on white."""
    image = np.full((40, 60, 3), 255, np.uint8)
    image[10:30, 20:40] = (200, 0, 0)
    Image.fromarray(image).save(tmp_path / "car.png")
    return tmp_path / "car.png"


def test_the_camera_looks_at_the_object_from_its_distance(photo):
    scene = photo_scene(photo, PhotoCamera(focal=100.0, radius=2.0, near=1.0, far=3.0), size=20)
    assert scene.images.shape == (1, 20, 30, 3)
    torch.testing.assert_close(scene.cameras.centres, torch.tensor([[0.0, -2.0, 0.0]]))
    focal = 100 * 20 / 128
    torch.testing.assert_close(
        scene.cameras.intrinsics[0], torch.tensor([focal, focal, 15.0, 10.0])
    )
    points, depth = scene.cameras.project(torch.tensor([[0.0, 0.0, 0.0], [0.1, 0.0, 0.1]]))
    torch.testing.assert_close(points[0, 0], torch.tensor([15.0, 10.0]))
    assert points[0, 1, 0] > 15  # +x is right, +z is up
    assert points[0, 1, 1] < 10
    assert float(depth[0, 0]) == pytest.approx(2)
    assert (scene.near, scene.far) == (1.0, 3.0)
    assert scene.box.tolist() == [[-1.0] * 3, [1.0] * 3]


def test_the_official_centre_is_half_a_pixel_off(photo):
    ours, theirs = (
        photo_scene(photo, PhotoCamera(official_centre=official), size=20).cameras.intrinsics[0]
        for official in (False, True)
    )
    assert (theirs - ours).tolist() == [0.0, 0.0, 0.5, 0.5]


def test_transparent_photographs_are_put_on_white(tmp_path):
    rgba = np.zeros((16, 16, 4), np.uint8)
    rgba[4:12, 4:12] = (0, 0, 200, 255)
    Image.fromarray(rgba).save(tmp_path / "clear.png")
    image = photo_scene(tmp_path / "clear.png", size=16).images[0]
    assert image[0, 0].tolist() == [255, 255, 255]
    assert image[8, 8].tolist() == [0, 0, 200]


def test_photographs_with_a_background_are_refused_unless_the_model_knows_them(tmp_path):
    Image.new("RGB", (16, 16), (90, 120, 80)).save(tmp_path / "field.png")
    with pytest.raises(DataError, match="normalize-photo"):
        photo_scene(tmp_path / "field.png")
    assert photo_scene(tmp_path / "field.png", white=False, size=16).images[0, 0, 0, 1] == 120


def test_distances_are_checked():
    with pytest.raises(ConfigError, match="near, far"):
        PhotoCamera(near=2.0, far=1.0)
    with pytest.raises(ConfigError, match="focal"):
        PhotoCamera(focal=0.0)
