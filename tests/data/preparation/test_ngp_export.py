"""Boxes for instant-ngp: the official conversion, and files whose frame was turned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from maskfield.core.errors import DataError
from maskfield.core.files import read_json, write_json
from maskfield.data.preparation.ngp_boxes import Z_UP, NgpFrame, nerf_boxes_from_grid
from maskfield.data.preparation.ngp_export import entries, export_boxes, transforms_of
from maskfield.data.radiance_grid import RadianceGrid
from maskfield.data.readers import transforms_json
from maskfield.data.readers.nerf_rpn import boxes_to_world
from maskfield.data.scene import Scene, load_scene, save_scene
from maskfield.data.synthetic.photographs import room_scene
from maskfield.data.writers import write_transforms_json
from maskfield.geometry.boxes import Boxes3D


@pytest.fixture(scope="module")
def scene() -> Scene:
    return room_scene(3, views=4, width=32, height=24)


def some_boxes(scene: Scene) -> Boxes3D:
    assert scene.boxes is not None
    boxes = scene.boxes[:3]
    return replace(boxes, score=torch.tensor([0.9, 0.7, 0.5]), yaw=torch.tensor([0.0, 0.4, -1.2]))


def corners(entry: dict) -> torch.Tensor:
    """Corners of one entry, whatever signs its axes have, in a fixed order."""
    turn, position = torch.tensor(entry["orientation"]), torch.tensor(entry["position"])
    signs = torch.cartesian_prod(*[torch.tensor([-0.5, 0.5])] * 3)
    points = (signs * torch.tensor(entry["extents"])) @ turn.T + position
    return torch.stack(sorted(points, key=lambda p: tuple((p * 1e3).round().tolist())))


def test_entries_are_the_boxes_of_the_official_tool():
    """Grid rows through proposals2ngp's formulas, and through our world: the same boxes."""
    scale, offset = 0.3, (0.5, 0.4, 0.2)
    box = torch.tensor([[-1.0, -2.0, 0.0], [3.0, 0.0, 1.0]])
    grid = RadianceGrid(
        rgb=torch.zeros(3, 64, 32, 16),
        density=torch.rand(1, 64, 32, 16),
        box=box,
        density_kind="alpha",
        ngp_scale=scale,
        ngp_offset=offset,
    )
    rows = torch.tensor([[10.0, 20, 8, 6, 4, 3, 0.5], [40.0, 5, 2, 9, 2, 1, -1.0]])
    voxels = Boxes3D(
        centre=rows[:, :3],
        size=rows[:, 3:6],
        yaw=rows[:, 6],
        label=torch.zeros(2, dtype=torch.long),
        score=torch.tensor([0.8, 0.6]),
    )
    bounds = box * scale + torch.tensor(offset)
    frame = NgpFrame(
        resolution=(64, 32, 16),
        bbox_min=bounds[0],
        bbox_max=bounds[1],
        scale=scale,
        offset=torch.tensor(offset)[list(Z_UP)],  # the tool turns it back as if it were y-up
    )
    official = nerf_boxes_from_grid(rows, frame)
    ours = entries(boxes_to_world(voxels, grid))
    assert [e["score"] for e in ours] == pytest.approx([0.8, 0.6])
    for i, entry in enumerate(ours):
        expected = {
            "orientation": official.orientation[i].tolist(),
            "position": official.position[i].tolist(),
            "extents": official.extents[i].tolist(),
        }
        torch.testing.assert_close(corners(entry), corners(expected), atol=1e-4, rtol=0)


def test_a_scene_of_ours_is_written_with_its_images(scene, tmp_path):
    folder = save_scene(scene, tmp_path / "scene")
    path = export_boxes(load_scene(folder), some_boxes(scene), tmp_path / "out", folder)
    head = read_json(path)
    assert len(head["bounding_boxes"]) == 3
    assert (path.parent / head["frames"][0]["file_path"]).is_file()
    again = transforms_json.read(path)
    torch.testing.assert_close(again.cameras.camera_to_world, scene.cameras.camera_to_world)


def test_a_turned_file_gets_its_boxes_back_in_its_own_frame(scene, tmp_path):
    """Cameras and boxes of a file keep their relation, though our reader turns the world."""
    path = write_transforms_json(scene, tmp_path / "capture")
    head = read_json(path)
    head.pop("maskfield")
    head.pop("aabb_scale")
    head.pop("scale")
    head["from_mitsuba"] = True  # y up: the reader turns it
    write_json(path, head)
    turned = transforms_json.read(path)
    assert not torch.allclose(turned.cameras.centres, scene.cameras.centres, atol=0.1)
    boxes = some_boxes(scene)
    away = (boxes.centre[:, None] - turned.cameras.centres).norm(dim=-1)

    copy = read_json(export_boxes(turned, boxes, tmp_path / "out", path))
    places = torch.tensor([e["position"] for e in copy["bounding_boxes"]])
    eyes = torch.tensor([f["transform_matrix"] for f in copy["frames"]])[:, :3, 3]
    torch.testing.assert_close((places[:, None] - eyes).norm(dim=-1), away, atol=1e-4, rtol=1e-4)


def test_paths_are_made_relative_and_the_original_stays(scene, tmp_path):
    path = write_transforms_json(scene, tmp_path / "capture")
    before = path.read_bytes()
    copy = export_boxes(scene, some_boxes(scene), tmp_path / "runs" / "out", path.parent)
    frame = read_json(copy)["frames"][0]
    assert (copy.parent / frame["file_path"]).resolve() == path.parent / "images" / "00000.png"
    assert path.read_bytes() == before
    with pytest.raises(DataError, match="replace"):
        export_boxes(scene, some_boxes(scene), path.parent, path)


def test_which_sources_are_copied(scene, tmp_path):
    path = write_transforms_json(scene, tmp_path / "capture")
    ours = save_scene(scene, tmp_path / "ours")
    assert transforms_of(path) == path
    assert transforms_of(path.parent) == path
    assert transforms_of(ours) is None
    assert transforms_of(ours / "scene.json") is None
    assert transforms_of(Path("synthetic:rooms-v1:3")) is None
