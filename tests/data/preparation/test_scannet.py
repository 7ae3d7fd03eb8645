from __future__ import annotations

import math

import pytest
import torch

from maskfield.core.errors import DataError
from maskfield.data.preparation.scannet import (
    grid_boxes,
    instance_bounds,
    kept_boxes,
    min_area_box,
)


def test_a_turned_rectangle_is_found_exactly() -> None:
    angle, size = 0.4, torch.tensor([3.0, 1.0, 2.0], dtype=torch.float64)
    signs = torch.tensor([[(i >> s) & 1 for s in (2, 1, 0)] for i in range(8)]).double() - 0.5
    local = signs * size
    x = math.cos(angle) * local[:, 0] - math.sin(angle) * local[:, 1] + 5
    y = math.sin(angle) * local[:, 0] + math.cos(angle) * local[:, 1] - 2
    row = min_area_box(torch.stack([x, y, local[:, 2] + 1], dim=1))
    torch.testing.assert_close(row[:3], torch.tensor([5.0, -2, 1]).double())
    assert float(row[3] * row[4]) == pytest.approx(3)
    assert float(row[5]) == pytest.approx(2)
    along_long_side = row[6] if row[3] > row[4] else row[6] + math.pi / 2
    assert math.sin(float(along_long_side) - angle) == pytest.approx(0, abs=1e-9)


def test_area_agrees_with_shapely_and_all_vertices_are_inside(generator: torch.Generator) -> None:
    shapely = pytest.importorskip("shapely")
    for _ in range(20):
        vertices = torch.randn(30, 3, generator=generator, dtype=torch.float64)
        row = min_area_box(vertices)
        oracle = shapely.MultiPoint(vertices[:, :2].numpy()).minimum_rotated_rectangle.area
        assert float(row[3] * row[4]) == pytest.approx(oracle)
        c, s = math.cos(float(row[6])), math.sin(float(row[6]))
        offset = vertices - row[:3]
        u, v = c * offset[:, 0] + s * offset[:, 1], -s * offset[:, 0] + c * offset[:, 1]
        half = row[3:6] / 2 + 1e-9
        assert (u.abs() <= half[0]).all()
        assert (v.abs() <= half[1]).all()
        assert (offset[:, 2].abs() <= half[2]).all()


@pytest.mark.parametrize("count", [2, 5])
def test_vertices_in_line_are_refused(count: int) -> None:
    line = torch.arange(float(count))[:, None].expand(count, 3)
    with pytest.raises(DataError, match="floor area"):
        min_area_box(line)


def test_boxes_are_scaled_and_filtered() -> None:
    instances = [torch.tensor([[0.0, 0, 0], [2, 1, 1]]), torch.tensor([[-2.0, 0, 0], [0, 1, 4]])]
    bounds = instance_bounds(instances)
    assert bounds.tolist() == [[-2.0, 0.0, 0.0], [2.0, 1.0, 4.0]]
    rows = grid_boxes(torch.tensor([[0.0, 0.5, 2, 2, 1, 1, 0.3]]), bounds, (40, 10, 80))
    assert rows.tolist() == [[20.0, 5.0, 40.0, 20.0, 10.0, 20.0, pytest.approx(0.3)]]
    both = rows.repeat(3, 1)
    both[2, 4] = 7.9
    assert kept_boxes(both, ["chair", "wall", "chair"], {"wall"}) == [0]
    assert kept_boxes(both, ["chair", "wall", "chair"], (), min_side=5.0) == [0, 1, 2]
