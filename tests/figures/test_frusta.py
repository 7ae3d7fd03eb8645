"""The picture of cameras: geometry of the lines, and that everything is drawn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from maskfield.data.scene import Scene
from maskfield.figures.frusta import box_lines, draw_frusta, frustum_lines
from maskfield.geometry.camera_paths import look_at, pinholes

BOX = torch.tensor([[-1.0, -1.0, 0.0], [1.0, 1.0, 1.0]])


def scene(count: int = 6) -> Scene:
    angle = torch.linspace(0, 5, count)
    eye = torch.stack([3 * angle.cos(), 3 * angle.sin(), torch.full_like(angle, 1.5)], -1)
    cameras = pinholes(look_at(eye, BOX.mean(0).expand_as(eye)), 32, 24, 60.0)
    return Scene(
        cameras=cameras,
        images=np.zeros((count, 24, 32, 3), np.uint8),
        names=tuple(f"{i}" for i in range(count)),
        box=BOX,
        split={"train": tuple(range(1, count)), "test": (0,)},
    )


def coloured(picture: np.ndarray, rgb: tuple[int, int, int]) -> int:
    return int((np.abs(picture.astype(int) - rgb).sum(-1) < 90).sum())


def test_frustum_lines_end_at_the_image_corners():
    cameras = scene().cameras
    lines = frustum_lines(cameras, 0.5)
    assert lines.shape == (6, 8, 2, 3)
    np.testing.assert_allclose(lines[:, :4, 0], cameras.centres[:, None].expand(6, 4, 3).numpy())
    tips = torch.as_tensor(lines[2, :4, 1]).float()
    uv, depth = cameras[2].project(tips)
    corners = torch.tensor([[0.0, 0], [32, 0], [32, 24], [0, 24]])
    torch.testing.assert_close(uv[0], corners, atol=1e-3, rtol=0)
    torch.testing.assert_close(depth[0], torch.full((4,), 0.5))


def test_box_lines_are_the_twelve_edges():
    lines = box_lines(BOX)
    assert lines.shape == (12, 2, 3)
    lengths = np.linalg.norm(lines[:, 1] - lines[:, 0], axis=1)
    assert sorted(lengths.round(6)) == [1.0] * 4 + [2.0] * 8


def test_training_and_held_out_cameras_are_drawn():
    picture = draw_frusta(scene(), width=3, height=3)
    assert 100 < picture.shape[0] <= 330
    assert 700 < picture.shape[1] <= 990
    assert coloured(picture, (37, 99, 235)) > 100
    assert coloured(picture, (220, 38, 38)) > 20
    assert coloured(picture, (55, 65, 81)) > 100


def test_no_held_out_cameras_no_red():
    all_train = replace(scene(), split={"train": tuple(range(6))})
    picture = draw_frusta(all_train, width=3, height=3)
    assert coloured(picture, (220, 38, 38)) == 0
