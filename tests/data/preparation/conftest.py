"""Made-up scenes in the layouts the data sets are published in."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from maskfield.data.radiance_grid import RadianceGrid
from maskfield.data.writers import write_nerf_rpn_npz

ROOM = [[0.0, 0.0, 0.0], [4.0, 3.0, 2.0]]


def picture(path: Path, size: tuple[int, int] = (16, 12), value: int = 90) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((size[1], size[0], 3), value, np.uint8)).save(path)
    return path


def nerf_box(
    position: tuple[float, ...],
    extents: tuple[float, ...] = (0.8, 0.6, 0.5),
    yaw: float = 0.3,
    label: Any = 5,
) -> dict[str, Any]:
    cos, sin = math.cos(yaw), math.sin(yaw)
    box = {
        "position": list(position),
        "extents": list(extents),
        "orientation": [[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]],
    }
    return box if label is None else {**box, "label": label}


def capture(folder: Path, boxes: list[Any], frames: int = 25, **head: Any) -> Path:
    """A scene with a transforms.json in ``train``; returns that file."""
    entries = []
    for i in range(frames):
        picture(folder / "train" / "images" / f"{i:04d}.png")
        pose = np.eye(4)
        pose[:3, 3] = (2 + 0.01 * i, 1.5, 1)
        entries.append({"file_path": f"images/{i:04d}.png", "transform_matrix": pose.tolist()})
    content = {
        "camera_angle_x": 1.2,
        "room_bbox": ROOM,
        "bounding_boxes": boxes,
        "frames": entries,
        **head,
    }
    file = folder / "train" / "transforms.json"
    file.write_text(json.dumps({k: v for k, v in content.items() if v is not None}))
    return file


def features(path: Path, resolution: tuple[int, int, int] = (32, 24, 16)) -> RadianceGrid:
    """An official feature grid of ROOM."""
    generator = torch.Generator().manual_seed(5)
    grid = RadianceGrid(
        rgb=torch.rand(3, *resolution, generator=generator),
        density=torch.randn(1, *resolution, generator=generator),
        box=torch.tensor(ROOM),
        density_kind="raw",
        activation="exp",
        ngp_scale=0.25,
        ngp_offset=(0.1, 0.2, 0.3),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_nerf_rpn_npz(grid, path)
    return grid


def hdf5(path: Path, **arrays: np.ndarray) -> Path:
    h5py = pytest.importorskip("h5py")
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as stream:
        for name, array in arrays.items():
            stream[name] = array
    return path


def load(path: Path) -> np.ndarray:
    return np.load(path, allow_pickle=False)


@pytest.fixture
def no_h5py(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if h5py were not installed."""
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
