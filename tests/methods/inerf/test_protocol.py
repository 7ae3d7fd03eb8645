"""Start poses: how far they are, that they repeat, and both ways through a file."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from maskfield.core.errors import DataError
from maskfield.geometry.se3 import compose, exp
from maskfield.methods.inerf.protocol import (
    FORWARD_FACING,
    SYNTHETIC,
    StartRange,
    draw_starts,
    euler_perturbed,
    in_data_set_world,
    load_starts,
    perturbed,
    save_starts,
    scaled_range,
)
from maskfield.metrics.pose import rotation_error, translation_error


@pytest.fixture
def true(generator: torch.Generator) -> torch.Tensor:
    return exp(torch.randn(6, 6, generator=generator))


def test_starts_stay_within_their_range(true: torch.Tensor, generator: torch.Generator) -> None:
    spread = StartRange(degrees=30.0, units=0.1, about="camera")
    starts = draw_starts(true, 50, spread, generator)
    assert len(starts) == 300
    angle = rotation_error(starts.start, starts.true)
    assert float(angle.max()) <= 30.001
    assert float(angle.mean()) == pytest.approx(15, abs=1.5)
    shift = (starts.start - starts.true)[:, :, 3]
    assert float(shift.abs().max()) <= 0.1001
    torch.testing.assert_close(starts.true, true[starts.image])


def test_about_the_origin_the_camera_swings_too(true: torch.Tensor) -> None:
    axis, angle = torch.tensor([[0.0, 0.0, 2.0]]), torch.tensor([0.3])
    shift = torch.tensor([[0.1, 0.2, 0.3]])
    moved = perturbed(true, axis, angle, shift)
    turned = perturbed(true, axis, angle, shift, "camera")
    torch.testing.assert_close(moved[:, :, :3], turned[:, :, :3])
    torch.testing.assert_close(translation_error(turned, true), shift.norm(dim=1).expand(6))
    c, s = math.cos(0.3), math.sin(0.3)
    expected = true[:, :, 3] @ torch.tensor([[c, -s, 0], [s, c, 0], [0, 0, 1.0]]).T + shift
    torch.testing.assert_close(moved[:, :, 3], expected)


def test_euler_layouts_differ_in_what_moves_first(true: torch.Tensor) -> None:
    zero, shift = torch.zeros(6), torch.full((6,), 0.5)
    a = euler_perturbed(true, zero, zero, zero, shift, "blender")
    b = euler_perturbed(true, zero, zero, zero, shift, "llff")
    torch.testing.assert_close(a, b)
    psi = torch.full((6,), math.pi / 2)
    c = euler_perturbed(true, zero, zero, psi, shift, "blender")
    d = euler_perturbed(true, zero, zero, psi, shift, "llff")
    torch.testing.assert_close(c[:, :, :3], d[:, :, :3])
    # the turn about x by 90 degrees brings z to -y
    difference = (d - c)[:, :, 3]
    torch.testing.assert_close(difference, torch.tensor([0.0, -0.5, -0.5]).expand(6, 3))


def test_seeds_repeat_and_files_keep(true: torch.Tensor, tmp_path: Path) -> None:
    a, b = (draw_starts(true, 3, SYNTHETIC, torch.Generator().manual_seed(5)) for _ in range(2))
    torch.testing.assert_close(a.start, b.start, rtol=0, atol=0)
    save_starts(a, tmp_path / "starts.json")
    back = load_starts(tmp_path / "starts.json")
    torch.testing.assert_close(back.start, a.start, rtol=0, atol=0)
    assert back.image.tolist() == a.image.tolist()
    (tmp_path / "starts.json").write_text('{"format_version": 1, "image": [0]}')
    with pytest.raises(DataError, match=r"starts\.json"):
        load_starts(tmp_path / "starts.json")


def test_ranges() -> None:
    assert (SYNTHETIC.units, FORWARD_FACING.units) == (0.2, 0.1)
    assert scaled_range(FORWARD_FACING, 0.5).units == pytest.approx(0.05)
    assert scaled_range(FORWARD_FACING, 0.5).degrees == 40.0


def test_an_estimate_relative_to_a_made_up_source(true: torch.Tensor) -> None:
    """The world of the field is the data's, moved: the estimate comes back where it belongs."""
    field_from_data = exp(torch.tensor([0.3, -0.2, 0.9, 0.5, 0.4, -0.3]))
    source, target = true[0], true[1]
    found = in_data_set_world(
        compose(field_from_data, target), compose(field_from_data, source), source
    )
    torch.testing.assert_close(found, target)
