"""find: one question, several searches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from maskfield.core.errors import SceneError
from maskfield.data.pose_estimate import PoseEstimate
from maskfield.fields.bake import BakeSettings, bake
from maskfield.geometry.camera_paths import look_at
from maskfield.geometry.se3 import compose, exp
from maskfield.methods.inerf.config import PixelConfig, PoseConfig
from maskfield.methods.inerf.find import find_anywhere, find_pose, follow, polishing
from maskfield.methods.inerf.gauss_newton_config import GaussNewtonConfig, StageConfig
from maskfield.methods.inerf.observation import Observation
from maskfield.methods.inerf.search import starts_on_sphere
from maskfield.methods.inerf.search_config import SearchConfig
from maskfield.methods.inerf.view import FieldView, field_view
from maskfield.metrics.pose import rotation_error, translation_error
from methods.inerf.scenes import ball_view, camera, photograph

Taken = tuple[Observation, Tensor]
TURN = exp(torch.tensor([0.1, 0.0, -0.05, 0.0, 0.05, 0.2]))
FEW = PoseConfig(
    steps=12, pixels=PixelConfig(strategy="random", count=64), pyramid=(2,), shares=(1.0,)
)
QUICK = GaussNewtonConfig(
    stages=(
        StageConfig(side=24, pool=2, blur=2.0, iterations=15),
        StageConfig(side=48, iterations=8),
    )
)
PARTICLES = SearchConfig(particles=60, rounds=3, pixels=128, side=16, refined=4)


def near(estimate: PoseEstimate, true: Tensor, degrees: float = 0.5, units: float = 0.03) -> bool:
    pose = estimate.camera_to_world
    right = float(rotation_error(pose, true)) < degrees
    return right and float(translation_error(pose, true)) < units


@pytest.fixture
def taken(photograph: Callable[..., Taken]) -> Taken:
    return photograph(side=48)


def test_voxels_are_searched_by_levenberg_marquardt(
    blob_view: FieldView, taken: Taken, generator: torch.Generator
) -> None:
    observation, true = taken
    start = compose(TURN, true)
    found = find_pose(blob_view, observation, start[None], generator, lm=QUICK, adam=FEW)
    assert found.verdict == "converged"
    assert near(found, true)
    assert found.covariance is not None
    assert found.trace is not None
    torch.testing.assert_close(found.trace.poses[0], start)


def test_the_better_of_two_starts_wins(
    blob_view: FieldView, taken: Taken, generator: torch.Generator
) -> None:
    observation, true = taken
    behind = look_at(torch.tensor([[-3.0, -1.0, 1.5]]), torch.zeros(1, 3))[0]
    starts = torch.stack([behind, compose(TURN, true)])
    assert near(find_pose(blob_view, observation, starts, generator, lm=QUICK), true)


def test_gradients_where_they_are_asked_for(
    blob_view: FieldView, taken: Taken, generator: torch.Generator
) -> None:
    observation, true = taken
    found = find_pose(blob_view, observation, true[None], generator, by="adam", adam=FEW)
    assert found.trace is not None
    assert len(found.trace) == FEW.steps


@pytest.fixture(scope="module")
def balls() -> tuple[FieldView, FieldView, Observation, Tensor]:
    """A field that is no voxel field, a bake of it, and a photograph."""
    view = ball_view(32)
    box = torch.tensor([[-1.0] * 3, [1.0] * 3])
    settings = BakeSettings(longest=24, directions=4, background=(1.0, 1.0, 1.0))
    taken = camera()
    return view, field_view(bake(view.field, box, settings)), photograph(view, taken), (
        taken.camera_to_world[0]
    )  # fmt: skip


def test_another_field_goes_by_gradients_or_by_its_own_derivatives(balls, generator) -> None:
    view, _, observation, true = balls
    start = compose(exp(torch.tensor([0.02, 0.0, 0.0, 0.0, 0.0, 0.03])), true)
    steps = {by: find_pose(view, observation, start[None], generator, by=by, adam=FEW, lm=QUICK)
             for by in ("auto", "lm")}  # fmt: skip
    assert steps["auto"].trace is not None
    assert len(steps["auto"].trace) == FEW.steps
    assert near(steps["lm"], true)


def test_a_bake_is_searched_first_and_the_field_polishes(balls, generator) -> None:
    view, rough, observation, true = balls
    start = compose(TURN, true)
    few = replace(FEW, lr=0.005)
    alone = find_pose(rough, observation, start[None], generator, lm=QUICK)
    both = find_pose(view, observation, start[None], generator, lm=QUICK, adam=few, rough=rough)
    assert both.trace is not None
    assert alone.trace is not None
    assert len(both.trace) == len(alone.trace) + few.steps
    assert bool((both.trace.seconds.diff() >= 0).all())
    torch.testing.assert_close(both.trace.poses[0], start)
    assert near(both, true, degrees=1.0, units=0.05)
    alone_by_gradients = find_pose(
        view, observation, start[None], generator, by="adam", adam=few, rough=rough
    )
    assert alone_by_gradients.trace is not None
    assert len(alone_by_gradients.trace) == few.steps, "the bake is not looked at"


def test_polishing_is_short_and_at_full_size() -> None:
    config = polishing(PoseConfig())
    assert config.steps < PoseConfig().steps
    assert config.lr < PoseConfig().lr
    assert config.pyramid == (1,)
    assert config.drop_at == ()


def test_without_texture_no_other_starts_are_tried(
    blob_view: FieldView, taken: Taken, generator: torch.Generator, monkeypatch
) -> None:
    observation, true = taken
    flat = replace(observation, image=torch.full_like(observation.image, 0.5))
    monkeypatch.setattr(
        "maskfield.methods.inerf.gauss_newton.starts_around",
        lambda *_: pytest.fail("searched again"),
    )
    found = find_pose(blob_view, flat, true[None], generator, lm=QUICK, adam=FEW)
    assert found.verdict == "ambiguous"


@pytest.mark.parametrize("by", ["lm", "adam"])
def test_starts_that_see_nothing_or_are_no_poses(
    by, blob_view: FieldView, taken: Taken, generator: torch.Generator
) -> None:
    observation, true = taken
    view = replace(blob_view, box=torch.tensor([[-1.0] * 3, [1.0] * 3]))
    away = look_at(torch.tensor([[3.0, 1.0, 1.5]]), torch.tensor([[6.0, 2.0, 3.0]]))
    with pytest.raises(SceneError, match="sees anything of the scene"):
        find_pose(view, observation, away, generator, by=by)
    with pytest.raises(SceneError, match="rotation"):
        find_pose(view, observation, 2 * true[None], generator, by=by)


def test_a_search_begins_again_while_it_explains_too_little(
    blob_view: FieldView, taken: Taken, generator: torch.Generator
) -> None:
    observation, true = taken
    asked: list[Tensor] = []

    def anywhere() -> Tensor:
        asked.append(starts_on_sphere(torch.zeros(3), 3.5, 40, generator))
        return asked[-1]

    given = {"config": PARTICLES, "lm": QUICK, "adam": FEW}
    found = find_anywhere(blob_view, observation, anywhere, generator, **given)
    assert found.verdict == "converged"
    assert near(found, true)
    once = len(asked)
    assert once <= PARTICLES.attempts
    h, w = observation.size
    board = ((torch.arange(h)[:, None] + torch.arange(w)) // 8 % 2).float()
    other = replace(observation, image=board[..., None].expand(-1, -1, 3).contiguous())
    lost = find_anywhere(blob_view, other, anywhere, generator, **given)
    assert lost.verdict == "failed"
    assert len(asked) == once + PARTICLES.attempts
    assert not torch.equal(asked[-1], asked[-2])


def test_a_video_is_followed_with_the_motion_it_had(
    blob_view: FieldView, photograph: Callable[..., Taken], generator: torch.Generator
) -> None:
    eyes = [(3.0, 1.0, 1.5), (3.0, 1.25, 1.5), (2.9, 1.6, 1.5)]
    frames = [photograph(eye, 48) for eye in eyes]
    first = PoseEstimate(camera_to_world=frames[0][1], verdict="converged", loss=0.0)
    seen = [observation for observation, _ in frames]
    found = follow(blob_view, seen, first, generator, lm=QUICK, adam=FEW)
    assert found[0] is first
    for estimate, (_, true) in zip(found, frames, strict=True):
        assert near(estimate, true)


def test_a_lost_frame_does_not_end_the_video(
    blob_view: FieldView, taken: Taken, generator: torch.Generator
) -> None:
    observation, _ = taken
    view = replace(blob_view, box=torch.tensor([[-1.0] * 3, [1.0] * 3]))
    away = look_at(torch.tensor([[3.0, 1.0, 1.5]]), torch.tensor([[6.0, 2.0, 3.0]]))[0]
    astray = PoseEstimate(camera_to_world=away, verdict="failed", loss=1.0)
    config = replace(QUICK, retries=0)
    found = follow(view, [observation] * 2, astray, generator, lm=config, adam=FEW)
    assert [e.verdict for e in found] == ["failed", "failed"]
