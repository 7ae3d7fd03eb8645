"""Observations: what is refused, how they shrink, where their rays go."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from maskfield.core.errors import SceneError
from maskfield.geometry.cameras import Cameras
from maskfield.methods.inerf.observation import (
    Observation,
    observation_from_array,
    read_observation,
)


def a_camera(width: int = 16, height: int = 12) -> Cameras:
    return Cameras(
        camera_to_world=torch.eye(4)[None, :3],
        intrinsics=torch.tensor([[20.0, 21.0, width / 2 + 0.5, height / 2 - 0.25]]),
        width=width,
        height=height,
    )


def a_photo(width: int = 16, height: int = 12, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, channels)).astype(np.uint8)


def test_rays_are_those_of_the_camera() -> None:
    seen = observation_from_array(a_photo(), a_camera())
    pixels = torch.tensor([0, 17, 191])
    expected = a_camera().image_rays(0).directions[pixels]
    found = torch.nn.functional.normalize(seen.directions(pixels), dim=-1)
    torch.testing.assert_close(found, expected)
    assert bool((seen.directions(pixels)[:, 2] == 1).all())


def test_colours_are_row_major() -> None:
    photo = a_photo()
    seen = observation_from_array(photo, a_camera())
    torch.testing.assert_close(
        seen.colours(torch.tensor([16 + 3])), torch.from_numpy(photo[1, 3:4]) / 255
    )


def test_level_is_the_area_mean_and_keeps_directions() -> None:
    photo = a_photo(33, 24)
    seen = observation_from_array(photo, a_camera(33, 24))
    small = seen.level(2)
    assert small.size == (12, 16)
    blocks = photo[:, :32].reshape(12, 2, 16, 2, 3).mean((1, 3)) / 255
    torch.testing.assert_close(small.image, torch.from_numpy(blocks).float())
    # the centre of the first 2 x 2 square is the corner between its pixels
    k = a_camera(33, 24).intrinsics[0]
    corner = (torch.tensor([1.0, 1.0]) - k[2:]) / k[:2]
    torch.testing.assert_close(small.directions(torch.tensor([0]))[0, :2], corner)


def test_masked_pixels_do_not_enter_a_level() -> None:
    photo = a_photo(32, 24)
    mask = np.ones((24, 32), bool)
    mask[0, 0] = False
    other = photo.copy()
    other[0, 0] = 255 - other[0, 0]
    seen = [observation_from_array(p, a_camera(32, 24), mask=mask) for p in (photo, other)]
    levels = [s.level(2) for s in seen]
    torch.testing.assert_close(levels[0].image, levels[1].image)
    assert levels[0].mask is not None
    assert 0 not in seen[0].allowed()


def test_small_images_and_thin_masks_survive_every_level() -> None:
    mask = np.zeros((24, 32), bool)
    mask[5, 7] = True
    seen = observation_from_array(a_photo(32, 24), a_camera(32, 24), mask=mask)
    assert seen.level(64).size == (8, 10)
    assert len(seen.level(4).allowed()) == 1


@pytest.mark.parametrize("size", [(18, 12), (32, 24)])
def test_another_size_than_the_intrinsics_is_refused(size: tuple[int, int]) -> None:
    word = "aspect ratio" if size == (18, 12) else "size"
    with pytest.raises(SceneError, match=f"another {word}"):
        observation_from_array(a_photo(*size), a_camera())


@pytest.mark.parametrize("kind", ["grey", "sixteen", "float", "two"])
def test_only_8_bit_rgb(kind: str) -> None:
    photo = {
        "grey": a_photo()[..., 0],
        "sixteen": a_photo().astype(np.uint16),
        "float": a_photo() / 255,
        "two": a_photo(channels=2),
    }[kind]
    with pytest.raises(SceneError, match="8-bit RGB"):
        observation_from_array(photo, a_camera())


def test_opacity_needs_a_background() -> None:
    photo = a_photo(channels=4)
    with pytest.raises(SceneError, match="background"):
        observation_from_array(photo, a_camera())
    seen = observation_from_array(photo, a_camera(), background=(1.0, 1.0, 1.0))
    share = photo[..., 3:] / 255
    expected = photo[..., :3] / 255 * share + (1 - share)
    torch.testing.assert_close(seen.image, torch.from_numpy(expected).float())


@pytest.mark.parametrize("mode", ["L", "I;16", "P", "CMYK"])
def test_files_that_are_not_rgb_are_refused(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    image = Image.fromarray(a_photo()[..., 0].astype(np.uint16) * 256)
    image = image if mode == "I;16" else Image.fromarray(a_photo()).convert(mode)
    image.save(path)
    with pytest.raises(SceneError, match=rf"{path.name}[\s\S]*mode"):
        read_observation(path, a_camera())


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(a_photo()).save(path)
    assert read_observation(path, a_camera()).size == (12, 16)
    with pytest.raises(SceneError, match="intrinsics are missing"):
        read_observation(path, None)
    with pytest.raises(SceneError, match="cannot read"):
        read_observation(tmp_path / "b.png", a_camera())


@pytest.mark.parametrize("focal", [0.0, -3.0, float("nan")])
def test_bad_intrinsics_are_refused(focal: float) -> None:
    camera = replace(a_camera(), intrinsics=torch.tensor([[focal, 20.0, 8.0, 6.0]]))
    with pytest.raises(SceneError, match="focal"):
        observation_from_array(a_photo(), camera)


def test_bad_images_and_masks_are_refused() -> None:
    with pytest.raises(SceneError, match=r"\[0, 1\]"):
        Observation(image=torch.full((12, 16, 3), 200.0), camera=a_camera())
    with pytest.raises(SceneError, match="mask"):
        observation_from_array(a_photo(), a_camera(), mask=np.zeros((12, 16)))


def test_texture() -> None:
    assert observation_from_array(np.full((12, 16, 3), 9, np.uint8), a_camera()).texture() < 1e-6
    assert observation_from_array(a_photo(), a_camera()).texture() > 0.2
