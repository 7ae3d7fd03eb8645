"""Boxes over grids and photographs lie on the things they are around."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from maskfield.data.radiance_grid import RadianceGrid
from maskfield.data.scene import Scene
from maskfield.figures.boxes import (
    FOUND,
    TRUTH,
    best_photographs,
    box_edges,
    box_photographs,
    box_view,
    box_views,
    boxes_seen,
)
from maskfield.figures.grids import grid_picture
from maskfield.figures.legend import legend_strip
from maskfield.figures.pictures import stacked
from maskfield.geometry.boxes import Boxes3D
from maskfield.geometry.camera_paths import look_at, pinholes

BOX = torch.tensor([[0.0, 0.0, 0.0], [2.0, 2.0, 1.0]])


def boxes(*rows: tuple[float, ...]) -> Boxes3D:
    table = torch.tensor(rows).reshape(-1, 7)
    return Boxes3D(
        centre=table[:, :3],
        size=table[:, 3:6],
        yaw=table[:, 6],
        label=torch.zeros(len(table), dtype=torch.long),
        score=torch.linspace(0.9, 0.5, len(table)),
    )


NONE = boxes()
BLOCK = boxes((1.0, 1.0, 0.25, 0.5, 0.75, 0.5, 0.0))


def grid() -> RadianceGrid:
    """A blue block exactly in BLOCK."""
    rgb, alpha = torch.zeros(3, 32, 32, 16), torch.zeros(1, 32, 32, 16)
    rgb[2], alpha[:, 12:20, 10:22, :8] = 1, 0.95
    return RadianceGrid(rgb=rgb, density=alpha, box=BOX, density_kind="alpha")


def inked(picture: np.ndarray, colour: str) -> np.ndarray:
    """Where a picture has a colour."""
    wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
    return np.abs(picture.astype(int) - wanted).sum(-1) < 60


def extent(mask: np.ndarray) -> list[int]:
    rows, columns = np.nonzero(mask)
    return [rows.min(), rows.max(), columns.min(), columns.max()]


@pytest.mark.parametrize("view", ["top", "corner", "side"])
def test_the_box_is_drawn_around_the_block(view):
    plain = grid_picture(grid(), view=view, width=160, height=120)
    drawn = box_view(grid(), BLOCK, view=view, width=160, height=120)
    block = (plain[..., 2].astype(int) - plain[..., 0]) > 100
    np.testing.assert_allclose(extent(inked(drawn, FOUND)), extent(block), atol=4)


def test_truth_has_another_colour_and_the_legend_counts():
    truth = replace(BLOCK, centre=BLOCK.centre + torch.tensor([0.4, 0, 0]))
    sheet = box_views(grid(), BLOCK, truth, width=160, height=120)
    assert inked(sheet, FOUND).sum() > 100
    assert inked(sheet, TRUTH).sum() > 100
    without = box_views(grid(), BLOCK, width=160, height=120)
    assert inked(without, TRUTH).sum() == 0


def test_no_boxes_leave_the_picture_as_it_is():
    plain = grid_picture(grid(), view="top", width=160, height=120)
    np.testing.assert_array_equal(box_view(grid(), NONE, view="top", width=160, height=120), plain)


def test_edges_join_neighbouring_corners():
    edges = box_edges(boxes((0, 0, 0, 3, 2, 1, 0.3)))
    assert edges.shape == (12, 2, 3)
    lengths = (edges[:, 1] - edges[:, 0]).norm(dim=-1).sort().values
    torch.testing.assert_close(lengths, torch.tensor([1.0] * 4 + [2.0] * 4 + [3.0] * 4))


def scene() -> Scene:
    """Four cameras in the middle looking along +x, +y, -x, -y; black photographs."""
    ahead = torch.tensor([[1.0, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0]])
    cameras = pinholes(look_at(torch.zeros(4, 3), ahead), 64, 48, 70.0)
    return Scene(
        cameras=cameras,
        images=np.zeros((4, 48, 64, 3), np.uint8),
        names=("a", "b", "c", "d"),
        box=torch.tensor([[-4.0, -4, -4], [4, 4, 4]]),
        split={"train": (0, 1, 2, 3)},
    )


def test_a_box_is_seen_by_the_camera_that_looks_at_it():
    ahead = boxes((3, 0, 0, 1, 1, 1, 0), (0, -3, 0, 1, 1, 1, 0))
    seen = boxes_seen(scene().cameras, ahead)
    assert seen.tolist() == [[True, False], [False, False], [False, False], [False, True]]
    assert best_photographs(scene().cameras, ahead, 2) == [0, 3]
    assert best_photographs(scene().cameras, NONE, 2) == [0, 2]
    assert best_photographs(scene().cameras, ahead, 9) == [0, 1, 2, 3]


def test_photographs_show_the_projected_box():
    sheet = box_photographs(scene(), boxes((3, 0, 0, 1, 1, 1, 0)), count=1)
    ink = inked(sheet, FOUND)[:260]
    focal, near_face = 260 / 48 * 32 / np.tan(np.radians(35)), 2.5
    half = focal * 0.5 / near_face
    middle = (round(64 * 260 / 48) / 2, 130)
    expected = [middle[1] - half, middle[1] + half, middle[0] - half, middle[0] + half]
    np.testing.assert_allclose(extent(ink), expected, atol=4)


def test_transparent_photographs_are_shown_on_white():
    clear = replace(scene(), opacity=np.zeros((4, 48, 64), np.uint8))
    sheet = box_photographs(clear, boxes((3, 0, 0, 1, 1, 1, 0)), count=1)
    assert (sheet[5, 5] == 255).all()


def test_legend_breaks_rows_and_piles_are_as_wide_as_the_widest():
    entries = [(f"class {i}", "#ff0000") for i in range(12)]
    wide, narrow = legend_strip(entries, 2000), legend_strip(entries, 200)
    assert wide.shape[0] < narrow.shape[0]
    assert narrow.shape[1] == 200
    assert inked(narrow, "#ff0000").sum() == inked(wide, "#ff0000").sum() > 0
    pile = stacked([np.zeros((3, 5, 3), np.uint8), np.zeros((2, 9, 3), np.uint8)])
    assert pile.shape[1] == 9
    assert (pile[0, 5:] == 255).all()
