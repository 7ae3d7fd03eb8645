from __future__ import annotations

import json
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.linalg import rq

from maskfield.core.errors import DataError, SceneError
from maskfield.data.preparation.options import PrepareOptions
from maskfield.data.preparation.sunrgbd import (
    camera_to_world,
    decode_depth,
    prepare,
    read_annotation,
)
from maskfield.data.readers.rgbd import lift
from maskfield.data.readers.transforms_json import read as read_transforms

from .conftest import load, picture

OPTIONS = PrepareOptions(longest=64, val=0, test=0)
TILT = 0.2  # the camera looks down by so much


def levelling(tilt: float = TILT) -> np.ndarray:
    """Camera axes (x right, y down, z forward) to the levelled ones."""
    cos, sin = math.cos(tilt), math.sin(tilt)
    return np.array([[1, 0, 0], [0, cos, sin], [0, -sin, cos]])


def polygon(centre: tuple[float, ...], size: tuple[float, ...], yaw: float) -> dict:
    x, y, z = centre
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) / 2 * size[:2]
    turn = np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])
    floor = corners @ turn.T + [x, y]
    return {
        "X": floor[:, 0].tolist(),
        "Z": floor[:, 1].tolist(),
        "Ymin": -(z - size[2] / 2),
        "Ymax": -(z + size[2] / 2),
    }


OBJECTS = [
    {"name": "bed", "polygon": [polygon((0.2, 3.0, -0.6), (1.6, 2.0, 0.6), 0.5)]},
    {"name": "chair:occluded", "polygon": [polygon((-0.8, 2.2, -0.5), (0.5, 0.5, 0.8), -0.2)]},
    {"name": "wall", "polygon": [polygon((0, 4, 0), (3, 0.1, 2), 0)]},
    {"name": "flat", "polygon": [polygon((0, 3, 0), (1, 0, 1), 0)]},
    None,
    {"name": "empty", "polygon": []},
]


def view(folder: Path, objects: object = OBJECTS) -> Path:
    """A level floor 1 m below the camera, seen by a camera that looks down a little."""
    w, h, f = 40, 30, 30.0
    picture(folder / "image" / "0001.jpg", (w, h))
    v, u = np.mgrid[:h, :w] + 0.5
    rays = np.stack([(u - w / 2) / f, (v - h / 2) / f, np.ones_like(u)], -1)
    down = (rays @ levelling().T)[..., 1]
    depth = np.where(down > 0.15, 1 / np.maximum(down, 1e-6), 0)
    millimetres = np.rint(depth * 1000).astype(np.uint16)
    (folder / "depth_bfx").mkdir()
    Image.fromarray((millimetres << 3) | (millimetres >> 13)).save(folder / "depth_bfx/0001.png")
    (folder / "intrinsics.txt").write_text(f"{f} 0 {w / 2} 0 {f} {h / 2} 0 0 1\n")
    (folder / "extrinsics").mkdir()
    np.savetxt(folder / "extrinsics/20150118.txt", np.c_[levelling(), np.zeros(3)])
    (folder / "annotation3Dfinal").mkdir()
    (folder / "annotation3Dfinal/index.json").write_text(json.dumps({"objects": objects}))
    return folder


@pytest.fixture
def source(tmp_path: Path) -> Path:
    view(tmp_path / "source/kv2/000002_a")
    return tmp_path / "source"


def test_depth_codes_are_rotated_back() -> None:
    millimetres = np.array([0, 1, 1234, 7999, 65535], np.uint16)
    np.testing.assert_array_equal(
        decode_depth((millimetres << 3) | (millimetres >> 13)), millimetres
    )


def test_a_level_camera_looks_along_y_with_z_up() -> None:
    pose = camera_to_world(np.eye(3))
    np.testing.assert_allclose(-pose[:3, 2], [0, 1, 0])  # OpenGL cameras look along -z
    np.testing.assert_allclose(pose[:3, 1], [0, 0, 1])
    assert np.linalg.det(pose[:3, :3]) == pytest.approx(1)


def test_annotations_become_world_boxes(source: Path) -> None:
    rows, labels, dropped = read_annotation(source / "kv2/000002_a/annotation3Dfinal/index.json")
    assert labels == ["bed", "chair", "wall"]
    assert dropped == {"box: without area or height": 1, "box: empty entry": 2}
    torch.testing.assert_close(
        rows[0], torch.tensor([0.2, 3.0, -0.6, 1.6, 2.0, 0.6, 0.5]).double(), atol=1e-6, rtol=0
    )


def test_the_view_its_floor_and_its_boxes_agree(source: Path, tmp_path: Path) -> None:
    (scene,) = prepare(source, tmp_path / "out", OPTIONS).scenes
    assert scene.name == "kv2-000002_a"
    assert scene.dropped == {
        "box: without area or height": 1,
        "box: empty entry": 2,
        "box: label excluded": 1,
    }
    prepared = read_transforms(tmp_path / "out/scenes/kv2-000002_a/train")
    assert prepared.depths is not None
    pixel = torch.tensor([[20.5, 25.5]])
    ray = prepared.cameras.rays(torch.tensor([0]), pixel)
    along = (ray.directions * prepared.cameras.forward_axes).sum(-1)
    point = ray.origins + ray.directions * float(prepared.depths[0, 25, 20]) / along
    assert float(point[0, 2]) == pytest.approx(-1, abs=2e-3)  # on the floor
    assert float(prepared.box[0, 2]) == pytest.approx(-1, abs=0.01)
    obb = load(tmp_path / "out/obb/kv2-000002_a.npy")
    size = torch.tensor(scene.resolution) / (prepared.box[1] - prepared.box[0])
    centre = (torch.tensor([0.2, 3.0, -0.6]) - prepared.box[0]) * size
    np.testing.assert_allclose(obb[0, :3], centre.numpy(), atol=1e-3)
    assert obb[0, 6] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("objects", "word"),
    [
        ([{"name": "a", "polygon": [{"X": [1, 2, 3, 4]}]}], "objects[0]"),
        (
            [
                None,
                {"name": "a", "polygon": [{**polygon((0, 1, 0), (1, 1, 1), 0), "Ymin": math.nan}]},
            ],
            "objects[1]",
        ),
        ("none", "lists no objects"),
    ],
)
def test_bad_annotations_name_the_object(tmp_path: Path, objects: object, word: str) -> None:
    view(tmp_path / "source/a", objects)
    with pytest.raises(DataError) as caught:
        prepare(tmp_path / "source", tmp_path / "out", OPTIONS)
    assert word in str(caught.value)


@pytest.mark.parametrize(
    "name", ["intrinsics.txt", "extrinsics/20150118.txt", "image/0001.jpg", "depth_bfx/0001.png"]
)
def test_missing_files_are_typed_errors(source: Path, tmp_path: Path, name: str) -> None:
    (source / "kv2/000002_a" / name).unlink()
    with pytest.raises(SceneError):
        prepare(source, tmp_path / "out", OPTIONS)


def test_views_without_boxes_are_left_out(source: Path, tmp_path: Path) -> None:
    view(source / "b", [None])
    assert prepare(source, tmp_path / "out", OPTIONS).left_out == {"b": "it has no boxes"}


class NumpyOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] != "numpy" and (module, name) != ("_codecs", "encode"):
            raise pickle.UnpicklingError(f"{module}.{name}")
        return super().find_class(module, name)


@pytest.mark.shared
def test_a_real_view_gives_its_published_points_back(shared: Path, tmp_path: Path) -> None:
    """The points as published (x right, y forward, z up) -> raw files -> prepared -> the points."""
    data = shared / "data" / "sunrgbd_000017"
    info = NumpyOnly((data / "sunrgbd_000017_infos.pkl").open("rb")).load()["data_list"][0]
    projection = np.array(info["images"]["CAM0"]["depth2img"])
    k, turn = (m * s for m, s in zip(*signed_rq(projection), strict=True))
    points = np.fromfile(data / "000017.bin", np.float32).reshape(-1, 6)[:, :3].astype(np.float64)
    u, v, depth = projection @ points.T
    column, row = (u / depth).astype(int), (v / depth).astype(int)
    codes = np.zeros((530, 730), np.uint16)
    codes[row, column] = np.rint(depth * 1000)
    folder = view(tmp_path / "source" / "real", [OBJECTS[0]])
    picture(folder / "image" / "0001.jpg", (730, 530))
    Image.fromarray((codes << 3) | (codes >> 13)).save(folder / "depth_bfx/0001.png")
    np.savetxt(folder / "intrinsics.txt", k.reshape(1, 9))
    level_from_world = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    np.savetxt(folder / "extrinsics/20150118.txt", level_from_world @ turn.T)
    prepare(tmp_path / "source", tmp_path / "out", OPTIONS)
    found = read_transforms(tmp_path / "out/scenes/real/train")
    assert found.depths is not None
    pixels = torch.tensor(np.stack([column, row], -1) + 0.5).float()
    again = lift(
        found.cameras,
        torch.zeros(len(pixels), dtype=torch.long),
        pixels,
        torch.from_numpy(found.depths[0][row, column]),
    )
    off = (again - torch.from_numpy(points)).norm(dim=1)
    assert float(off.median()) < 0.01  # half a pixel at a few metres
    assert float(off.quantile(0.95)) < 0.05


def signed_rq(matrix: np.ndarray) -> tuple[tuple[np.ndarray, np.ndarray], tuple[Any, Any]]:
    """Intrinsics and rotation of K R, with the signs that make K's diagonal positive."""
    k, turn = rq(matrix)
    signs = np.sign(np.diag(k))
    return (k, turn), (signs[None, :], signs[:, None])
