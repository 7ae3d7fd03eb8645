"""The verdict: never a confident wrong pose."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from maskfield.core.errors import SceneError
from maskfield.data.pose_estimate import PoseTrace
from maskfield.geometry.se3 import compose, exp
from maskfield.methods.inerf.config import PixelConfig, PoseConfig, VerdictConfig
from maskfield.methods.inerf.observation import Observation
from maskfield.methods.inerf.optimise import optimise
from maskfield.methods.inerf.tracks import Ending, Track
from maskfield.methods.inerf.verdict import assess
from methods.inerf.scenes import Balls, ball_view, camera, photograph

TRUE = camera().camera_to_world[0]


def track(pose: torch.Tensor, loss: float = 0.1, ended: Ending = "steps", start: int = 0) -> Track:
    trace = PoseTrace(losses=torch.tensor([loss]), poses=pose[None].clone(), seconds=torch.zeros(1))
    return Track(start=start, pose=pose, loss=loss, ended=ended, trace=trace)


def moved(*twist: float) -> torch.Tensor:
    return compose(exp(torch.tensor(twist)), TRUE)


def judged(observation: Observation, *tracks: Track, **options: float):
    generator = torch.Generator().manual_seed(0)
    return assess(ball_view(), observation, tracks, VerdictConfig(**options), generator)  # type: ignore[arg-type]


@pytest.fixture
def observation() -> Observation:
    return photograph(ball_view(), camera())


def test_the_true_pose_converged(observation: Observation) -> None:
    estimate = judged(observation, track(TRUE), track(moved(0, 0, 0, 0, 0, 0.5), start=1))
    assert estimate.verdict == "converged"
    assert estimate.loss < 1e-4
    torch.testing.assert_close(estimate.camera_to_world, TRUE)
    assert estimate.covariance is not None
    assert estimate.angle_deviation is not None
    assert 0 < estimate.angle_deviation < 0.5


def test_a_wrong_pose_failed(observation: Observation) -> None:
    estimate = judged(observation, track(moved(0, 0, 0, 0, 0, 1.2)))
    assert estimate.verdict == "failed"
    assert "variance" in estimate.reason


def test_a_photograph_without_texture_is_ambiguous() -> None:
    """Of white: a pose that looks past the scene explains it perfectly."""
    white = Observation(image=torch.ones(24, 32, 3), camera=camera())
    away = moved(3.0, 0, 0, 0, 0, 0)
    estimate = judged(white, track(away), track(TRUE))
    assert estimate.verdict == "ambiguous"
    assert "texture" in estimate.reason


def test_the_whole_search_on_a_flat_photograph_is_ambiguous() -> None:
    grey = Observation(image=torch.full((24, 32, 3), 0.6), camera=camera())
    config = PoseConfig(steps=20, pixels=PixelConfig(count=64), pyramid=(1,), shares=(1.0,))
    generator = torch.Generator().manual_seed(0)
    tracks = optimise(ball_view(), grey, TRUE[None], config, generator)
    assert assess(ball_view(), grey, tracks, config.verdict, generator).verdict == "ambiguous"


def test_two_poses_that_look_alike_are_ambiguous() -> None:
    """Two equal balls: turned by half a turn the scene is the same."""
    view = ball_view()
    assert isinstance(view.field, Balls)
    with torch.no_grad():
        view.field.centres[:2] = torch.tensor([[0.5, 0.2, 0.1], [-0.5, -0.2, 0.1]])
        view.field.centres[2:] = torch.tensor([[0.0, 0.0, 0.5], [0.0, 0.0, -0.4]])
        view.field.colours[:2] = view.field.colours[0]
    seen = photograph(view, camera())
    half = compose(exp(torch.tensor([0, 0, 0, 0, 0, torch.pi])), TRUE)
    estimate = assess(
        view, seen, [track(TRUE), track(half)], VerdictConfig(), torch.Generator().manual_seed(0)
    )
    assert estimate.verdict == "ambiguous"
    assert "other poses" in estimate.reason


def test_what_does_not_change_with_the_pose_is_ambiguous() -> None:
    """One round ball before white: turns about it cannot be seen."""
    view = ball_view()
    assert isinstance(view.field, Balls)
    with torch.no_grad():
        view.field.centres[:] = 0
    seen = photograph(view, camera())
    estimate = assess(view, seen, [track(TRUE)], VerdictConfig(), torch.Generator().manual_seed(0))
    assert estimate.verdict == "ambiguous"
    assert "hardly changes" in estimate.reason


def test_dropped_tracks_are_no_rivals_and_no_winners(observation: Observation) -> None:
    same = track(moved(0, 0, 0, 0, 0, 0.01), loss=0.0, ended="dropped", start=1)
    estimate = judged(observation, track(TRUE), same)
    torch.testing.assert_close(estimate.camera_to_world, TRUE)


def test_only_broken_tracks_failed(observation: Observation) -> None:
    estimate = judged(observation, track(TRUE, loss=float("inf"), ended="broken"))
    assert estimate.verdict == "failed"
    assert estimate.loss == float("inf")
    assert "finite" in estimate.reason


def test_no_track_is_refused(observation: Observation) -> None:
    with pytest.raises(SceneError, match="track"):
        judged(observation)


def test_covariance_is_that_of_the_linear_model(observation: Observation) -> None:
    """Against derivatives by differences, for a left twist (v, w) about the world origin."""
    view, pixels = ball_view(), torch.arange(24 * 32)
    directions = observation.directions(pixels)[None]
    columns = []
    with torch.no_grad():
        for i in range(6):
            step = torch.zeros(6)
            step[i] = 1e-3
            ends = [
                view.colours(view.rays(compose(exp(s), TRUE)[None], directions))
                for s in (step, -step)
            ]
            columns.append(((ends[0] - ends[1]) / 2e-3).reshape(-1))
    jacobian = torch.stack(columns, dim=1).double()
    expected = 0.02**2 * torch.linalg.inv(jacobian.T @ jacobian)
    estimate = judged(observation, track(TRUE), noise=0.02, pixels=24 * 32)
    assert estimate.covariance is not None
    found = estimate.covariance.double()
    torch.testing.assert_close(found.diagonal(), expected.diagonal(), rtol=0.02, atol=0)
    torch.testing.assert_close(found, expected, rtol=0.05, atol=0.02 * float(expected.abs().max()))


def test_a_pose_beside_its_minimum_is_less_certain(observation: Observation) -> None:
    """By what a Gauss-Newton step would still move it."""
    there, beside = (
        judged(observation, track(pose)) for pose in (TRUE, moved(0, 0, 0, 0, 0, 0.02))
    )
    assert there.angle_deviation is not None
    assert beside.angle_deviation is not None
    assert there.angle_deviation < 0.2
    assert beside.angle_deviation > 0.8  # it is 1.15 degrees away


def test_errors_that_go_together_make_a_pose_less_certain(observation: Observation) -> None:
    """A field that is wrong in patches tells less than one that is as wrong from pixel to pixel."""
    random = torch.Generator().manual_seed(1)
    fine = 0.05 * torch.randn(24, 32, 3, generator=random)
    patches = torch.randn(6, 8, 3, generator=random).repeat_interleave(4, 0).repeat_interleave(4, 1)
    patches *= fine.square().mean().sqrt() / patches.square().mean().sqrt()
    even, patchy = (
        judged(
            replace(observation, image=(observation.image + e).clamp(0, 1)),
            track(TRUE),
            pixels=24 * 32,
        )
        for e in (fine, patches)
    )
    assert even.loss == pytest.approx(patchy.loss, rel=0.1)
    assert even.angle_deviation is not None
    assert patchy.angle_deviation is not None
    assert patchy.angle_deviation > 1.5 * even.angle_deviation
