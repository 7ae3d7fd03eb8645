from __future__ import annotations

import pytest
import torch

from maskfield.core.errors import GridError
from maskfield.data.preparation.labelled_views import LabelledView
from maskfield.data.preparation.point_labels import PointSample, label_voxels
from maskfield.data.radiance_grid import RadianceGrid

NAMES = ("void", "a", "b")


def grid() -> RadianceGrid:
    density = torch.arange(64.0).view(1, 4, 4, 4) / 64
    box = torch.tensor([[0.0, 0, 0], [4, 4, 4]])
    return RadianceGrid(rgb=torch.zeros(3, 4, 4, 4), density=density, box=box, density_kind="alpha")


def test_few_points_all_stay_and_many_become_a_fair_subset(generator: torch.Generator) -> None:
    sample = PointSample(1000, generator)
    for view in range(10):  # 10 views of 400 points of one label, 3 of another
        points = torch.full((403, 3), float(view))
        sample.add(LabelledView(points, torch.tensor([1] * 400 + [2] * 3)))
    points, ids = sample.points()
    assert torch.bincount(ids).tolist() == [0, 1000, 30]
    shares = torch.bincount(points[ids == 1, 0].long(), minlength=10)
    assert int(shares.min()) > 60  # 100 expected from each view
    assert int(shares.max()) < 140


def test_voxels_take_the_most_frequent_label_and_the_header_of_the_grid(
    generator: torch.Generator,
) -> None:
    points = torch.tensor([[0.5, 0.5, 0.5]] * 3 + [[3.5, 0.1, 0.1], [3.9, 0.9, 0.9]])
    view = LabelledView(points, torch.tensor([2, 2, 1, 1, 2]))
    found = label_voxels([view], grid(), NAMES, generator=generator)
    assert found.matches(grid()).counts().tolist() == [62, 1, 1]
    assert (int(found.labels[0, 0, 0]), int(found.labels[3, 0, 0])) == (2, 1)


def test_points_outside_vote_at_the_border_only_officially(generator: torch.Generator) -> None:
    view = LabelledView(
        torch.tensor([[4.5, 2, 2], [9.0, 2, 2], [9.0, 0, 0]]), torch.tensor([1, 2, 2])
    )
    ours = label_voxels([view], grid(), NAMES, generator=generator)
    assert ours.counts().tolist() == [63, 1, 0]
    official = label_voxels([view], grid(), NAMES, generator=generator, compat="official")
    assert official.counts().tolist() == [62, 1, 1]


def test_nothing_in_the_grid_is_an_error(generator: torch.Generator) -> None:
    view = LabelledView(torch.full((5, 3), 100.0), torch.ones(5, dtype=torch.long))
    with pytest.raises(GridError, match="no labelled point lies in the grid"):
        label_voxels([view], grid(), NAMES, generator=generator)
