"""Readers of SRN, DVR, DTU and multi-object layouts: what they read, and what they refuse."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from maskfield.core.errors import DataError, SceneError
from maskfield.data.readers import dvr, dvr_dtu, multi_obj, srn
from maskfield.data.readers.object_views import ObjectPlace, object_scene
from maskfield.geometry.camera_paths import look_at
from maskfield.geometry.cameras import opengl_from_opencv

VIEWS, SIDE = 3, 16


def poses(distance: float = 1.3) -> torch.Tensor:
    """OpenCV camera-to-world [view, 4, 4], looking at the origin of a Z-up world."""
    angle = torch.arange(VIEWS) * 1.9
    eye = torch.stack([angle.cos(), angle.sin(), 0.5 + 0 * angle], 1)
    eye = eye / eye.norm(dim=1, keepdim=True) * distance
    full = torch.eye(4).repeat(VIEWS, 1, 1)
    full[:, :3] = look_at(eye, torch.zeros_like(eye))
    return full.double()


def picture(seed: int, *, background: int = 255) -> np.ndarray:
    """A block of colours on columns 4..9, rows 5..11 of a white image."""
    image = np.full((SIDE, SIDE, 3), background, np.uint8)
    image[5:12, 4:10] = np.random.default_rng(seed).integers(0, 200, (7, 6, 3))
    return image


def mask() -> np.ndarray:
    return ((picture(0) != 255).all(-1) * 255).astype(np.uint8)


def save(image: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


def write_srn(folder: Path) -> ObjectPlace:
    for i, pose in enumerate(poses()):
        save(picture(i), folder / "rgb" / f"{i:06d}.png")
        (folder / "pose").mkdir(exist_ok=True)
        (folder / "pose" / f"{i:06d}.txt").write_text(" ".join(f"{v:.9f}" for v in pose.flatten()))
    (folder / "intrinsics.txt").write_text(f"20.0 8.0 7.0 0.\n0. 0. 0.\n1.\n{SIDE} {SIDE}\n")
    return ObjectPlace(name=folder.name, path=folder, near=0.8, far=1.8, radius=0.65)


def write_dvr(folder: Path, *, inverse: bool = True) -> ObjectPlace:
    cameras = {}
    for i, pose in enumerate(poses(2.7).numpy()):
        save(picture(i), folder / "image" / f"{i:04d}.png")
        save(mask(), folder / "mask" / f"{i:04d}.png")
        turned = pose.copy()
        turned[:3] = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]]) @ pose[:3]  # a Y-up world
        cameras[f"camera_mat_{i}"] = np.diag([1.8, 1.8, 1, 1])
        cameras[f"world_mat_{i}"] = np.linalg.inv(turned)[:3]
        if inverse:
            cameras[f"world_mat_inv_{i}"] = turned
    np.savez(folder / "cameras.npz", **cameras)
    return ObjectPlace(name=folder.name, path=folder, near=1.2, far=4.0, radius=0.7)


def write_dtu(folder: Path) -> ObjectPlace:
    cameras = {}
    lens = np.array([[21.0, 0, 7.5], [0, 20.0, 8.5], [0, 0, 1]])
    for i, pose in enumerate(poses(500.0).numpy()):
        save(picture(i, background=90), folder / "image" / f"{i:06d}.png")
        projection = np.eye(4)
        projection[:3] = lens @ np.linalg.inv(pose)[:3]
        cameras[f"world_mat_{i}"] = -projection if i == 1 else projection  # the same camera
        cameras[f"scale_mat_{i}"] = np.diag([200.0, 200, 200, 1])
        cameras[f"scale_mat_{i}"][:3, 3] = 10, -20, 30
    np.savez(folder / "cameras.npz", **cameras)
    return ObjectPlace(name=folder.name, path=folder, near=0.1, far=5.0, radius=1.0, up_known=False)


def write_multi(folder: Path) -> ObjectPlace:
    frames = []
    for i, pose in enumerate(opengl_from_opencv(poses(6.0))):
        rgba = np.concatenate([picture(i), (mask() // 2)[..., None]], axis=-1)
        rgba[..., :3][mask() == 0] = 0
        save(rgba, folder / f"view_{i:03d}_obj.png")
        frames.append({"file_path": f"x/view_{i:03d}.png", "transform_matrix": pose.tolist()})
    head = {"camera_angle_x": 0.8, "frames": frames}
    (folder / "transforms.json").write_text(json.dumps(head))
    return ObjectPlace(name=folder.name, path=folder, near=4.0, far=9.0, radius=2.5)


class TestSRN:
    def test_poses_and_lens_are_the_files_own_and_masks_are_what_is_not_white(self, tmp_path: Path):
        place = write_srn(tmp_path / "a")
        views = srn.read_object(place)
        torch.testing.assert_close(views.poses, poses()[:, :3].float())
        assert views.intrinsics == (20.0, 20.0, 8.0, 7.0)
        np.testing.assert_array_equal((views.masks[0] > 0).numpy(), mask() > 0)
        assert views.boxes.tolist() == [[4, 5, 9, 11]] * VIEWS

    def test_the_scene_is_the_official_one_in_eight_bits(self, tmp_path: Path):
        place = write_srn(tmp_path / "a")
        scene = object_scene(srn.read_object(place), place)
        np.testing.assert_array_equal(scene.images[1], picture(1))
        assert (scene.near, scene.far, scene.up_known) == (0.8, 1.8, True)
        assert set(np.unique(scene.opacity)) == {0, 255}

    def test_a_resized_object_has_a_scaled_lens_and_boxes(self, tmp_path: Path):
        views = srn.read_object(write_srn(tmp_path / "a")).reduced(8)
        assert views.images.shape == (VIEWS, 8, 8, 3)
        assert views.intrinsics == (10.0, 10.0, 4.0, 3.5)
        assert views.boxes[0].tolist() == [2.0, 2.5, 4.5, 5.5]
        mean = torch.from_numpy(picture(0)[4:6, 4:6].astype(np.float32)).mean((0, 1)) / 255
        torch.testing.assert_close(views.images[0, 2, 2], mean)

    def test_world_scale_moves_cameras_and_lengthens_the_lens(self, tmp_path: Path):
        place = write_srn(tmp_path / "a")
        views = srn.read_object(place, world_scale=2.0)
        torch.testing.assert_close(views.poses[:, :, 3], 2 * poses()[:, :3, 3].float())
        assert views.intrinsics[0] == 40.0

    def test_chairs_lie_deeper_and_farther(self, tmp_path: Path):
        write_srn(tmp_path / "chairs_train" / "chairs_2.0_train" / "x")
        write_srn(tmp_path / "chairs_test" / "y")
        train = srn.list_objects(tmp_path / "chairs", "train")
        test = srn.list_objects(tmp_path / "chairs", "test")
        assert [p.name for p in train + test] == ["x", "y"]
        assert (train[0].near, train[0].far) == (1.25, 2.75)

    def test_a_missing_split_is_named(self, tmp_path: Path):
        with pytest.raises(DataError, match=r"cars_val[\s\S]*remedy"):
            srn.list_objects(tmp_path / "cars", "val")

    @pytest.mark.parametrize(
        ("spoil", "words"),
        [
            (lambda f: (f / "pose/000001.txt").unlink(), "unequal numbers"),
            (lambda f: (f / "pose/000001.txt").write_text("1 2 three"), "16 numbers"),
            (lambda f: (f / "pose/000001.txt").write_text("2 " * 16), "not a rotation"),
            (lambda f: (f / "intrinsics.txt").write_text("-5 8 8 0\n"), "focal length"),
            (lambda f: (f / "intrinsics.txt").write_text(""), "line 1"),
            (lambda f: save(np.full((16, 16, 3), 255, np.uint8), f / "rgb/000002.png"), "empty"),
            (lambda f: save(picture(0)[:8], f / "rgb/000002.png"), "different sizes"),
            (lambda f: (f / "rgb/000002.png").write_bytes(b"no"), "000002"),
            (lambda f: [p.unlink() for p in (f / "rgb").iterdir()], "no images"),
        ],
    )
    def test_bad_files_are_named(self, tmp_path: Path, spoil: Callable[[Path], object], words: str):
        place = write_srn(tmp_path / "a")
        spoil(place.path)
        with pytest.raises(SceneError, match=words) as caught:
            srn.read_object(place)
        assert str(place.path) in str(caught.value)

    def test_a_lens_for_other_images_is_refused(self, tmp_path: Path):
        place = write_srn(tmp_path / "a")
        (place.path / "intrinsics.txt").write_text("525 256 256 0\n")
        with pytest.raises(SceneError, match="not for images of this size"):
            object_scene(srn.read_object(place), place)


class TestDVR:
    @pytest.mark.parametrize("inverse", [True, False])
    def test_the_world_is_turned_to_z_up(self, tmp_path: Path, inverse: bool):
        views = dvr.read_object(write_dvr(tmp_path / "a", inverse=inverse))
        torch.testing.assert_close(views.poses, poses(2.7)[:, :3].float(), atol=1e-5, rtol=1e-5)
        assert views.intrinsics == pytest.approx((14.4, 14.4, 8, 8))
        assert views.boxes.tolist() == [[4, 5, 9, 11]] * VIEWS

    def test_lists_by_category(self, tmp_path: Path):
        for name in ("02/a", "02/b", "01/c"):
            write_dvr(tmp_path / name)
        (tmp_path / "02" / "softras_val.lst").write_text("b\na\n\n")
        (tmp_path / "01" / "softras_val.lst").write_text("c\n")
        (tmp_path / "03").mkdir()
        places = dvr.list_objects(tmp_path, "val")
        assert [(p.category, p.name) for p in places] == [("01", "c"), ("02", "b"), ("02", "a")]

    def test_missing_lists_and_objects_are_named(self, tmp_path: Path):
        with pytest.raises(DataError, match=r"gen_test\.lst"):
            dvr.list_objects(tmp_path, "test", "gen_")
        (tmp_path / "02").mkdir()
        (tmp_path / "02" / "softras_test.lst").write_text("gone\n")
        with pytest.raises(DataError, match="gone"):
            dvr.list_objects(tmp_path, "test")

    def test_after_a_view_was_taken_out_the_numbers_count(self, tmp_path: Path):
        place = write_dvr(tmp_path / "a")
        for kind in ("image", "mask"):
            (place.path / kind / "0001.png").unlink()
        views = dvr.read_object(place)
        torch.testing.assert_close(
            views.poses, poses(2.7)[[0, 2], :3].float(), atol=1e-5, rtol=1e-5
        )

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"camera_mat_1": np.diag([1.8, 1.5, 1, 1])}, "camera_mat_1: fy"),
            ({"camera_mat_1": np.diag([1.5, 1.5, 1, 1])}, "focal lengths"),
            ({"camera_mat_0": np.diag([-1.8, 1.8, 1, 1])}, "positive"),
            ({"camera_mat_2": None}, "camera_mat_2"),
            ({"world_mat_inv_2": None, "world_mat_2": None}, "world_mat_2"),
            ({"world_mat_inv_2": None, "world_mat_2": np.zeros((4, 4))}, "inverted"),
            ({"world_mat_inv_2": np.full((4, 4), np.nan)}, "NaN"),
        ],
    )
    def test_bad_cameras_are_named(self, tmp_path: Path, change: dict, words: str):
        place = write_dvr(tmp_path / "a")
        cameras = {**np.load(place.path / "cameras.npz"), **change}
        np.savez(place.path / "cameras.npz", **{k: v for k, v in cameras.items() if v is not None})
        with pytest.raises(SceneError, match=words) as caught:
            dvr.read_object(place)
        assert "cameras.npz" in str(caught.value)

    def test_masks_must_belong_to_the_images(self, tmp_path: Path):
        place = write_dvr(tmp_path / "a")
        save(np.zeros((16, 16), np.uint8), place.path / "mask" / "0001.png")
        with pytest.raises(SceneError, match=r"mask of a view is empty[\s\S]*0001\.png"):
            dvr.read_object(place)
        (place.path / "mask" / "0001.png").unlink()
        with pytest.raises(SceneError, match="unequal"):
            dvr.read_object(place)

    def test_without_masks_or_cameras(self, tmp_path: Path):
        place = write_dvr(tmp_path / "a")
        for file in (place.path / "mask").iterdir():
            file.unlink()
        assert dvr.read_object(place).masks is None
        (place.path / "cameras.npz").write_bytes(b"broken")
        with pytest.raises(SceneError, match=r"cameras\.npz"):
            dvr.read_object(place)


class TestDTU:
    def test_projections_are_taken_apart_and_the_object_fills_the_unit_ball(self, tmp_path: Path):
        views = dvr_dtu.read_object(write_dtu(tmp_path / "scan1"))
        wanted = poses(500.0)[:, :3]
        wanted[:, :, 3] = (wanted[:, :, 3] - torch.tensor([10.0, -20, 30])) / 200
        wanted = wanted * torch.tensor([1.0, -1, -1]).double()[:, None]
        torch.testing.assert_close(views.poses, wanted.float(), atol=1e-5, rtol=1e-5)
        assert views.intrinsics == pytest.approx((21, 20, 7.5, 8.5))
        assert views.masks is None

    def test_points_keep_their_pixels_through_world_from_source(self, tmp_path: Path):
        place = write_dtu(tmp_path / "scan1")
        scene = object_scene(dvr_dtu.read_object(place), place)
        point = torch.tensor([30.0, 40.0, -10.0])
        moved = scene.world_from_source[:3, :3] @ point + scene.world_from_source[:3, 3]
        seen, _ = scene.cameras.project(moved[None])
        projection = np.load(place.path / "cameras.npz")["world_mat_0"][:3]
        x, y, z = projection @ np.array([*point.tolist(), 1.0])
        torch.testing.assert_close(
            seen[0, 0], torch.tensor([x / z, y / z]).float(), atol=1e-3, rtol=0
        )

    def test_validation_scans_are_the_test_set(self, tmp_path: Path):
        write_dtu(tmp_path / "DTU" / "scan1")
        (tmp_path / "DTU" / "new_val.lst").write_text("scan1\n")
        assert dvr_dtu.list_objects(tmp_path, "test") == dvr_dtu.list_objects(tmp_path, "val")

    @pytest.mark.parametrize("key", ["world_mat_1", "scale_mat_1"])
    def test_bad_matrices_are_named(self, tmp_path: Path, key: str):
        place = write_dtu(tmp_path / "scan1")
        cameras = {**np.load(place.path / "cameras.npz"), key: np.zeros((4, 4))}
        np.savez(place.path / "cameras.npz", **cameras)
        with pytest.raises(SceneError, match=key):
            dvr_dtu.read_object(place)

    @pytest.mark.shared
    def test_the_real_scan(self, shared: Path):
        place = ObjectPlace(
            name="scan65", path=shared / "data/dtu/scan65", near=0.1, far=5.0, radius=1.0
        )
        views = dvr_dtu.read_object(place)
        assert views.intrinsics == pytest.approx((723.1, 720.8, 205.8, 154.8), abs=1.5)
        distance = views.poses[:, :, 3].norm(dim=1)
        assert 2 < float(distance.min()) < float(distance.max()) < 3.5


class TestMultipleObjects:
    def test_colours_lie_over_white(self, tmp_path: Path):
        views = multi_obj.read_object(write_multi(tmp_path / "a"))
        alpha = 127 / 255
        inside = torch.from_numpy(picture(0)[5, 4] / 255.0).float()
        torch.testing.assert_close(views.images[0, 5, 4], inside * alpha + 1 - alpha)
        assert views.images[0, 0, 0].tolist() == [1, 1, 1]
        torch.testing.assert_close(views.poses, poses(6.0)[:, :3].float(), atol=1e-6, rtol=1e-6)
        assert views.intrinsics[0] == pytest.approx(8 / np.tan(0.4))

    def test_a_view_of_nothing_has_the_whole_image_as_its_box(self, tmp_path: Path):
        place = write_multi(tmp_path / "a")
        save(np.zeros((SIDE, SIDE, 4), np.uint8), place.path / "view_001_obj.png")
        boxes = multi_obj.read_object(place).boxes
        assert boxes.tolist() == [[4, 5, 9, 11], [0, 0, SIDE, SIDE], [4, 5, 9, 11]]

    def test_folders_of_any_depth_in_order(self, tmp_path: Path):
        for name in ("val/01/a", "val/00/a", "val/b"):
            write_multi(tmp_path / name)
        assert [p.name for p in multi_obj.list_objects(tmp_path, "val")] == ["00-a", "01-a", "b"]
        with pytest.raises(DataError, match=r"transforms\.json"):
            multi_obj.list_objects(tmp_path, "test")

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"camera_angle_x": None}, "camera_angle_x"),
            ({"camera_angle_x": 4.0}, "radians"),
            ({"frames": []}, "frames"),
            ({"frames": [{"file_path": "a.png"}]}, r"frames\[0\]\.transform_matrix"),
            ({"frames": [{"transform_matrix": np.eye(4).tolist()}]}, r"frames\[0\]\.file_path"),
            (
                {"frames": [{"file_path": "gone.png", "transform_matrix": np.eye(4).tolist()}]},
                "gone_obj",
            ),
        ],
    )
    def test_bad_heads_are_named(self, tmp_path: Path, change: dict, words: str):
        place = write_multi(tmp_path / "a")
        file = place.path / "transforms.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
        with pytest.raises(SceneError, match=words):
            multi_obj.read_object(place)
