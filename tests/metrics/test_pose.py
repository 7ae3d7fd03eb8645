"""Pose errors against their definitions; curves over steps and time."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.spatial.transform import Rotation

from maskfield.core.errors import DataError
from maskfield.geometry.se3 import compose, exp
from maskfield.metrics.pose import (
    held_to,
    pose_score,
    rotation_error,
    succeeded,
    success_curve,
    translation_error,
)


def pose(angle: float, shift: float = 0.0) -> torch.Tensor:
    twist = torch.tensor([shift, 0.0, 0.0, 0.0, 0.0, angle], dtype=torch.float64)
    return exp(twist)


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-5, 0.3, 3.1, math.pi])
def test_rotation_error_is_the_angle_also_near_its_ends(angle: float) -> None:
    base = exp(torch.tensor([0.1, 0.2, 0.3, 0.4, -0.5, 0.6], dtype=torch.float64))
    error = rotation_error(compose(pose(angle), base), base)
    assert float(error) == pytest.approx(math.degrees(angle), abs=1e-6)


def test_errors_agree_with_scipy() -> None:
    twists = torch.randn(2, 8, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    a, b = exp(twists[0]), exp(twists[1])
    turns = Rotation.from_matrix(a[:, :, :3]) * Rotation.from_matrix(b[:, :, :3]).inv()
    expected = torch.rad2deg(torch.from_numpy(turns.magnitude()))
    torch.testing.assert_close(rotation_error(a, b), expected)
    torch.testing.assert_close(translation_error(a, b), (a[:, :, 3] - b[:, :, 3]).norm(dim=1))


def test_score_counts_what_is_within_both_thresholds() -> None:
    true = pose(0.0).expand(4, 3, 4)
    found = torch.stack([pose(0.01, 0.01), pose(0.2, 0.01), pose(0.01, 0.2), pose(0.5, 0.5)])
    score = pose_score(found, true)
    assert (score.runs, score.success) == (4, 0.25)
    assert (score.rotation, score.translation) == (0.5, 0.5)
    degrees = [0.01, 0.01, 0.2, 0.5]
    assert score.median_degrees == pytest.approx(math.degrees(sum(degrees[1:3]) / 2))
    assert score.mean_degrees == pytest.approx(math.degrees(sum(degrees) / 4))


def test_nan_is_no_success() -> None:
    nan = torch.tensor([float("nan"), 1.0])
    assert succeeded(nan, torch.zeros(2)).tolist() == [False, True]


def test_scores_need_pairs() -> None:
    with pytest.raises(DataError, match="pairs"):
        pose_score(pose(0.0)[None], pose(0.0).expand(2, 3, 4))
    with pytest.raises(DataError, match="pairs"):
        pose_score(torch.empty(0, 3, 4), torch.empty(0, 3, 4))


def test_success_curve_and_time() -> None:
    degrees = torch.tensor([[10.0, 4.0, 1.0], [10.0, 9.0, 8.0]])
    units = torch.full((2, 3), 0.01)
    assert success_curve(degrees, units).tolist() == [0.0, 0.5, 0.5]
    seconds = torch.tensor([[0.0, 1.0, 2.0], [0.0, 2.0, 4.0]])
    on_time = held_to(degrees, seconds, torch.tensor([-1.0, 0.5, 1.0, 3.0, 9.0]))
    assert on_time.tolist() == [[10.0, 10.0, 4.0, 1.0, 1.0], [10.0, 10.0, 10.0, 9.0, 8.0]]
