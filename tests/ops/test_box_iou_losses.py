"""GIoU, DIoU and enclosing rectangles against shapely, closed forms and finite differences."""

from __future__ import annotations

import math

import pytest
import torch
from shapely.geometry import MultiPoint

from maskfield.core.errors import ConfigError
from maskfield.ops.box_iou import footprint, rotated_overlap
from maskfield.ops.box_iou_enclosing import enclosing_rectangle
from maskfield.ops.box_iou_losses import (
    box_loss,
    diou_loss,
    enclosing_height,
    giou,
    giou_loss,
    linear_iou_loss,
    log_iou_loss,
)
from maskfield.ops.polygon_clip import rectangle_corners

KINDS = ("smallest", "aligned", "pca")


def obbs(count, generator):
    centre = torch.rand(count, 3, generator=generator, dtype=torch.float64) * 4
    size = torch.rand(count, 3, generator=generator, dtype=torch.float64) * 4 + 0.5
    theta = (torch.rand(count, 1, generator=generator, dtype=torch.float64) - 0.5) * 6
    return torch.cat([centre, size, theta], dim=1)


def corners(a, b):
    return rectangle_corners(footprint(a)), rectangle_corners(footprint(b))


def aabbs(boxes):
    return torch.cat([boxes[:, :3] - boxes[:, 3:6] / 2, boxes[:, :3] + boxes[:, 3:6] / 2], dim=1)


def test_smallest_rectangle_is_the_one_of_shapely(generator):
    one, two = corners(obbs(30, generator), obbs(30, generator))
    w, h = enclosing_rectangle(one, two, "smallest")
    for i, points in enumerate(torch.cat([one, two], dim=1)):
        expected = MultiPoint(points.numpy()).minimum_rotated_rectangle.area
        assert float(w[i] * h[i]) == pytest.approx(expected, rel=1e-6)


def test_aligned_and_principal_rectangles(generator):
    one, two = corners(obbs(30, generator), obbs(30, generator))
    points = torch.cat([one, two], dim=1)
    w, h = enclosing_rectangle(one, two, "aligned")
    torch.testing.assert_close(w, points[..., 0].amax(1) - points[..., 0].amin(1))
    torch.testing.assert_close(h, points[..., 1].amax(1) - points[..., 1].amin(1))
    w, h = enclosing_rectangle(one, two, "pca")
    centred = points - points.mean(1, keepdim=True)
    along = centred @ torch.linalg.eigh(centred.mT @ centred).eigenvectors  # minor axis first
    expected = along.amax(1) - along.amin(1)
    torch.testing.assert_close(torch.stack([w, h], 1), expected, atol=1e-9, rtol=0)


def test_principal_axes_of_aligned_boxes_are_x_and_y():
    a, b = torch.tensor([[0.0, 0, 0, 1, 6, 1, 0]]), torch.tensor([[0.0, 0, 0, 2, 3, 1, 0]])
    assert [float(v) for v in enclosing_rectangle(*corners(a, b), "pca")] == [2, 6]
    swapped = [t[:, [0, 1, 2, 4, 3, 5, 6]] for t in (a, b)]
    assert [float(v) for v in enclosing_rectangle(*corners(*swapped), "pca")] == [2, 6]
    assert all(v.isnan() for v in enclosing_rectangle(*corners(a, b), "pca_official"))


def test_giou_and_diou_of_cubes_by_hand():
    """Two cubes of side 2, one moved by 1 along x: U = 12, hull 3 x 2 x 2."""
    a = torch.tensor([[0.0, 0, 0, 2, 2, 2, 0]])
    b = torch.tensor([[1.0, 0, 0, 2, 2, 2, 0]])
    for kind in KINDS:
        assert float(giou_loss(a, b, enclosing=kind)) == pytest.approx(2 / 3)
        assert float(diou_loss(a, b, enclosing=kind)) == pytest.approx(2 / 3 + 1 / 17)
    assert float(giou_loss(aabbs(a), aabbs(b))) == pytest.approx(2 / 3)
    assert float(diou_loss(aabbs(a), aabbs(b))) == pytest.approx(2 / 3 + 1 / 17)
    assert float(log_iou_loss(a, b)) == pytest.approx(-math.log(5 / 13))
    assert float(linear_iou_loss(aabbs(a), aabbs(b), smooth=0.0)) == pytest.approx(2 / 3)
    far = torch.tensor([[100.0, 0, 0, 2, 2, 2, 0]])
    assert float(giou(a, far)) == pytest.approx(-(102 * 4 - 16) / (102 * 4))


@pytest.mark.parametrize("kind", KINDS)
def test_giou_from_its_parts(kind, generator):
    a, b = obbs(20, generator), obbs(20, generator)
    w, h = enclosing_rectangle(*corners(a, b), kind)
    found = rotated_overlap(a, b)
    top = torch.maximum(a[:, 2] + a[:, 5] / 2, b[:, 2] + b[:, 5] / 2)
    height = top - torch.minimum(a[:, 2] - a[:, 5] / 2, b[:, 2] - b[:, 5] / 2)
    torch.testing.assert_close(enclosing_height(a, b), height)
    hull = w * h * height
    torch.testing.assert_close(giou(a, b, enclosing=kind), found.iou - (hull - found.union) / hull)
    flat = giou_loss(footprint(a), footprint(b), enclosing=kind)
    torch.testing.assert_close(flat, 1 - found.iou_2d + (w * h - found.union_2d) / (w * h))
    apart = (a[:, :2] - b[:, :2]).square().sum(1)
    flat = diou_loss(footprint(a), footprint(b), enclosing=kind)
    torch.testing.assert_close(flat, 1 - found.iou_2d + apart / (w**2 + h**2))


@pytest.mark.parametrize("columns", [5, 6, 7])
@pytest.mark.parametrize("loss", ["iou", "linear_iou", "giou", "diou"])
def test_gradients_match_finite_differences(loss, columns, generator):
    pair = [obbs(4, generator) for _ in range(2)]
    change = {5: footprint, 6: aabbs, 7: lambda boxes: boxes}[columns]
    pair = [change(boxes).requires_grad_() for boxes in pair]
    for kind in KINDS if columns != 6 else ("aligned",):
        assert torch.autograd.gradcheck(
            lambda a, b, k=kind: box_loss(loss, a, b, enclosing=k), pair
        )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(2.0, 2.0, 2.0), (0.0, 2.0, 2.0), (0.0, 0.0, 0.0)])
def test_identical_and_empty_boxes_have_finite_losses_and_gradients(size, kind):
    row = [5.0, 5.0, 5.0, *size, 0.0]
    a, b = (torch.tensor([row], requires_grad=True) for _ in range(2))
    for loss in (giou_loss, diou_loss):
        value = loss(a, b, enclosing=kind)
        assert value.item() == pytest.approx(0 if min(size) > 0 else 1)
        value.sum().backward()
    assert torch.isfinite(a.grad).all()
    assert torch.isfinite(b.grad).all()


def test_losses_keep_their_digits_far_from_the_origin(generator):
    a, b = obbs(20, generator), obbs(20, generator)
    away = torch.tensor([1024.0, 2048.0, 512.0, 0, 0, 0, 0], dtype=torch.float64)
    moved = [(t + away).float() for t in (a, b)]
    exact = [t.double() - away for t in moved]
    for kind in ("smallest", "aligned"):
        torch.testing.assert_close(
            giou_loss(*moved, enclosing=kind).double(),
            giou_loss(*exact, enclosing=kind),
            atol=1e-5,
            rtol=0,
        )


def test_unknown_names_are_refused():
    boxes = torch.tensor([[0.0, 0, 0, 2, 2, 2, 0]])
    with pytest.raises(ConfigError, match="unknown box loss"):
        box_loss("ciou", boxes, boxes)
    with pytest.raises(ConfigError, match="unknown enclosing"):
        giou_loss(boxes, boxes, enclosing="largest")
