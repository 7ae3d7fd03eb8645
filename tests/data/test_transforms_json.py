"""transforms.json of instant-ngp and nerfstudio: what comes in, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from maskfield.core.errors import DataError, SceneError
from maskfield.data.readers.options import ReadOptions
from maskfield.data.readers.transforms_json import read
from maskfield.data.scene import Scene
from maskfield.geometry.se3 import apply

Edit = Callable[[Path, Callable[[dict], None]], Path]


def test_instant_ngp_keeps_its_world(ngp: Path, ring: Scene) -> None:
    scene = read(ngp)
    torch.testing.assert_close(scene.cameras.camera_to_world, ring.cameras.camera_to_world)
    torch.testing.assert_close(scene.cameras.intrinsics, ring.cameras.intrinsics)
    assert np.array_equal(scene.images, ring.images)
    assert torch.equal(scene.world_from_source, torch.eye(4))
    assert scene.unbounded
    assert scene.up_known
    assert scene.split == {"train": tuple(range(1, 8)), "test": (0, 8)}


def test_the_box_is_where_the_cameras_look(ngp: Path) -> None:
    box = read(ngp).box
    assert float(box.mean(0).norm()) < 0.1
    assert 0.7 < float(box[1, 0]) < 1.5


@pytest.mark.parametrize(("aabb_scale", "unbounded"), [(1, False), (4, True)])
def test_scale_and_offset_give_the_unit_cube(
    ngp: Path, edit: Edit, aabb_scale: int, unbounded: bool
) -> None:
    scale = {"scale": 0.25, "offset": [0.5, 0.4, 0.5], "aabb_scale": aabb_scale}
    scene = read(edit(ngp, lambda d: d.update(scale)))
    expected = torch.tensor([[-2.0, -1.6, -2], [2.0, 2.4, 2]])
    torch.testing.assert_close(scene.box, expected)
    assert scene.unbounded is unbounded


def test_aabb_scale_one_is_instant_ngps_default_cube(ngp: Path, edit: Edit) -> None:
    scene = read(edit(ngp, lambda d: d.update(aabb_scale=1)))
    torch.testing.assert_close(scene.box[1], torch.full((3,), 0.5 / 0.33))
    assert not scene.unbounded


def test_a_field_of_view_alone_needs_no_size(ngp: Path, edit: Edit, ring: Scene) -> None:
    def only_angle(d: dict) -> None:
        for key in ("fl_x", "fl_y", "cx", "cy", "w", "h"):
            del d[key]
        d["camera_angle_x"] = 2 * math.atan(0.5 * 64 / 70)

    scene = read(edit(ngp, only_angle))
    torch.testing.assert_close(scene.cameras.intrinsics, ring.cameras.intrinsics)


def test_intrinsics_for_another_size_are_scaled(ngp: Path, edit: Edit, ring: Scene) -> None:
    full = {"fl_x": 280.0, "fl_y": 280.0, "cx": 128.0, "cy": 96.0, "w": 256, "h": 192}
    scene = read(edit(ngp, lambda d: d.update(full)))
    torch.testing.assert_close(scene.cameras.intrinsics, ring.cameras.intrinsics)


def test_frames_override_the_head_and_distortion_is_kept(ngp: Path, edit: Edit) -> None:
    def change(d: dict) -> None:
        d.update(k1=0.05, k2=-0.02, p1=1e-3, p2=2e-3, k3=0.01)
        d["frames"][2].update(fl_x=75.0, k1=0.1)

    cameras = read(edit(ngp, change)).cameras
    assert float(cameras.intrinsics[2, 0]) == 75.0
    assert float(cameras.intrinsics[1, 0]) == 70.0
    assert cameras.distortion is not None
    expected = torch.tensor([0.1, -0.02, 1e-3, 2e-3, 0.01])
    torch.testing.assert_close(cameras.distortion[2], expected)


def test_extensions_may_be_missing(ngp: Path, edit: Edit, ring: Scene) -> None:
    def strip(d: dict) -> None:
        for frame in d["frames"]:
            frame["file_path"] = frame["file_path"].removesuffix(".png")

    assert np.array_equal(read(edit(ngp, strip)).images, ring.images)


def test_nerfstudio_is_turned_upright_and_remembers_its_source(
    ngp: Path, edit: Edit, ring: Scene
) -> None:
    y_up = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
    applied = [[0.0, 1, 0, 0.5], [-1, 0, 0, 0], [0, 0, 1, 0]]

    def change(d: dict) -> None:
        del d["aabb_scale"]
        d.update(camera_model="OPENCV", applied_transform=applied)
        for frame in d["frames"]:
            frame["transform_matrix"] = (y_up @ frame["transform_matrix"]).tolist()

    scene = read(edit(ngp, change))
    assert not scene.up_known
    heights = scene.cameras.centres[:, 2]
    torch.testing.assert_close(heights, ring.cameras.centres[:, 2], atol=0.02, rtol=0)
    # a centre in the frame before applied_transform comes to the scene through world_from_source
    y_up_centre = torch.tensor(y_up[:3, :3]).float() @ ring.cameras.centres[4]
    matrix = torch.tensor(applied)
    before = matrix[:, :3].T @ (y_up_centre - matrix[:, 3])
    torch.testing.assert_close(
        apply(scene.world_from_source, before), scene.cameras.centres[4], atol=1e-4, rtol=1e-4
    )


def test_nerfstudio_split_names_are_used(ngp: Path, edit: Edit) -> None:
    def change(d: dict) -> None:
        names = [f["file_path"] for f in d["frames"]]
        d.update(train_filenames=names[2:], val_filenames=names[:2], test_filenames=names[:2])

    assert read(edit(ngp, change)).split["val"] == (0, 1)


def test_masks_and_depth(ngp: Path, edit: Edit, ring: Scene) -> None:
    mask = np.full((48, 64), 255, np.uint8)
    mask[:10] = 0
    Image.fromarray(mask).save(ngp.parent / "mask.png")
    np.save(ngp.parent / "depth.npy", ring.depths[3])  # type: ignore[index]

    def change(d: dict) -> None:
        d["frames"][3].update(mask_path="mask.png", depth_file_path="depth.npy")
        d["depth_unit_scale_factor"] = 1.0

    scene = read(edit(ngp, change))
    assert scene.masks is not None
    assert scene.depths is not None
    assert scene.masks[3].sum() == 38 * 64
    assert scene.masks[0].all()
    np.testing.assert_allclose(scene.depths[3], ring.depths[3])  # type: ignore[index]


def test_rgba_becomes_opacity(ngp: Path, ring: Scene) -> None:
    alpha = np.full((48, 64, 1), 255, np.uint8)
    alpha[:, :20] = 0
    rgba = np.concatenate([ring.images[0], alpha], axis=-1)
    Image.fromarray(rgba).save(ngp.parent / "images" / ring.names[0])
    scene = read(ngp)
    assert scene.opacity is not None
    assert (scene.opacity[0] == alpha[..., 0]).all()
    assert (scene.opacity[1] == 255).all()


def test_mitsuba_worlds_are_turned(ngp: Path, edit: Edit, ring: Scene) -> None:
    """instant-ngp cycles (x, y, z) to (y, z, x); mitsuba files are in that frame."""

    def change(d: dict) -> None:
        d["from_mitsuba"] = True
        for frame in d["frames"]:
            pose = np.array(frame["transform_matrix"])
            pose[:, [0, 2]] *= -1  # OpenGL (right, up, back) to (left, up, front)
            frame["transform_matrix"] = pose[[1, 2, 0, 3]].tolist()

    scene = read(edit(ngp, change))
    torch.testing.assert_close(scene.cameras.camera_to_world, ring.cameras.camera_to_world)


BAD: dict[str, tuple[Callable[[dict], object], str]] = {
    "zero cameras": (lambda d: d.update(frames=[]), "no cameras"),
    "no frames key": (lambda d: d.pop("frames"), "no cameras"),
    "missing image": (lambda d: d["frames"][1].update(file_path="no.png"), "missing"),
    "NaN": (lambda d: d["frames"][1]["transform_matrix"][0].__setitem__(0, math.nan), "frame 1"),
    "not a rotation": (
        lambda d: d["frames"][1]["transform_matrix"][0].__setitem__(0, 3.0),
        "not a rotation",
    ),
    "ragged": (lambda d: d["frames"][1].update(transform_matrix=[[1, 2], [3]]), "3 x 4"),
    "no matrix": (lambda d: d["frames"][1].pop("transform_matrix"), "transform_matrix"),
    "fisheye": (lambda d: d.update(camera_model="OPENCV_FISHEYE"), "camera_model"),
    "instant-ngp fisheye": (lambda d: d.update(is_fisheye=True), "is_fisheye"),
    "k4": (lambda d: d.update(k4=0.1), "k4"),
    "no focal": (lambda d: (d.pop("fl_x"), d.pop("fl_y")), "focal"),
    "text focal": (lambda d: d.update(fl_x="long"), "fl_x"),
    "negative focal": (lambda d: d.update(fl_x=-5.0), "positive focal"),
    "pixels without size": (lambda d: (d.pop("w"), d.pop("h")), "w, h"),
    "other shape": (lambda d: d.update(w=48, h=64), "another shape"),
    "wild distortion": (lambda d: d.update(k1=-9.0), "cannot be inverted"),
    "text scale": (lambda d: d.update(scale="big"), "cannot be used"),
    "ragged room": (lambda d: d.update(room_bbox=[[0, 1], [2, 3, 4]]), "cannot be used"),
    "split of nothing": (lambda d: d.update(train_filenames=[3], test_filenames=5), "cannot be"),
    "damaged own key": (lambda d: d.update(maskfield={}), "cannot be used"),
    "box nobody sees": (
        lambda d: d.update(scale=1.0, offset=[500.0, 0, 0], aabb_scale=1),
        "no camera sees",
    ),
}


def test_a_box_nobody_sees_names_the_probable_cause(ngp: Path, edit: Edit, ring: Scene) -> None:
    def opencv_axes(d: dict) -> None:
        d.update(scale=1.0, offset=[0.5, 0.5, 0.5], aabb_scale=1)
        for frame, pose in zip(d["frames"], ring.cameras.camera_to_world.tolist(), strict=True):
            frame["transform_matrix"] = [*pose, [0.0, 0, 0, 1]]

    edit(ngp, opencv_axes)
    with pytest.raises(SceneError, match="axes are OpenGL's") as caught:
        read(ngp)
    assert "negate" in caught.value.remedy


@pytest.mark.parametrize("case", BAD)
def test_bad_files_get_typed_errors(ngp: Path, edit: Edit, case: str) -> None:
    how, message = BAD[case]
    edit(ngp, lambda d: how(d) and None)
    with pytest.raises(SceneError, match=message) as caught:
        read(ngp)
    assert caught.value.remedy
    assert caught.value.file


def test_files_that_are_not_json(tmp_path: Path) -> None:
    (tmp_path / "transforms.json").write_text("{ half")
    with pytest.raises(DataError, match="not valid JSON"):
        read(tmp_path)
    with pytest.raises(DataError, match="not found"):
        read(tmp_path / "absent.json")


@pytest.mark.parametrize("head", ["[]", "3", '{"frames": [7]}'])
def test_json_of_another_kind(tmp_path: Path, head: str) -> None:
    (tmp_path / "transforms.json").write_text(head)
    with pytest.raises(SceneError):
        read(tmp_path)


def test_small_deviations_from_a_rotation_are_mended(ngp: Path, edit: Edit) -> None:
    def shake(d: dict) -> None:
        for frame in d["frames"]:
            frame["transform_matrix"][0][1] += 3e-4

    rotation = read(edit(ngp, shake)).cameras.camera_to_world[:, :, :3]
    gram = rotation.transpose(1, 2) @ rotation
    torch.testing.assert_close(gram, torch.eye(3).expand_as(gram), atol=1e-6, rtol=0)


def test_the_holdout_is_an_option(ngp: Path) -> None:
    assert read(ngp, ReadOptions(holdout=0)).split["test"] == ()
    assert read(ngp, ReadOptions(holdout=3)).split["test"] == (0, 3, 6)
