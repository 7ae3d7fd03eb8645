from __future__ import annotations

from collections import Counter

import pytest
import torch

from maskfield.core.errors import DataError
from maskfield.data.preparation.voxel_labels import voxel_index, voxelize_labels

BOX = torch.tensor([[-1.0, 0.0, 2.0], [1.0, 3.0, 4.0]], dtype=torch.float64)


def by_counting(points, ids, box, resolution) -> torch.Tensor:
    """The same vote, one point after the other."""
    votes: dict[tuple[int, ...], Counter[int]] = {}
    for p, c in zip(points.tolist(), ids.tolist(), strict=True):
        cell = tuple(
            int(min(max((p[a] - float(box[0, a])) / float(box[1, a] - box[0, a]) * n, 0), n - 1))
            for a, n in enumerate(resolution)
        )
        votes.setdefault(cell, Counter())[c] += 1
    grid = torch.zeros(resolution, dtype=torch.long)
    for cell, counter in votes.items():
        most = max(counter.values())
        grid[cell] = min(c for c, n in counter.items() if n == most)
    return grid


@pytest.mark.parametrize("resolution", [(4, 3, 5), (1, 1, 1), (7, 2, 3)])
def test_agrees_with_counting(resolution: tuple[int, int, int], generator: torch.Generator) -> None:
    points = torch.rand(500, 3, generator=generator, dtype=torch.float64) * 4.4 - 1.2
    ids = torch.randint(0, 41, (500,), generator=generator)
    expected = by_counting(points, ids, BOX, resolution)
    assert torch.equal(voxelize_labels(points, ids, BOX, resolution), expected)


def test_ties_go_to_the_smallest_id_and_empty_voxels_are_void() -> None:
    points = BOX.mean(0).repeat(4, 1)
    grid = voxelize_labels(points, torch.tensor([7, 3, 7, 3]), BOX, (3, 3, 3))
    assert grid[1, 1, 1] == 3
    assert int((grid != 0).sum()) == 1


def test_points_outside_count_for_the_border() -> None:
    points = torch.tensor([[-9.0, -9, -9], [9, 9, 9]], dtype=torch.float64)
    assert voxel_index(points, BOX, (2, 3, 4)).tolist() == [0, 23]


@pytest.mark.parametrize(
    ("points", "box", "field"),
    [
        (torch.zeros(1, 3), torch.zeros(2, 3), "box"),
        (torch.full((1, 3), torch.nan), BOX.float(), "points"),
    ],
)
def test_bad_input_is_refused(points: torch.Tensor, box: torch.Tensor, field: str) -> None:
    with pytest.raises(DataError) as error:
        voxelize_labels(points, torch.zeros(1, dtype=torch.long), box, (2, 2, 2))
    assert error.value.field == field
