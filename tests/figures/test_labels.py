"""Pictures of label grids: classes in their colours where they are."""

from __future__ import annotations

import numpy as np
import torch

from maskfield.data.label_grid import LabelGrid
from maskfield.figures.labels import (
    class_colours,
    coloured_grid,
    label_picture,
    label_views,
    legend_entries,
)

NAMES = ("void", "wall", "chair", "bed")


def labels() -> LabelGrid:
    """A wall block at low x, a larger bed block at high x."""
    ids = torch.zeros(16, 16, 8, dtype=torch.int16)
    ids[2:5, 6:10, :4], ids[9:14, 6:10, :4] = 1, 3
    box = torch.tensor([[0.0, 0, 0], [2, 2, 1]])
    return LabelGrid(labels=ids, class_names=NAMES, box=box)


def place_of(picture: np.ndarray, colour: str) -> float:
    """Mean column of the pixels whose hue is nearest to a colour's."""
    wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)], float)
    unit = picture / np.linalg.norm(picture.astype(float) + 1e-9, axis=-1, keepdims=True)
    close = unit @ (wanted / np.linalg.norm(wanted)) > 0.99
    assert close.sum() > 30, colour
    return float(np.nonzero(close)[1].mean())


def test_classes_have_their_colours_where_they_are():
    grid = labels()
    colours = class_colours(grid)
    picture = label_picture(grid, view="top", width=160, height=120)
    assert (picture[0] == 255).all()
    assert place_of(picture, colours[1]) < 80 < place_of(picture, colours[3])


def test_colours_differ_and_void_is_white():
    many = LabelGrid(
        labels=torch.zeros(2, 2, 2, dtype=torch.int16),
        class_names=tuple(f"c{i}" for i in range(23)),
        box=torch.tensor([[0.0, 0, 0], [1, 1, 1]]),
    )
    colours = class_colours(many)
    assert colours[0] == "#ffffff"
    assert len(set(colours)) == 23


def test_the_legend_names_what_occurs_most_first():
    grid = labels()
    colours = class_colours(grid)
    assert legend_entries(grid) == [("bed", colours[3]), ("wall", colours[1])]


def test_shading_darkens_but_keeps_matter_and_frame():
    grid = labels()
    shown = coloured_grid(grid)
    assert torch.equal(shown.to_alpha()[0] > 0, grid.labelled())
    assert torch.equal(shown.box, grid.box)
    top, side = shown.rgb[:, 3, 8, 3], shown.rgb[:, 4, 8, 1]
    assert float(top.sum()) > float(side.sum())


def test_views_and_an_empty_grid():
    sheet = label_views(labels(), width=96, height=80)
    assert sheet.shape[1] >= 2 * 96
    empty = LabelGrid(
        labels=torch.zeros(4, 4, 4, dtype=torch.int16), class_names=NAMES, box=labels().box
    )
    assert legend_entries(empty) == []
    blank = label_views(empty, width=48, height=40)
    assert blank.shape[1] >= 2 * 48
    assert (label_picture(empty, view="top", width=48, height=40) == 255).all()
