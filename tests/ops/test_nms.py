"""Non-maximum suppression against the definition, one box at a time."""

from __future__ import annotations

import math

import pytest
import torch

from maskfield.core.errors import DataError
from maskfield.ops.box_iou import aabb_iou, rotated_iou
from maskfield.ops.nms import centre_inside, clip_aabb, nms, remove_small

BACKENDS = ("torch", "numba")


def boxes_of(columns, count, generator, dtype=torch.float32):
    centre = torch.rand(count, 3, generator=generator, dtype=dtype) * 12
    size = torch.rand(count, 3, generator=generator, dtype=dtype) * 8 + 1
    if columns == 6:
        return torch.cat([centre - size / 2, centre + size / 2], dim=1)
    theta = torch.rand(count, 1, generator=generator, dtype=dtype) * 6
    return torch.cat([centre, size, theta], dim=1)


def by_definition(boxes, scores, threshold, groups=None):
    iou = (aabb_iou if boxes.shape[1] == 6 else rotated_iou)(boxes, boxes)
    kept = []
    for i in scores.argsort(descending=True, stable=True).tolist():
        rivals = [j for j in kept if groups is None or groups[i] == groups[j]]
        if all(bool(iou[j, i] <= threshold) for j in rivals):
            kept.append(i)
    return kept


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("columns", [6, 7])
@pytest.mark.parametrize("backend", BACKENDS)
def test_matches_the_definition(backend, columns, threshold, dtype, generator):
    boxes = boxes_of(columns, 150, generator, dtype)
    scores = torch.rand(150, generator=generator)
    groups = torch.randint(0, 3, (150,), generator=generator)
    found = nms(boxes, scores, threshold, backend=backend)
    assert 5 < len(found) < 150
    assert found.tolist() == by_definition(boxes, scores, threshold)
    found = nms(boxes, scores, threshold, groups=groups, backend=backend)
    assert found.tolist() == by_definition(boxes, scores, threshold, groups)


@pytest.mark.parametrize("columns", [6, 7])
@pytest.mark.parametrize("backend", BACKENDS)
def test_equal_scores_keep_the_lower_row_and_the_threshold_itself_survives(backend, columns):
    rows = {6: [[0.0, 0, 0, 2, 2, 2], [1.0, 0, 0, 3, 2, 2]]}
    rows[7] = [[1.0, 1, 1, 2, 2, 2, 0], [2.0, 1, 1, 2, 2, 2, 0]]  # IoU 1/3
    boxes = torch.tensor(rows[columns])[[0, 0, 1]]
    scores = torch.full((3,), 0.5)
    assert nms(boxes, scores, 0.34, backend=backend).tolist() == [0, 2]
    assert nms(boxes, scores, 0.33, backend=backend).tolist() == [0]
    half = torch.tensor([[0.0, 0, 0, 1, 1, 1], [0.0, 0, 0, 1, 1, 2]])  # IoU 1/2 exactly
    assert nms(half, scores[:2], 0.5, backend=backend).tolist() == [0, 1]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_long_chain_of_suppression(backend):
    """Each box touches only the next: every second one stays."""
    x = torch.arange(50, dtype=torch.float32)[:, None]
    boxes = torch.cat([x, x * 0, x * 0, x + 1.6, x * 0 + 1, x * 0 + 1], dim=1)
    found = nms(boxes, -x.flatten(), 0.1, backend=backend)
    assert found.tolist() == list(range(0, 50, 2))


@pytest.mark.parametrize("backend", BACKENDS)
def test_empty_boxes_of_no_volume_and_no_boxes(backend):
    flat = torch.tensor([[1.0, 1, 1, 1, 1, 1], [5.0, 5, 5, 5, 5, 5]])
    assert nms(flat, torch.tensor([0.1, 0.2]), 0.3, backend=backend).tolist() == [1]  # 0/0 is NaN
    point = torch.tensor([[1.0, 1, 1, 0, 0, 0, 0], [1.0, 1, 1, 0, 0, 0, 0]])
    assert nms(point, torch.tensor([0.1, 0.2]), 0.3, backend=backend).tolist() == [1, 0]
    for columns in (6, 7):
        assert nms(torch.zeros(0, columns), torch.zeros(0), 0.3, backend=backend).shape == (0,)


def test_bad_input_is_refused(generator):
    boxes, scores = boxes_of(7, 4, generator), torch.rand(4, generator=generator)
    with pytest.raises(DataError, match="7 columns"):
        nms(boxes[:, :5], scores, 0.5)
    with pytest.raises(DataError, match="one score"):
        nms(boxes, scores[:3], 0.5)
    with pytest.raises(DataError, match="one score"):
        nms(boxes, scores, 0.5, groups=torch.zeros(3, dtype=torch.long))
    boxes[2, 6] = math.nan
    with pytest.raises(DataError, match="row 2"):
        nms(boxes, scores, 0.5)


def test_filters():
    boxes = torch.tensor([[-1.0, 0, 0, 2, 3, 30], [0.0, 0, 0, 2, 1, 4]])
    assert clip_aabb(boxes, (10, 2, 20)).tolist() == [[0, 0, 0, 2, 2, 20], [0, 0, 0, 2, 1, 4]]
    assert remove_small(boxes, 2.0).tolist() == [0]
    assert remove_small(boxes, 1.0).tolist() == [0, 1]
    rows = torch.tensor([[0.0, 10, 5, 3, 2, 4, 1], [5.0, 5, 10.1, 9, 9, 9, 0]])
    assert remove_small(rows, 3.0).tolist() == [1]
    assert centre_inside(rows, (10, 10, 10)).tolist() == [True, False]
