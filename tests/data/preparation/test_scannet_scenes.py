from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from maskfield.core.errors import DataError
from maskfield.data.preparation.options import PrepareOptions
from maskfield.data.preparation.scannet_scenes import prepare
from maskfield.data.radiance_grid import RadianceGrid
from maskfield.data.readers.nerf_rpn import boxes_to_world, read_boxes
from maskfield.data.writers import write_nerf_rpn_npz

from .conftest import load

SCENE = "scene0000_00"
OPTIONS = PrepareOptions(
    longest=60, val=0, test=0, train_frames=3, val_frames=2, min_frames=5, min_size=4
)


def cuboid(centre: tuple[float, ...], size: tuple[float, ...], yaw: float) -> np.ndarray:
    signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) / 2
    local = signs * size
    turn = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
    return local @ turn.T + centre


OBJECTS = {
    "room": cuboid((3, 2, 1), (6, 4, 2), 0),
    "table": cuboid((2, 2, 0.5), (2, 1, 1), 0.4),
    "wall": cuboid((5, 2, 1), (1, 1, 1), 0),
    "cup": cuboid((4, 3, 1), (0.2, 0.2, 0.2), 0),
    "line": np.array([[1.0, 1, 1], [2, 1, 1]]),
}


def scene(folder: Path, frames: int = 8, ascii_mesh: bool = False) -> Path:
    folder.mkdir(parents=True)
    vertices = np.concatenate(list(OBJECTS.values()))
    mesh(folder / f"{SCENE}_vh_clean_2.ply", vertices, ascii_mesh)
    segments = np.repeat(np.arange(len(OBJECTS)), [len(v) for v in OBJECTS.values()])
    write(folder / f"{SCENE}_vh_clean_2.0.010000.segs.json", {"segIndices": segments.tolist()})
    groups = [{"objectId": i, "segments": [i], "label": n} for i, n in enumerate(OBJECTS)]
    write(folder / f"{SCENE}_vh_clean.aggregation.json", {"segGroups": groups})
    for name in ("color", "pose", "intrinsic"):
        (folder / name).mkdir()
    np.savetxt(folder / "intrinsic/intrinsic_color.txt", np.diag([20.0, 21, 1, 1]))
    rng = np.random.default_rng(0)
    for i in range(frames):
        contrast = 60 if i % 2 else 5  # odd frames are sharp
        pixels = 128 + contrast * rng.standard_normal((12, 16, 3))
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"color/{i}.jpg")
        pose = np.eye(4)
        pose[:3, 3] = i
        np.savetxt(folder / f"pose/{i}.txt", pose if i != 7 else np.full((4, 4), -np.inf))
    return folder


def mesh(path: Path, vertices: np.ndarray, text: bool) -> None:
    form = "ascii" if text else "binary_little_endian"
    head = (
        f"ply\nformat {form} 1.0\nelement vertex {len(vertices)}\nproperty float x\n"
        "property float y\nproperty float z\nproperty uchar red\nelement face 1\n"
        "property list uchar int vertex_indices\nend_header\n"
    )
    rows = np.zeros(len(vertices), [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("red", "u1")])
    rows["x"], rows["y"], rows["z"] = vertices.T
    body = rows.tobytes()
    if text:
        body = "".join(f"{x} {y} {z} 7\n" for x, y, z in vertices).encode()
    path.write_bytes(head.encode() + body + b"\x03\x00\x00\x00\x00")


def write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    scene(tmp_path / "source" / SCENE)
    return tmp_path / "source"


def excluding(tmp_path: Path, *labels: str) -> PrepareOptions:
    (tmp_path / "exclude.txt").write_text("\n".join(labels))
    return PrepareOptions(**{**OPTIONS.__dict__, "exclude": tmp_path / "exclude.txt"})


@pytest.mark.parametrize("ascii_mesh", [False, True])
def test_instances_become_boxes_on_the_grid_of_all_instances(
    tmp_path: Path, ascii_mesh: bool
) -> None:
    scene(tmp_path / "s" / SCENE, ascii_mesh=ascii_mesh)
    report = prepare(tmp_path / "s", tmp_path / "out", excluding(tmp_path, "wall", "room"))
    (found,) = report.scenes
    assert found.resolution == (60, 40, 20)
    assert {k: v for k, v in found.dropped.items() if k.startswith("box")} == {
        "box: label excluded": 2,
        "box: a side below 4 voxels": 1,
        "box: an instance without floor area or height": 1,
    }
    (row,) = load(tmp_path / f"out/obb/{SCENE}.npy")
    np.testing.assert_allclose(row[:3], [20, 20, 5], atol=1e-4)
    long, short, yaw = (
        (row[3], row[4], row[6]) if row[3] > row[4] else (row[4], row[3], row[6] - np.pi / 2)
    )
    np.testing.assert_allclose([long, short, row[5]], [20, 10, 10], atol=1e-4)
    assert np.sin(2 * (yaw - 0.4)) == pytest.approx(0, abs=1e-5)
    assert (tmp_path / f"out/obb_labels/{SCENE}.txt").read_text() == "table\n"
    aabb = load(tmp_path / f"out/aabb/{SCENE}.npy")
    half = 10 * np.cos(0.4) + 5 * np.sin(0.4)
    np.testing.assert_allclose(aabb[0, [0, 3]], [20 - half, 20 + half], atol=1e-4)


def test_boxes_follow_the_bounds_of_an_extracted_grid(source: Path, tmp_path: Path) -> None:
    grid = RadianceGrid(
        rgb=torch.zeros(3, 80, 60, 40),
        density=torch.randn(1, 80, 60, 40, generator=torch.Generator().manual_seed(0)),
        box=torch.tensor([[-1.0, -1, -1], [7, 5, 3]]),
        density_kind="raw",
        activation="relu",
        ngp_scale=1.0,
        ngp_offset=(0.0, 0.0, 0.0),
    )
    write_nerf_rpn_npz(grid, tmp_path / "out/features" / f"{SCENE}.npz")
    (found,) = prepare(source, tmp_path / "out", excluding(tmp_path, "wall", "room")).scenes
    assert found.resolution == (80, 60, 40)
    world = boxes_to_world(read_boxes(tmp_path / f"out/obb/{SCENE}.npy"), grid)
    torch.testing.assert_close(world.centre, torch.tensor([[2.0, 2, 0.5]]))


def test_without_a_list_no_label_is_excluded(source: Path, tmp_path: Path) -> None:
    prepare(source, tmp_path / "out", OPTIONS)
    text = (tmp_path / f"out/obb_labels/{SCENE}.txt").read_text()
    assert text == "room\ntable\nwall\n"


def test_the_sharpest_frames_are_chosen_and_lost_poses_left_out(
    source: Path, tmp_path: Path
) -> None:
    (found,) = prepare(source, tmp_path / "out", OPTIONS).scenes
    assert found.dropped["frame: no valid pose"] == 1
    assert found.dropped["frame: not the sharpest of its interval"] == 2
    head = json.loads((tmp_path / f"out/scenes/{SCENE}/train/transforms.json").read_text())
    names = [Path(f["file_path"]).stem for f in head["frames"]]
    assert names == ["1", "3", "5"]
    pose = np.array(head["frames"][0]["transform_matrix"])
    np.testing.assert_allclose(pose, [[1, 0, 0, 1], [0, -1, 0, 1], [0, 0, -1, 1], [0, 0, 0, 1]])


def test_scenes_with_few_frames_are_left_out(source: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="7 valid frames; 500 are needed"):
        prepare(source, tmp_path / "out", PrepareOptions())


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        (f"{SCENE}_vh_clean_2.0.010000.segs.json", {"segIndices": [0, 1]}, "do not belong"),
        (f"{SCENE}_vh_clean.aggregation.json", {"segGroups": [{"label": "a"}]}, "cannot be read"),
        (f"{SCENE}_vh_clean.aggregation.json", {"segGroups": []}, "no instance has a vertex"),
    ],
)
def test_bad_instances_are_typed_errors(
    source: Path, tmp_path: Path, name: str, content: object, word: str
) -> None:
    write(source / SCENE / name, content)
    with pytest.raises(DataError, match=word):
        prepare(source, tmp_path / "out", OPTIONS)


@pytest.mark.parametrize("content", [b"ply\n", b"stl", b"ply\nformat ascii 1.0\nelement face 1\n"])
def test_bad_meshes_are_typed_errors(source: Path, tmp_path: Path, content: bytes) -> None:
    (source / SCENE / f"{SCENE}_vh_clean_2.ply").write_bytes(content)
    with pytest.raises(DataError, match="vertices of the mesh"):
        prepare(source, tmp_path / "out", OPTIONS)


def test_missing_files_are_typed_errors(source: Path, tmp_path: Path) -> None:
    (source / SCENE / f"{SCENE}_vh_clean_2.ply").unlink()
    with pytest.raises(DataError, match=r"_vh_clean_2\.ply"):
        prepare(source, tmp_path / "out", OPTIONS)


def test_an_empty_list_of_labels_is_refused(source: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="list of labels is empty"):
        prepare(source, tmp_path / "out", excluding(tmp_path, "# nothing"))
