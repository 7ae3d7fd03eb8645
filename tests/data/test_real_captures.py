"""The readers on real data: geometry must agree with the photographs, the points and the depth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from maskfield.core.errors import SceneError
from maskfield.data.check import check_scene
from maskfield.data.readers.colmap_model import read_model
from maskfield.data.readers.detect import read_any
from maskfield.data.readers.rgbd import backproject
from maskfield.data.scene import Scene, load_scene, save_scene
from maskfield.geometry.cameras import Cameras
from maskfield.geometry.grids import voxel_centres
from maskfield.geometry.se3 import apply
from maskfield.geometry.views import box_hits

pytestmark = pytest.mark.shared


def _data(shared: Path, name: str) -> Path:
    folder = shared / "data" / name
    if not folder.is_dir():
        pytest.skip(f"{name} is not in the shared folder")
    return folder


@pytest.fixture(scope="module")
def fox(shared: Path) -> Scene:
    return read_any(_data(shared, "fox"))


@pytest.fixture(scope="module")
def lego(shared: Path) -> Scene:
    return read_any(_data(shared, "nerf_synthetic/lego"))


@pytest.fixture(scope="module")
def chess(shared: Path) -> Scene:
    return read_any(_data(shared, "colmap/chess_king"), mixed_sizes="crop")


@pytest.fixture(scope="module")
def room(shared: Path) -> Scene:
    return read_any(_data(shared, "rgbd_7scenes"))


@pytest.mark.parametrize(
    ("name", "count", "size"),
    [
        ("fox", 50, (360, 640)),
        ("nerf_synthetic/lego", 145, (200, 200)),
        ("llff/fern", 20, (504, 378)),
        ("nerd/ethiopian_head", 33, (600, 600)),
        ("rgbd_7scenes", 42, (320, 240)),
    ],
)
def test_captures_are_read_and_pass_the_check(
    shared: Path, name: str, count: int, size: tuple[int, int]
) -> None:
    scene = read_any(_data(shared, name))
    assert len(scene) == count
    assert (scene.cameras.width, scene.cameras.height) == size
    report = check_scene(scene)
    assert report.good, report.lines()
    assert report.photo is not None
    assert report.photo > 0.8
    assert report.up_angle < 35


def test_fox_rays_meet_the_box(fox: Scene) -> None:
    hits = box_hits(fox.cameras, fox.box)
    assert float(hits.min()) > 0.4
    assert float(fox.box.mean(0).norm()) < 0.3
    assert fox.unbounded
    assert fox.cameras.distortion is not None


def test_fern_intrinsics_follow_the_image_size(shared: Path) -> None:
    fern = read_any(_data(shared, "llff/fern"))
    assert float(fern.cameras.intrinsics[0, 0]) == pytest.approx(407.566, abs=1e-2)
    assert fern.split["test"] == (0, 8, 16)


def test_nerd_masks_are_read(shared: Path) -> None:
    head = read_any(_data(shared, "nerd/ethiopian_head"), downscale=4)
    assert head.masks is not None
    assert 0.05 < float(head.masks.mean()) < 0.9
    seen = box_hits(head.cameras, head.box)
    assert float(seen.min()) > 0.2


def test_chess_king_needs_the_crop_and_says_so(shared: Path) -> None:
    with pytest.raises(SceneError, match="--mixed-sizes crop"):
        read_any(_data(shared, "colmap/chess_king"))


def test_chess_king_points_reproject(shared: Path, chess: Scene) -> None:
    """The model's own 2-D points (full size) against our cameras (half size, cropped)."""
    model = read_model(_data(shared, "colmap/chess_king") / "sparse" / "0")
    index = {int(p): i for i, p in enumerate(model.ids)}
    points = apply(chess.world_from_source, torch.from_numpy(model.xyz).float())
    uv, depth = chess.cameras.project(points)
    errors = []
    for i, image in enumerate(model.images):
        known = image.point_ids >= 0
        rows = [index[int(p)] for p in image.point_ids[known]]
        measured = torch.from_numpy(image.points[known].copy()).float() / 2
        errors.append((uv[i, rows] - measured).norm(dim=-1))
        assert bool((depth[i, rows] > 0).all())
    assert float(torch.cat(errors).median()) < 0.3  # the README says 0.25 px at full size
    assert check_scene(chess).good


def _visual_hull(scene: Scene, resolution: int) -> torch.Tensor:
    assert scene.opacity is not None
    points = voxel_centres(scene.box, (resolution,) * 3).reshape(-1, 3)
    inside = torch.ones(len(points), dtype=torch.bool)
    for i in scene.indices("train")[::2]:
        uv, _ = scene.cameras[i].project(points)
        u, v = uv[0].floor().long().unbind(-1)
        valid = (u >= 0) & (u < scene.cameras.width) & (v >= 0) & (v < scene.cameras.height)
        alpha = torch.from_numpy(scene.opacity[i])[v.clamp(0, 199), u.clamp(0, 199)]
        inside &= valid & (alpha > 25)
    return points[inside]


def test_lego_visual_hull_fills_the_test_silhouettes(lego: Scene) -> None:
    assert lego.opacity is not None
    hull = _visual_hull(lego, 64)
    assert 2000 < len(hull) < 60_000
    view = lego.indices("test")[0]
    uv, _ = lego.cameras[view].project(hull)
    u, v = uv[0].floor().long().unbind(-1)
    covered = torch.zeros(200, 200)
    covered[v, u] = 1
    grown = torch.nn.functional.max_pool2d(covered[None], 5, 1, 2)[0].bool()
    truth = torch.from_numpy(lego.opacity[view] > 25)
    overlap = float((grown & truth).sum() / (grown | truth).sum())
    assert overlap > 0.8


def _warp_errors(cameras: Cameras, depths: np.ndarray, a: int, b: int) -> torch.Tensor:
    points, _ = backproject(cameras[a], depths[a : a + 1], 3000)
    uv, z = cameras[b].project(points)
    u, v = uv[0].floor().long().unbind(-1)
    valid = (u >= 0) & (u < cameras.width) & (v >= 0) & (v < cameras.height) & (z[0] > 0)
    there = torch.from_numpy(depths[b])[v[valid], u[valid]]
    return (there - z[0][valid])[there > 0].abs()


def test_depth_of_neighbouring_frames_agrees(room: Scene) -> None:
    assert room.depths is not None
    assert room.metric
    errors = torch.cat(
        [_warp_errors(room.cameras, room.depths, i, i + 1) for i in range(len(room) - 1)]
    )
    assert float(errors.median()) < 0.02


def test_most_measured_surfaces_lie_in_the_box(room: Scene) -> None:
    assert room.depths is not None
    points, _ = backproject(room.cameras, room.depths, 500)
    inside = ((points > room.box[0]) & (points < room.box[1])).all(1)
    assert float(inside.float().mean()) > 0.9


def test_a_read_scene_opens_again(fox: Scene, tmp_path: Path) -> None:
    back = load_scene(save_scene(fox, tmp_path))
    assert np.array_equal(back.images[7], fox.images[7])
    torch.testing.assert_close(back.cameras.camera_to_world, fox.cameras.camera_to_world)
