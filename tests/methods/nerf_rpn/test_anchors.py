from __future__ import annotations

import torch

from maskfield.methods.nerf_rpn.anchors import (
    ANCHORS_PER_CELL,
    all_anchors,
    anchor_validity,
    cell_anchors,
    level_strides,
)

CELLS = [(8, 8, 4), (4, 4, 2), (2, 2, 1), (1, 1, 1)]


def test_a_cell_has_thirteen_anchors_whose_shortest_side_is_the_size() -> None:
    found = cell_anchors(16.0)
    sides = found[:, 3:] - found[:, :3]
    assert found.shape == (ANCHORS_PER_CELL, 6)
    assert len(sides.unique(dim=0)) == ANCHORS_PER_CELL
    assert (sides.amin(dim=1) == 16).all()
    assert sides[1].tolist() == [16, 32, 16]


def test_anchors_of_equal_volume_are_rounded_to_whole_voxels() -> None:
    found = cell_anchors(64.0, equal_volume=True)
    volume = (found[:, 3:] - found[:, :3]).prod(dim=1)
    assert (volume / 64**3 - 1).abs().max() < 0.1
    assert torch.equal(found, found.round())


def test_strides_are_the_whole_part_when_sizes_do_not_divide() -> None:
    assert level_strides((150, 150, 150), [(37,) * 3, (19,) * 3, (10,) * 3, (5,) * 3]) == [
        (4,) * 3,
        (7,) * 3,
        (15,) * 3,
        (30,) * 3,
    ]


def test_centres_begin_at_zero_with_z_running_fastest() -> None:
    first = all_anchors((32, 32, 16), CELLS)[0].view(8, 8, 4, ANCHORS_PER_CELL, 6)
    centre = (first[..., :3] + first[..., 3:]) / 2
    assert centre[0, 0, 0, 5].tolist() == [0, 0, 0]
    assert centre[1, 2, 3, 0].tolist() == [4, 8, 12]


def test_anchors_of_padded_cells_are_not_valid() -> None:
    sizes = torch.tensor([[32, 32, 16], [17, 32, 16]])
    valid = anchor_validity((32, 32, 16), CELLS, sizes)
    assert valid[0][0].all()
    per_cell = valid[0][1].view(8, 8, 4, ANCHORS_PER_CELL)
    assert per_cell[:5].all()  # cell 4 begins at voxel 16, inside a grid of 17
    assert not per_cell[5:].any()
