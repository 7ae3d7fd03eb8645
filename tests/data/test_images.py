"""Decoding: modes, sizes, EXIF, reduction, and every way an image file can be bad."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from maskfield.core.errors import ConfigError, SceneError
from maskfield.data.readers import images
from maskfield.data.readers.options import ReadOptions
from maskfield.data.readers.transforms_json import read
from maskfield.data.scene import Scene


def _decode(path: Path) -> np.ndarray:
    probes = images.probe_images([path], [None])
    plan = images.plan_sizes([path], probes, ReadOptions(), "here")
    return images.decode_images([path], probes, plan)[0][0]


def test_downscale_is_an_area_mean_and_halves_the_intrinsics(ngp: Path, ring: Scene) -> None:
    scene = read(ngp, ReadOptions(downscale=2))
    blocks = ring.images.reshape(9, 24, 2, 32, 2, 3).mean((2, 4))
    assert np.abs(scene.images - blocks).max() <= 0.5
    torch.testing.assert_close(scene.cameras.intrinsics, ring.cameras.intrinsics / 2)


def test_reduced_rgba_does_not_bleed_the_hidden_colour() -> None:
    rgba = np.zeros((2, 2, 4), np.uint8)
    rgba[0, 0] = (200, 100, 50, 255)
    rgba[0, 1] = (0, 255, 0, 0)  # hidden green
    assert images.reduce_rgba(rgba, 2)[0, 0].tolist() == [200, 100, 50, 64]


def test_mixed_sizes(ngp: Path, ring: Scene) -> None:
    Image.fromarray(ring.images[4][:40, :60]).save(ngp.parent / "images" / ring.names[4])
    text = (
        ngp.read_text().replace('"w": 64, "h": 48,', "").replace('"fl_x": 70.0, "fl_y": 70.0,', "")
    )
    text = text.replace('"cx": 32.0, "cy": 24.0,', '"camera_angle_x": 0.858,')
    ngp.write_text(text)
    with pytest.raises(SceneError, match="--mixed-sizes crop") as caught:
        read(ngp)
    assert caught.value.file == str(ngp.parent / "images" / ring.names[4])
    scene = read(ngp, ReadOptions(mixed_sizes="crop"))
    assert scene.images.shape == (9, 40, 60, 3)
    assert np.array_equal(scene.images[0], ring.images[0][:40, :60])
    assert scene.cameras.intrinsics[0, 2:].tolist() == [32.0, 24.0]  # the crop moves no centre


def test_portrait_and_landscape_do_not_mix(tmp_path: Path) -> None:
    for name, shape in (("a.png", (64, 16, 3)), ("b.png", (16, 64, 3))):
        Image.fromarray(np.zeros(shape, np.uint8)).save(tmp_path / name)
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    probes = images.probe_images(paths, [None, None])
    with pytest.raises(SceneError, match="less than half"):
        images.plan_sizes(paths, probes, ReadOptions(mixed_sizes="crop"), "here")


@pytest.mark.parametrize("keep", [0, 30, 600])
def test_truncated_images_are_named(ngp: Path, ring: Scene, keep: int) -> None:
    file = ngp.parent / "images" / ring.names[5]
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(SceneError, match="cannot decode") as caught:
        read(ngp)
    assert caught.value.file == str(file)


def test_missing_images_are_counted_before_decoding(ngp: Path, ring: Scene) -> None:
    for i in (2, 5):
        (ngp.parent / "images" / ring.names[i]).unlink()
    (ngp.parent / "images" / ring.names[0]).write_bytes(b"damaged, but looked at later")
    with pytest.raises(SceneError, match="2 of 9 files"):
        read(ngp)


def test_cmyk_is_refused(tmp_path: Path) -> None:
    Image.new("CMYK", (8, 8)).save(tmp_path / "a.jpg")
    with pytest.raises(SceneError, match="CMYK"):
        _decode(tmp_path / "a.jpg")


def test_grey_palette_and_sixteen_bit(tmp_path: Path) -> None:
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(grey.astype(np.uint16) << 8).save(tmp_path / "deep.png")
    Image.fromarray(grey).convert("P").save(tmp_path / "palette.png")
    for name in ("grey.png", "deep.png", "palette.png"):
        assert np.array_equal(_decode(tmp_path / name), np.repeat(grey[..., None], 3, -1))


def test_exif_turns_only_where_the_intrinsics_ask(tmp_path: Path) -> None:
    pixels = np.arange(8 * 16 * 3, dtype=np.uint8).reshape(8, 16, 3)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    as_stored = images.probe_images([tmp_path / "a.png"], [(16, 8)])[0]
    turned = images.probe_images([tmp_path / "a.png"], [(80, 160)])[0]
    unknown = images.probe_images([tmp_path / "a.png"], [None])[0]
    assert (as_stored.size, turned.size, unknown.size) == ((16, 8), (8, 16), (16, 8))
    plan = images.Plan(crop=(8, 16), downscale=1)
    colour, _ = images.decode_images([tmp_path / "a.png"], [turned], plan)
    assert np.array_equal(colour[0], np.rot90(pixels, -1))


def test_masks_of_another_size_are_fitted(tmp_path: Path) -> None:
    Image.fromarray(np.repeat([[0, 255]], 4, 0).astype(np.uint8).repeat(2, 1)).save(
        tmp_path / "m.png"
    )
    probe = images.Probe(size=(8, 8), mode="RGB", turned=False)
    plan = images.Plan(crop=(8, 8), downscale=2)
    masks = images.decode_masks([tmp_path / "m.png", None], [probe, probe], plan)
    assert masks is not None
    assert masks[0].tolist() == [[0, 0, 1, 1]] * 4
    assert masks[1].all()


def test_unknown_depths_become_zero(tmp_path: Path) -> None:
    np.save(tmp_path / "d.npy", np.array([[1.0, np.nan], [np.inf, -2]]))
    assert images.read_depth(tmp_path / "d.npy", 2.0).tolist() == [[2.0, 0], [0, 0]]
    Image.fromarray(np.array([[1500, 65535], [0, 2]], np.uint16)).save(tmp_path / "d.png")
    np.testing.assert_allclose(
        images.read_depth(tmp_path / "d.png", 1e-3), [[1.5, 0], [0, 0.002]], rtol=1e-6
    )


@pytest.mark.parametrize("option", [{"holdout": 1}, {"downscale": 0}, {"mixed_sizes": "stretch"}])
def test_options_out_of_range(option: dict) -> None:
    with pytest.raises(ConfigError):
        ReadOptions(**option)


def test_a_reduction_larger_than_the_image(ngp: Path) -> None:
    with pytest.raises(SceneError, match="too small"):
        read(ngp, ReadOptions(downscale=40))
