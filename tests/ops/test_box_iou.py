"""Rotated and axis-aligned IoU against shapely, closed forms and finite differences."""

from __future__ import annotations

import math

import pytest
import torch
from shapely import affinity
from shapely.geometry import Polygon, box

from maskfield.core.errors import ConfigError, DataError
from maskfield.ops.box_iou import (
    aabb_iou,
    aabb_iou_matched,
    check_boxes,
    footprint,
    rotated_iou,
    rotated_iou_matched,
    rotated_overlap,
)
from maskfield.ops.polygon_clip import rectangle_corners, rectangle_overlap

BACKENDS = ("torch", "numba")
UNIT = [0.0, 0.0, 0.0, 2.0, 2.0, 2.0, 0.0]


def obbs(count, generator, spread=6.0):
    centre = torch.rand(count, 3, generator=generator, dtype=torch.float64) * spread
    size = torch.rand(count, 3, generator=generator, dtype=torch.float64) * 5 + 0.3
    theta = (torch.rand(count, 1, generator=generator, dtype=torch.float64) - 0.5) * 8
    return torch.cat([centre, size, theta], dim=1)


def outline(row):
    x, y, _, w, d, _, theta = row.tolist()
    flat = box(x - w / 2, y - d / 2, x + w / 2, y + d / 2)
    return affinity.rotate(flat, theta, origin=(x, y), use_radians=True)


def oracle(a, b):
    """IoU by shapely and an interval in z."""
    low = max(a[2] - a[5] / 2, b[2] - b[5] / 2)
    high = min(a[2] + a[5] / 2, b[2] + b[5] / 2)
    shared = outline(a).intersection(outline(b)).area * max(0.0, float(high - low))
    return shared / float(a[3:6].prod() + b[3:6].prod() - shared)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("backend", BACKENDS)
def test_pairwise_matches_shapely(backend, dtype, generator):
    a, b = obbs(12, generator), obbs(17, generator)
    found = rotated_iou(a.to(dtype), b.to(dtype), backend=backend)
    expected = torch.tensor([[oracle(p, q) for q in b] for p in a], dtype=torch.float64)
    assert found.dtype == dtype
    assert (expected > 0.05).sum() > 20
    atol = 2e-6 if dtype == torch.float32 else 1e-12
    torch.testing.assert_close(found.double(), expected, atol=atol, rtol=0)


def test_matched_gives_areas_and_the_diagonal(generator):
    a, b = obbs(40, generator), obbs(40, generator)
    found = rotated_overlap(a, b)
    pairs = zip(a, b, strict=True)
    area = [outline(p).intersection(outline(q)).area for p, q in pairs]
    torch.testing.assert_close(found.area_2d, torch.tensor(area, dtype=a.dtype), atol=1e-12, rtol=0)
    torch.testing.assert_close(found.iou, rotated_iou(a, b).diagonal(), atol=1e-14, rtol=0)
    torch.testing.assert_close(found.iou, rotated_iou_matched(a, b))


@pytest.mark.parametrize("backend", BACKENDS)
def test_rectangles_and_batches(backend, generator):
    a, b = obbs(2 * 5, generator).view(2, 5, 7), obbs(3, generator)
    found = rotated_iou(footprint(a), footprint(b), backend=backend)
    assert found.shape == (2, 5, 3)
    for i in range(2):
        flat = rotated_overlap(a[i][:, None], b[None]).iou_2d
        torch.testing.assert_close(found[i], flat, atol=1e-12, rtol=0)
    three = rotated_iou(a, b, backend=backend)
    torch.testing.assert_close(three[1], rotated_iou(a[1], b, backend=backend))


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_boxes(backend):
    none, some = torch.zeros(0, 7), torch.tensor([UNIT])
    assert rotated_iou(none, some, backend=backend).shape == (0, 1)
    assert rotated_iou(some, none, backend=backend).shape == (1, 0)


def turned(row, angle=0.0, shift=(0.0, 0.0, 0.0), size=None):
    values = list(row)
    values[:3] = [v + s for v, s in zip(row[:3], shift, strict=True)]
    values[3:6] = size or row[3:6]
    values[6] += angle
    return values


DEGENERATE = {
    "identical": (UNIT, UNIT, 1.0),
    "identical at 45 degrees": (turned(UNIT, math.pi / 4), turned(UNIT, math.pi / 4), 1.0),
    "turned by half a turn": (turned(UNIT, 0.4), turned(UNIT, 0.4 + math.pi), 1.0),
    "sides swapped": (turned(UNIT, size=[4, 3, 2]), turned(UNIT, math.pi / 2, size=[3, 4, 2]), 1.0),
    "turned by 1e-7": (UNIT, turned(UNIT, 1e-7), 1.0 - 1e-7),
    "touching in x": (UNIT, turned(UNIT, shift=(2, 0, 0)), 0.0),
    "touching in z": (UNIT, turned(UNIT, shift=(0, 0, 2)), 0.0),
    "a shared corner": (UNIT, turned(UNIT, shift=(2, 2, 0)), 0.0),
    "tip on a face": (UNIT, turned(UNIT, math.pi / 4, (1 + math.sqrt(2), 0, 0)), 0.0),
    "half over, edges shared": (UNIT, turned(UNIT, shift=(1, 0, 0)), 1 / 3),
    "inside, sharing a corner": (UNIT, turned(UNIT, shift=(0.5, 0.5, 0), size=[1, 1, 2]), 0.25),
    "inside, not touching": (UNIT, turned(UNIT, 0.3, size=[0.5, 0.5, 0.5]), 0.125 / 8),
    "an octagon": (UNIT, turned(UNIT, math.pi / 4), 1 / math.sqrt(2)),
    "no width": (UNIT, turned(UNIT, size=[0, 2, 2]), 0.0),
    "both empty": (turned(UNIT, size=[0, 0, 0]), turned(UNIT, size=[0, 0, 0]), 0.0),
    "far apart": (UNIT, turned(UNIT, 0.7, (1e4, -1e4, 0)), 0.0),
}


@pytest.mark.parametrize("place", [(0.0, 0.0, 0.0), (2048.0, -1024.0, 512.0)])
@pytest.mark.parametrize("name", DEGENERATE)
@pytest.mark.parametrize("backend", BACKENDS)
def test_degenerate_pairs_are_exact_in_float32_wherever_they_lie(backend, name, place):
    a, b, expected = DEGENERATE[name]
    pair = [torch.tensor([turned(row, shift=place)]) for row in (a, b)]
    for first, second in (pair, pair[::-1]):
        found = float(rotated_iou(first, second, backend=backend))
        assert found == pytest.approx(expected, abs=1e-6 if place[0] == 0 else 3e-4)
        assert expected > 0 or found == 0.0 or "tip" in name


def test_gradients_match_finite_differences(generator):
    a, b = obbs(60, generator), obbs(60, generator)
    keep = (rotated_overlap(a, b).iou > 0.02).nonzero().flatten()[:8]
    assert len(keep) == 8
    a, b = a[keep].requires_grad_(), b[keep].requires_grad_()
    assert torch.autograd.gradcheck(rotated_iou_matched, (a, b))
    assert torch.autograd.gradcheck(rotated_iou, (a[:2], b[:3]))
    flat = [footprint(t).detach().requires_grad_() for t in (a, b)]
    assert torch.autograd.gradcheck(rectangle_overlap, flat)


@pytest.mark.parametrize("name", DEGENERATE)
def test_gradients_of_degenerate_pairs_are_finite(name):
    a, b = (torch.tensor([r], requires_grad=True) for r in DEGENERATE[name][:2])
    rotated_iou_matched(a, b).sum().backward()
    assert torch.isfinite(a.grad).all()
    assert torch.isfinite(b.grad).all()


def test_a_gradient_of_an_almost_upright_edge_stays_finite():
    b = torch.tensor([UNIT])
    for angle in (1e-20, 1e-12, 1e-6):
        a = torch.tensor([turned(UNIT, angle, (0.3, 0.2, 0.1))], requires_grad=True)
        rotated_iou_matched(a, b).sum().backward()
        assert a.grad.abs().max() < 2


def test_identical_boxes_pull_back_when_moved_apart():
    """IoU falls by (2 - d) / (2 + d) as a cube of side 2 moves by d: slope -1 at d = 0+."""
    a = torch.tensor([turned(UNIT, shift=(1e-3, 0, 0))], requires_grad=True)
    rotated_iou_matched(a, torch.tensor([UNIT])).sum().backward()
    assert float(a.grad[0, 0]) == pytest.approx(-1, abs=5e-3)


def test_corners_are_counter_clockwise_and_at_the_half_sizes(generator):
    boxes = footprint(obbs(5, generator))
    corners = rectangle_corners(boxes)
    for row, points in zip(boxes, corners, strict=True):
        area = float(row[2] * row[3])
        assert Polygon(points.numpy()).exterior.is_ccw
        assert Polygon(points.numpy()).area == pytest.approx(area)
    flat = rectangle_corners(torch.tensor([[1.0, 2.0, 4.0, 2.0, 0.0]]))
    assert flat.tolist() == [[[3, 3], [-1, 3], [-1, 1], [3, 1]]]


def test_aabb_iou_by_hand_and_against_rotated(generator):
    a, b = obbs(6, generator), obbs(7, generator)
    a[:, 6] = b[:, 6] = 0
    corners = [torch.cat([t[:, :3] - t[:, 3:6] / 2, t[:, :3] + t[:, 3:6] / 2], 1) for t in (a, b)]
    torch.testing.assert_close(aabb_iou(*corners), rotated_iou(a, b), atol=1e-12, rtol=0)
    torch.testing.assert_close(
        aabb_iou_matched(corners[0], corners[1][:6]), aabb_iou(*corners)[:, :6].diagonal()
    )
    cube = torch.tensor([[0.0, 0, 0, 2, 2, 2]])
    others = [[1.0, 0, 0, 3, 2, 2], [2.0, 0, 0, 4, 2, 2], [1.0, 1, 1, 1, 1, 1]]
    torch.testing.assert_close(aabb_iou(cube, torch.tensor(others)), torch.tensor([[1 / 3, 0, 0]]))
    point = torch.tensor(others[2:])
    assert aabb_iou(point, point).isnan().all()


def test_aabb_iou_gradient(generator):
    low = torch.rand(5, 3, generator=generator, dtype=torch.float64)
    a = torch.cat([low, low + 1 + low.flip(1)], 1).requires_grad_()
    b = torch.cat([low + 0.3, low + 1.2], 1).requires_grad_()
    assert torch.autograd.gradcheck(aabb_iou_matched, (a, b))


def test_no_gradient_means_a_numba_result_and_grad_means_torch(generator):
    a, b = obbs(3, generator).requires_grad_(), obbs(3, generator)
    assert rotated_iou(a, b).requires_grad
    with torch.no_grad():
        assert not rotated_iou(a, b, backend="numba").requires_grad
    with pytest.raises(ConfigError, match="no gradient"):
        rotated_iou(a, b, backend="numba")


def test_wrong_columns_are_refused():
    with pytest.raises(DataError, match="7 columns"):
        rotated_iou(torch.zeros(2, 6), torch.zeros(2, 7))
    with pytest.raises(DataError, match="6 columns"):
        aabb_iou(torch.zeros(2, 7), torch.zeros(2, 6))


@pytest.mark.parametrize("columns", [5, 6, 7])
def test_check_boxes_names_the_first_bad_row(columns):
    sizes = {5: slice(2, 4), 6: slice(3, 6), 7: slice(3, 6)}[columns]
    boxes = torch.zeros(4, columns)
    boxes[:, sizes] = 1
    check_boxes(boxes)
    check_boxes(boxes[:0])
    for value in (0.0, -1.0, math.nan, math.inf):
        bad = boxes.clone()
        bad[2, sizes.start] = value
        with pytest.raises(DataError, match="row 2") as caught:
            check_boxes(bad, file="boxes.npy")
        assert caught.value.file == "boxes.npy"
    with pytest.raises(DataError, match="7 columns"):
        check_boxes(torch.ones(3, 8))
