"""NeRF-synthetic, LLFF, COLMAP and RGB-D folders, read back against the truth they came from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from maskfield.core.errors import SceneError
from maskfield.data.readers import colmap, llff, nerf_synthetic, rgbd
from maskfield.data.readers.colmap_model import read_model
from maskfield.data.readers.detect import detect, read_any
from maskfield.data.readers.options import ReadOptions
from maskfield.data.scene import Scene
from maskfield.geometry.cameras import opengl_from_opencv
from maskfield.geometry.se3 import apply, similarity_scale


def assert_same_up_to(scene: Scene, truth: Scene) -> None:
    """world_from_source maps the true cameras onto the scene's, and images stay with them."""
    centres = apply(scene.world_from_source, truth.cameras.centres)
    torch.testing.assert_close(scene.cameras.centres, centres, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(
        scene.cameras.intrinsics, truth.cameras.intrinsics, atol=1e-3, rtol=1e-4
    )
    turn = scene.world_from_source[:3, :3] / similarity_scale(scene.world_from_source)
    torch.testing.assert_close(
        scene.cameras.forward_axes, truth.cameras.forward_axes @ turn.T, atol=1e-4, rtol=0
    )
    assert np.array_equal(scene.images, truth.images)


# ---------------------------------------------------------------- NeRF-synthetic


@pytest.fixture
def blender(ring: Scene, tmp_path: Path) -> Path:
    """Six training, two validation, one test view, RGBA with a transparent left edge."""
    bottom = torch.tensor([[[0.0, 0, 0, 1]]]).expand(len(ring), 1, 4)
    poses = opengl_from_opencv(torch.cat([ring.cameras.camera_to_world, bottom], 1)).tolist()
    angle = float(2 * torch.atan(torch.tensor(32.0 / 70)))
    for name, views in {"train": range(6), "val": (6, 7), "test": (8,)}.items():
        (tmp_path / name).mkdir()
        frames = []
        for i in views:
            alpha = np.full((48, 64, 1), 255, np.uint8)
            alpha[:, :5] = 0
            rgba = np.concatenate([ring.images[i], alpha], -1)
            Image.fromarray(rgba).save(tmp_path / name / f"r_{i}.png")
            frames.append({"file_path": f"./{name}/r_{i}", "transform_matrix": poses[i]})
        head = {"camera_angle_x": angle, "frames": frames}
        (tmp_path / f"transforms_{name}.json").write_text(json.dumps(head))
    return tmp_path


def test_nerf_synthetic(blender: Path, ring: Scene) -> None:
    scene = nerf_synthetic.read(blender)
    assert_same_up_to(scene, ring)
    assert scene.split == {"train": (0, 1, 2, 3, 4, 5), "val": (6, 7), "test": (8,)}
    assert scene.opacity is not None
    assert (scene.opacity[:, :, :5] == 0).all()
    assert (scene.near, scene.far, scene.unbounded) == (2.0, 6.0, False)
    torch.testing.assert_close(scene.box, torch.tensor([[-1.5] * 3, [1.5] * 3]))


def test_nerf_synthetic_without_test_views_holds_out(blender: Path) -> None:
    (blender / "transforms_val.json").unlink()
    (blender / "transforms_test.json").unlink()
    assert nerf_synthetic.read(blender, ReadOptions(holdout=3)).split["test"] == (0, 3)


def test_nerf_synthetic_needs_training_views(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match="no training cameras"):
        nerf_synthetic.read(tmp_path)


# ---------------------------------------------------------------- LLFF


def test_llff(llff_folder: Path, ring: Scene) -> None:
    scene = llff.read(llff_folder)
    assert_same_up_to(scene, ring)
    assert float((scene.box[1] - scene.box[0]).max()) == pytest.approx(2.0, abs=1e-4)
    assert float(scene.box.mean(0).norm()) < 1e-4
    scale = similarity_scale(scene.world_from_source)
    assert scene.near == pytest.approx(2.0 * 0.9 * scale, rel=1e-4)
    assert scene.unbounded
    assert not scene.up_known
    assert scene.split["test"] == (0, 8)


def test_llff_masks_and_image_choice(llff_folder: Path, ring: Scene) -> None:
    (llff_folder / "masks").mkdir()
    mask = np.zeros((48, 64), np.uint8)
    mask[20:30] = 255
    Image.fromarray(mask).save(llff_folder / "masks" / "view_03.png")
    scene = llff.read(llff_folder, ReadOptions(images="images_2"))
    assert scene.masks is not None
    assert scene.masks[3].sum() == 640
    with pytest.raises(SceneError, match="image folder"):
        llff.read(llff_folder, ReadOptions(images="images_16"))


def test_llff_refuses_another_number_of_images(llff_folder: Path) -> None:
    (llff_folder / "images_2" / "view_00.png").unlink()
    with pytest.raises(SceneError, match="8 images, 9 rows"):
        llff.read(llff_folder)


@pytest.mark.parametrize("damage", ["short", "bounds", "columns", "nan"])
def test_llff_refuses_bad_tables(llff_folder: Path, damage: str) -> None:
    file = llff_folder / "poses_bounds.npy"
    table = np.load(file)
    if damage == "short":
        file.write_bytes(file.read_bytes()[:200])
    elif damage == "bounds":
        table[4, 15:] = [5, 1]
        np.save(file, table)
    elif damage == "columns":
        np.save(file, table[:, :15])
    else:
        table[2, 0] = np.nan
        np.save(file, table)
    with pytest.raises(SceneError, match="poses_bounds"):
        llff.read(llff_folder)


# ---------------------------------------------------------------- COLMAP


def test_colmap_text(colmap_text: Any, ring: Scene) -> None:
    scene = colmap.read(colmap_text.folder)
    assert_same_up_to(scene, ring)
    assert scene.cameras.distortion is not None
    assert float(scene.cameras.distortion[0, 0]) == pytest.approx(0.01)


def test_colmap_binary(colmap_binary: Any, ring: Scene) -> None:
    scene = colmap.read(colmap_binary.model)
    assert_same_up_to(scene, ring)
    assert scene.cameras.distortion is None
    points = apply(scene.world_from_source, colmap_binary.points)
    assert bool(((points > scene.box[0]) & (points < scene.box[1])).all(1).float().mean() > 0.85)
    assert scene.near is not None
    assert scene.far is not None
    assert scene.near < 2 * similarity_scale(scene.world_from_source) < scene.far


def test_colmap_points_reproject(colmap_binary: Any) -> None:
    model = read_model(colmap_binary.model)
    scene = colmap.read(colmap_binary.folder)
    points = apply(scene.world_from_source, torch.from_numpy(model.xyz).float())
    uv, _ = scene.cameras.project(points)
    for i, image in enumerate(model.images):
        torch.testing.assert_close(
            uv[i], torch.from_numpy(image.points.copy()).float(), atol=0.01, rtol=0
        )


def test_colmap_reduced_copies_scale_the_intrinsics(colmap_binary: Any, ring: Scene) -> None:
    folder = colmap_binary.folder / "images_2"
    folder.mkdir()
    for name, image in zip(ring.names, ring.images, strict=True):
        Image.fromarray(image[::2, ::2]).save(folder / name)
    scene = colmap.read(colmap_binary.folder, ReadOptions(images="images_2"))
    torch.testing.assert_close(scene.cameras.intrinsics, ring.cameras.intrinsics / 2)


@pytest.mark.parametrize("name", ["cameras.bin", "images.bin", "points3D.bin"])
def test_colmap_truncated_or_missing(colmap_binary: Any, name: str) -> None:
    file = colmap_binary.model / name
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(SceneError, match="truncated") as caught:
        colmap.read(colmap_binary.folder)
    assert caught.value.file == str(file)
    if name != "images.bin":
        file.unlink()
        with pytest.raises(SceneError, match="missing"):
            colmap.read(colmap_binary.folder)


def test_colmap_fisheye_is_refused(colmap_text: Any) -> None:
    file = colmap_text.model / "cameras.txt"
    file.write_text(file.read_text().replace("OPENCV", "OPENCV_FISHEYE"))
    with pytest.raises(SceneError, match="OPENCV_FISHEYE"):
        colmap.read(colmap_text.folder)


@pytest.mark.parametrize(
    ("model", "params", "k1"),
    [
        ("SIMPLE_PINHOLE", "70 32 24", 0.0),
        ("PINHOLE", "70 70 32 24", 0.0),
        ("SIMPLE_RADIAL", "70 32 24 0.02", 0.02),
        ("RADIAL", "70 32 24 0.02 -0.01", 0.02),
    ],
)
def test_colmap_lenses(colmap_text: Any, ring: Scene, model: str, params: str, k1: float) -> None:
    (colmap_text.model / "cameras.txt").write_text(f"1 {model} 64 48 {params}\n")
    cameras = colmap.read(colmap_text.folder).cameras
    torch.testing.assert_close(cameras.intrinsics, ring.cameras.intrinsics)
    assert (cameras.distortion is None) == (k1 == 0)
    if cameras.distortion is not None:
        assert float(cameras.distortion[0, 0]) == pytest.approx(k1)


# ---------------------------------------------------------------- RGB-D


def test_rgbd(rgbd_folder: Path, ring: Scene) -> None:
    scene = rgbd.read(rgbd_folder)
    assert_same_up_to(scene, ring)
    assert scene.metric
    assert not scene.up_known
    assert similarity_scale(scene.world_from_source) == pytest.approx(1.0)
    assert scene.depths is not None
    assert scene.depths[0, 0, 0] == 0
    difference = np.abs(scene.depths - ring.depths)[:, 1:]  # type: ignore[operator]
    assert difference.max() <= 0.000501
    assert float(scene.box[0, 2]) < -0.75  # the floor lies inside


def test_rgbd_depth_survives_a_round_trip_through_space(rgbd_folder: Path) -> None:
    scene = rgbd.read(rgbd_folder)
    assert scene.depths is not None
    points, depth = rgbd.backproject(scene.cameras[:1], scene.depths[:1], 500)
    uv, z = scene.cameras[:1].project(points)
    torch.testing.assert_close(z[0], depth, atol=1e-4, rtol=0)
    index = (uv[0] - 0.5).round().long()
    stored = torch.from_numpy(scene.depths[0])[index[:, 1], index[:, 0]]
    torch.testing.assert_close(stored, depth)


@pytest.mark.parametrize("missing", ["camera-intrinsics.txt", "frame-000003.depth.png"])
def test_rgbd_missing_files(rgbd_folder: Path, missing: str) -> None:
    (rgbd_folder / missing).unlink()
    with pytest.raises(SceneError, match=missing):
        rgbd.read(rgbd_folder)


@pytest.mark.parametrize("text", ["1 2 3", "a b", "nan 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1"])
def test_rgbd_bad_poses(rgbd_folder: Path, text: str) -> None:
    (rgbd_folder / "frame-000002.pose.txt").write_text(text)
    with pytest.raises(SceneError):
        rgbd.read(rgbd_folder)


def test_rgbd_without_depth_values(rgbd_folder: Path) -> None:
    for file in rgbd_folder.glob("*.depth.png"):
        Image.fromarray(np.zeros((48, 64), np.uint16)).save(file)
    with pytest.raises(SceneError, match="almost no valid"):
        rgbd.read(rgbd_folder)


# ---------------------------------------------------------------- detection


def test_every_layout_is_recognised(
    ngp: Path, colmap_text: Any, blender: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert detect(ngp) == "transforms_json"
    ngp.unlink()  # the fixtures share one folder: the next kind comes to light
    assert detect(blender) == "nerf_synthetic"
    (blender / "transforms_train.json").unlink()
    assert detect(colmap_text.folder) == detect(colmap_text.model) == "colmap"
    empty = tmp_path_factory.mktemp("empty")
    with pytest.raises(SceneError, match=r"poses_bounds\.npy") as caught:
        read_any(empty)
    assert "transforms.json" in str(caught.value)


def test_read_any_passes_the_options(llff_folder: Path) -> None:
    scene = read_any(llff_folder, holdout=2, downscale=2)
    assert (scene.cameras.width, scene.cameras.height) == (32, 24)
    assert scene.split["test"] == (0, 2, 4, 6, 8)


def test_read_any_names_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match="no such file"):
        read_any(tmp_path / "nothing")
    (tmp_path / "film.mp4").write_bytes(b"")
    with pytest.raises(SceneError, match="no reader"):
        read_any(tmp_path / "film.mp4")
