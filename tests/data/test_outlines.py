"""Outlines against a plain definition of a border pixel; ellipses against drawn ones."""

from __future__ import annotations

import math

import numpy as np
import pytest

from maskfield.core.errors import DataError
from maskfield.data.outlines import fit_ellipse, outline_corners


def drawn(height=90, width=120, centre=(60.3, 40.8), axes=(50.0, 22.0), turn=0.4) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    dx, dy = x - centre[0], y - centre[1]
    u = dx * math.cos(turn) + dy * math.sin(turn)
    v = -dx * math.sin(turn) + dy * math.cos(turn)
    return (u / (axes[0] / 2 * 1.0)) ** 2 + (v / (axes[1] / 2)) ** 2 <= 1


def test_corners_of_a_rectangle():
    mask = np.zeros((20, 30), bool)
    mask[4:9, 6:17] = True
    assert sorted(map(tuple, outline_corners(mask).tolist())) == [(6, 4), (6, 8), (16, 4), (16, 8)]


def test_corners_lie_on_the_border_and_reach_its_extremes():
    mask = drawn()
    x, y = outline_corners(mask).T
    inner = mask[:-2, 1:-1] & mask[2:, 1:-1] & mask[1:-1, :-2] & mask[1:-1, 2:]
    assert mask[y, x].all()
    assert not inner[y - 1, x - 1].any()
    rows, columns = np.nonzero(mask)
    assert (x.min(), x.max(), y.min(), y.max()) == (
        columns.min(),
        columns.max(),
        rows.min(),
        rows.max(),
    )


def test_the_largest_part_counts_and_thin_parts_are_walked_both_ways():
    mask = np.zeros((20, 40), bool)
    mask[2:5, 2:5] = True
    mask[10, 5:35] = True
    assert sorted(map(tuple, outline_corners(mask).tolist())) == [(5, 10), (34, 10)]
    mask[:] = False
    mask[7, 9] = True
    assert outline_corners(mask).tolist() == [[9, 7]]
    with pytest.raises(DataError, match="empty"):
        outline_corners(np.zeros((4, 4), bool))


@pytest.mark.parametrize("turn", [0.0, 0.4, 1.2, math.pi / 2])
def test_ellipse_of_a_drawn_mask(turn):
    found = fit_ellipse(outline_corners(drawn(turn=turn)))
    assert found.centre == pytest.approx((60.3, 40.8), abs=0.35)
    assert (found.major, found.minor) == pytest.approx((50, 22), abs=1.5)


def test_ellipse_through_exact_points():
    angle = np.linspace(0, 2 * math.pi, 17)[:-1]
    points = np.stack([400 + 30 * np.cos(angle), -20 + 7 * np.sin(angle)], axis=1)
    found = fit_ellipse(points)
    assert found.centre == pytest.approx((400, -20), abs=1e-6)
    assert (found.major, found.minor) == pytest.approx((60, 14), abs=1e-6)


def test_no_ellipse():
    with pytest.raises(DataError, match="no ellipse"):
        fit_ellipse(np.array([[0, 0], [5, 0], [5, 5], [0, 5]]))
    line = np.stack([np.arange(9.0), 2 * np.arange(9.0)], axis=1)
    with pytest.raises(DataError, match="no ellipse"):
        fit_ellipse(line)
