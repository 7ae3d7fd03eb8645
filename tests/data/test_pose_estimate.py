"""PoseEstimate: both ways through JSON, and its uncertainties."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from maskfield.core.errors import DataError, SceneError
from maskfield.data.pose_estimate import PoseEstimate, PoseTrace, load_pose, save_pose
from maskfield.geometry.se3 import compose, exp


def an_estimate(covariance: torch.Tensor | None = None) -> PoseEstimate:
    twist = torch.randn(3, 6, generator=torch.Generator().manual_seed(0))
    poses = exp(twist)
    trace = PoseTrace(
        losses=torch.tensor([0.5, math.inf, 0.1]),
        poses=poses,
        seconds=torch.tensor([0.0, 1.0, 2.0]),
    )
    return PoseEstimate(
        camera_to_world=poses[-1],
        verdict="converged",
        loss=0.1,
        reason="one clear minimum",
        covariance=covariance,
        trace=trace,
    )


@pytest.mark.parametrize("covariance", [None, torch.eye(6) * 1e-4])
def test_round_trip(tmp_path: Path, covariance: torch.Tensor | None) -> None:
    estimate = an_estimate(covariance)
    save_pose(estimate, tmp_path / "pose.json")
    back = load_pose(tmp_path / "pose.json")
    assert back.verdict == "converged"
    assert back.reason == "one clear minimum"
    assert back.loss == pytest.approx(0.1)
    torch.testing.assert_close(back.camera_to_world, estimate.camera_to_world, rtol=0, atol=0)
    assert back.trace is not None
    assert estimate.trace is not None
    torch.testing.assert_close(back.trace.poses, estimate.trace.poses, rtol=0, atol=0)
    assert math.isinf(float(back.trace.losses[1]))
    assert (back.covariance is None) == (covariance is None)


def test_deviations_agree_with_drawn_poses() -> None:
    generator = torch.Generator().manual_seed(1)
    factor = torch.randn(6, 6, generator=generator, dtype=torch.float64) * 1e-3
    estimate = an_estimate((factor @ factor.T).float())
    twists = torch.randn(20000, 6, generator=generator, dtype=torch.float64) @ factor.T
    moved = compose(exp(twists), estimate.camera_to_world.double())
    centres = moved[:, :, 3] - estimate.camera_to_world[:, 3]
    assert estimate.centre_deviation == pytest.approx(
        float(centres.square().sum(1).mean().sqrt()), rel=0.03
    )
    angle = float(twists[:, 3:].square().sum(1).mean().sqrt())
    assert estimate.angle_deviation == pytest.approx(math.degrees(angle), rel=0.03)


def test_no_covariance_no_deviation() -> None:
    assert an_estimate().centre_deviation is None
    assert an_estimate().angle_deviation is None


@pytest.mark.parametrize(
    ("key", "value", "error"),
    [
        ("format_version", 99, DataError),
        ("verdict", "perhaps", DataError),
        ("camera_to_world", [[1.0, 2.0]], DataError),
        ("camera_to_world", [[2.0, 0, 0, 0], [0, 2.0, 0, 0], [0, 0, 2.0, 0]], SceneError),
    ],
)
def test_a_damaged_file_is_refused_by_name(
    tmp_path: Path, key: str, value: object, error: type[Exception]
) -> None:
    content = an_estimate().to_json() | {key: value}
    path = tmp_path / "pose.json"
    path.write_text(json.dumps(content))
    with pytest.raises(error, match=r"pose\.json"):
        load_pose(path)
