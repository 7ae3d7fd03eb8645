from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from maskfield.methods.nerf_rpn.coders.aligned import decode_aligned, encode_aligned
from maskfield.methods.nerf_rpn.coders.fcos import collapses, decode_oriented, encode_oriented
from maskfield.methods.nerf_rpn.coders.midpoint import decode_midpoint, encode_midpoint
from maskfield.methods.nerf_rpn.coders.regions import decode_in_region, encode_in_region
from maskfield.methods.nerf_rpn.geometry import corners_2d, diagonal_points, outer_aligned
from maskfield.ops.box_iou import rotated_iou_matched

SMALL_ANGLE = -0.02  # one corner within the official tolerance of its side, the other not


@pytest.fixture
def boxes(generator: torch.Generator) -> Tensor:
    u = torch.rand(64, 7, generator=generator)
    angle = (u[:, 6:] - 0.5) * 2 * math.pi
    return torch.cat([u[:, :3] * 40, 3 + u[:, 3:6] * 12, angle], dim=1)


@pytest.fixture
def anchors(generator: torch.Generator) -> Tensor:
    u = torch.rand(64, 6, generator=generator)
    return torch.cat([u[:, :3] * 40, u[:, :3] * 40 + 4 + 8 * u[:, 3:]], dim=1)


def test_aligned_round_trip(boxes: Tensor, anchors: Tensor) -> None:
    outer = outer_aligned(boxes)
    back = decode_aligned(encode_aligned(outer, anchors), anchors)
    torch.testing.assert_close(back, outer, atol=1e-4, rtol=1e-4)


def test_oriented_coders_keep_the_box(boxes: Tensor, anchors: Tensor) -> None:
    for back in (
        decode_oriented(anchors[:, :3], encode_oriented(anchors[:, :3], boxes, "exact")),
        decode_midpoint(encode_midpoint(boxes, anchors, "exact"), anchors),
        decode_in_region(encode_in_region(boxes, boxes.flip(0)), boxes.flip(0)),
    ):
        assert rotated_iou_matched(back, boxes).min() > 0.999


def test_the_official_tolerance_makes_slivers_and_the_exact_one_does_not() -> None:
    box = torch.tensor([[20.0, 18.0, 15.0, 8.0, 4.0, 6.0, SMALL_ANGLE]])
    anchor = torch.tensor([[15.0, 15.0, 11.0, 24.0, 21.0, 19.0]])
    point = torch.zeros(1, 3)
    official = [
        decode_oriented(point, encode_oriented(point, box)),
        decode_midpoint(encode_midpoint(box, anchor), anchor),
    ]
    exact = [
        decode_oriented(point, encode_oriented(point, box, "exact")),
        decode_midpoint(encode_midpoint(box, anchor, "exact"), anchor),
    ]
    assert all(rotated_iou_matched(found, box) < 0.2 for found in official)
    assert all(rotated_iou_matched(found, box) > 0.999 for found in exact)


def test_decoded_angles_lie_in_half_a_turn(boxes: Tensor, anchors: Tensor) -> None:
    found = decode_midpoint(encode_midpoint(boxes, anchors), anchors)
    assert (found[:, 3] >= found[:, 4]).all()
    assert (found[:, 6] >= -math.pi / 2 - 1e-6).all()
    assert (found[:, 6] < math.pi / 2 + 1e-6).all()
    turned = decode_in_region(torch.zeros(64, 7), boxes)
    assert (turned[:, 6].abs() <= math.pi / 2 + 1e-6).all()


def test_a_box_without_width_has_no_direction_and_no_nan() -> None:
    regression = torch.zeros(1, 8, requires_grad=True)
    box = decode_oriented(torch.ones(1, 3), regression)
    box.sum().backward()
    assert collapses(box).item()
    assert torch.isfinite(box).all()
    assert regression.grad is not None
    assert torch.isfinite(regression.grad).all()


@pytest.mark.parametrize("coder", ["fcos", "midpoint"])
def test_decoding_has_the_right_gradient(coder: str, generator: torch.Generator) -> None:
    given = torch.rand(3, 8, generator=generator, dtype=torch.float64) * 0.4 + 0.05
    reference = torch.tensor([[1.0, 2, 3, 9, 8, 7]], dtype=torch.float64).expand(3, 6)
    given[:, 6:] -= torch.tensor([0.1, 0.4])

    def decode(x: Tensor) -> Tensor:
        if coder == "fcos":
            return decode_oriented(reference[:, :3], x)
        return decode_midpoint(x, reference)

    assert torch.autograd.gradcheck(decode, given.requires_grad_())


def test_corners_and_diagonals_are_those_of_the_box() -> None:
    box = torch.tensor([[10.0, 20.0, 5.0, 4.0, 2.0, 6.0, math.pi / 2]])
    expected = torch.tensor([[9.0, 22], [9, 18], [11, 18], [11, 22]])
    torch.testing.assert_close(corners_2d(box)[0], expected)
    low, high = diagonal_points(box)[:, 0]
    torch.testing.assert_close(low, torch.tensor([11.0, 18, 2]))
    torch.testing.assert_close(high, torch.tensor([9.0, 22, 8]))
