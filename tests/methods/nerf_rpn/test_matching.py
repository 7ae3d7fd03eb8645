from __future__ import annotations

import pytest
import torch
from torch import Tensor

from maskfield.core.errors import DataError
from maskfield.methods.nerf_rpn.matching import (
    BETWEEN,
    NEGATIVE,
    RegionTargets,
    balanced_sample,
    match,
    permutation_from,
    uniform_from,
)

QUALITY = torch.tensor([[0.9, 0.3, 0.1, 0.25], [0.2, 0.1, 0.3, 0.25]])


def test_thresholds_and_the_rescue_of_the_best() -> None:
    assert match(QUALITY, 0.5, 0.2, rescue=False).tolist() == [0, BETWEEN, BETWEEN, BETWEEN]
    assert match(QUALITY, 0.5, 0.28, rescue=False).tolist() == [0, BETWEEN, BETWEEN, NEGATIVE]
    # the second box's best candidate is the third, though it is below the threshold
    assert match(QUALITY, 0.5, 0.2).tolist() == [0, BETWEEN, 1, BETWEEN]


def test_ties_are_all_rescued() -> None:
    assert match(torch.tensor([[0.3, 0.3, 0.1]]), 0.5, 0.2).tolist() == [0, 0, NEGATIVE]


def test_samples_are_balanced_and_negatives_fill_up(generator: torch.Generator) -> None:
    labels = torch.tensor([1.0] * 3 + [0.0] * 50 + [-1.0] * 7)
    positive, negative = balanced_sample(labels, 20, 0.5, permutation_from(generator))
    assert positive.sum() == 3
    assert negative.sum() == 17
    assert not (positive & negative).any()
    assert (labels[negative] == 0).all()
    many = torch.ones(40)
    assert balanced_sample(many, 20, 0.5, permutation_from(generator))[0].sum() == 10


def test_a_sample_is_that_of_its_seed() -> None:
    labels = (torch.arange(100) % 3).float() - 1
    draws = [
        balanced_sample(labels, 10, 0.5, permutation_from(torch.Generator().manual_seed(s)))[0]
        for s in (0, 0, 1)
    ]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def regions(overlap: list[float]) -> RegionTargets:
    return RegionTargets(overlap=torch.tensor(overlap), boxes=torch.zeros(len(overlap), 7))


def drawn(targets: RegionTargets, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    permute, uniform = permutation_from(generator), uniform_from(generator)
    return targets.sample(8, 0.35, 0.15, 0.5, permute, uniform)


@pytest.mark.parametrize(
    ("overlap", "foreground"),
    [([0.5] * 9 + [0.0] * 3, 4), ([0.5, 0.0], 1), ([0.0, 0.1], 0), ([0.9, 0.8], 8)],
)
def test_regions_fill_every_place(
    overlap: list[float], foreground: int, generator: torch.Generator
) -> None:
    rows, labels = drawn(regions(overlap), generator)
    assert len(rows) == len(labels) == 8
    assert labels.sum() == foreground
    assert ((torch.tensor(overlap)[rows] >= 0.35) == (labels == 1)).all()


def test_regions_between_the_thresholds_only_are_an_error(generator: torch.Generator) -> None:
    with pytest.raises(DataError, match="foreground"):
        drawn(regions([0.2, 0.3]), generator)


def test_regions_are_assigned_by_overlap() -> None:
    boxes = torch.tensor([[0.0, 0, 0, 2, 2, 2], [4.0, 4, 4, 6, 6, 6]])
    rois = torch.tensor([[4.0, 4, 4, 6, 6, 5], [0.0, 0, 0, 2, 1, 2]])
    targets = RegionTargets.of(rois, boxes)
    torch.testing.assert_close(targets.overlap, torch.tensor([0.5, 0.5]))
    assert torch.equal(targets.boxes, boxes.flip(0))
