"""The search: it finds, repeats, drops, stops, and refuses what cannot be searched."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest
import torch

from maskfield.core.errors import SceneError
from maskfield.geometry.cameras import check_poses
from maskfield.geometry.se3 import compose, exp
from maskfield.methods.inerf.config import Parameterisation, PixelConfig, PoseConfig, RobustLoss
from maskfield.methods.inerf.descent import Descent, photometric, robust
from maskfield.methods.inerf.observation import Observation
from maskfield.methods.inerf.optimise import optimise
from maskfield.methods.inerf.poses import MOTIONS
from maskfield.methods.inerf.protocol import StartRange, draw_starts
from maskfield.methods.inerf.view import FieldView
from maskfield.metrics.pose import rotation_error, translation_error
from methods.inerf.scenes import Balls, ball_view, camera, photograph

SHORT = PoseConfig(
    steps=60,
    lr=0.03,
    pixels=PixelConfig(count=96, dilation=1),
    pyramid=(2, 1),
    shares=(0.4, 0.6),
    decay_steps=20.0,
    patience=0,
)


@pytest.fixture
def view() -> FieldView:
    return ball_view()


@pytest.fixture
def observation(view: FieldView) -> Observation:
    return photograph(view, camera())


def near_start(degrees: float = 12.0) -> torch.Tensor:
    angle = torch.deg2rad(torch.tensor(degrees))
    twist = torch.stack([0.1 + 0 * angle, 0 * angle, 0 * angle, 0 * angle, 0 * angle, angle])
    return compose(exp(twist), camera().camera_to_world[0])


def test_a_near_start_is_brought_home(view: FieldView, observation: Observation) -> None:
    generator = torch.Generator().manual_seed(0)
    (track,) = optimise(view, observation, near_start()[None], SHORT, generator)
    true = camera().camera_to_world[0]
    assert float(rotation_error(near_start(), true)) > 11
    assert float(rotation_error(track.pose, true)) < 1
    assert float(translation_error(track.pose, true)) < 0.05
    assert track.ended == "steps"
    assert len(track.trace) == 60
    torch.testing.assert_close(track.trace.poses[0], near_start(), atol=1e-4, rtol=0)
    assert bool((track.trace.seconds[1:] >= track.trace.seconds[:-1]).all())


@pytest.mark.parametrize("name", get_args(Parameterisation))
def test_every_parameterisation_goes_downhill(
    name: Parameterisation, view: FieldView, observation: Observation
) -> None:
    """How near they come differs: turning about the camera and shifting it look much the same."""
    config = replace(SHORT, parameterisation=name)
    generator = torch.Generator().manual_seed(0)
    (track,) = optimise(view, observation, near_start()[None], config, generator)
    assert float(track.trace.losses[-5:].mean()) < 0.12 * float(track.trace.losses[0])
    check_poses(track.pose[None], tolerance=1e-4)


def test_a_seed_repeats(view: FieldView, observation: Observation) -> None:
    runs = [
        optimise(view, observation, near_start()[None], SHORT, torch.Generator().manual_seed(3))
        for _ in range(2)
    ]
    torch.testing.assert_close(runs[0][0].trace.poses, runs[1][0].trace.poses, rtol=0, atol=0)


def test_a_batch_of_starts_is_what_each_would_be_alone(
    view: FieldView, observation: Observation
) -> None:
    starts = torch.stack([near_start(5.0), near_start(-10.0)])
    config = replace(SHORT, steps=8, drop_at=(), noise=0.0)
    both = optimise(view, observation, starts, config, torch.Generator().manual_seed(1))
    for i in range(2):
        generator = torch.Generator().manual_seed(1)
        torch.randn(6, generator=generator)  # the noise of the start that is not there
        alone = optimise(view, observation, starts[i : i + 1], config, generator)
        torch.testing.assert_close(both[i].trace.poses, alone[0].trace.poses, atol=2e-4, rtol=0)


def test_the_worse_half_is_dropped_and_the_best_survives(
    view: FieldView, observation: Observation
) -> None:
    generator = torch.Generator().manual_seed(0)
    far = draw_starts(camera().camera_to_world, 7, StartRange(degrees=120.0), generator).start
    starts = torch.cat([far, near_start(6.0)[None]])
    config = replace(SHORT, drop_at=(0.1, 0.2, 0.4))
    tracks = optimise(view, observation, starts, config, generator)
    assert [t.ended for t in tracks].count("dropped") == 7
    assert tracks[7].ended == "steps"
    assert sorted(len(t.trace) for t in tracks) == [6] * 4 + [12] * 2 + [24] + [60]
    best = min((t for t in tracks if t.finished), key=lambda t: t.loss)
    assert float(rotation_error(best.pose, camera().camera_to_world[0])) < 1.5


def test_a_search_that_stands_still_ends_early(view: FieldView, observation: Observation) -> None:
    config = replace(SHORT, patience=5, tolerance=0.5, pyramid=(1,), shares=(1.0,))
    start = camera().camera_to_world
    (track,) = optimise(view, observation, start, config, torch.Generator().manual_seed(0))
    assert track.ended == "still"
    assert track.finished
    assert len(track.trace) < 60


def test_starts_that_miss_the_scene_are_refused(observation: Observation) -> None:
    view = replace(ball_view(), box=torch.tensor([[-1.0] * 3, [1.0] * 3]))
    away = near_start().clone()
    away[:, 3] = 100.0
    with pytest.raises(SceneError, match="no start pose sees"):
        optimise(view, observation, away[None], SHORT, torch.Generator())


def test_starts_that_are_no_poses_are_refused(view: FieldView, observation: Observation) -> None:
    with pytest.raises(SceneError, match="rotation"):
        optimise(view, observation, 2 * near_start()[None], SHORT, torch.Generator())


def test_a_field_of_nan_breaks_the_track_not_the_program(observation: Observation) -> None:
    view = ball_view()
    assert isinstance(view.field, Balls)
    with torch.no_grad():
        view.field.colours.fill_(float("nan"))
    (track,) = optimise(view, observation, near_start()[None], SHORT, torch.Generator())
    assert track.ended == "broken"
    assert track.loss == float("inf")
    assert len(track.trace) == 1


def test_no_gradients_of_weights_are_formed(view: FieldView, observation: Observation) -> None:
    assert isinstance(view.field, Balls)
    config = replace(SHORT, steps=2)
    optimise(view, observation, near_start()[None], config, torch.Generator().manual_seed(0))
    assert view.field.centres.grad is None
    assert view.field.centres.requires_grad


def test_masked_pixels_are_never_compared(view: FieldView, observation: Observation) -> None:
    mask = torch.ones(24, 32, dtype=torch.bool)
    mask[:, 20:] = False
    spoilt = observation.image.clone()
    spoilt[:, 20:] = torch.rand(24, 12, 3, generator=torch.Generator().manual_seed(0))
    runs = [
        optimise(
            view,
            Observation(image=image, camera=observation.camera, mask=mask),
            near_start()[None],
            replace(SHORT, steps=10, pixels=PixelConfig(strategy="random", count=64)),
            torch.Generator().manual_seed(0),
        )
        for image in (observation.image, spoilt)
    ]
    torch.testing.assert_close(runs[0][0].pose, runs[1][0].pose, rtol=0, atol=0)


def test_descent_is_adam() -> None:
    """Against torch's own, with falling rates and poses of different starts."""
    target = torch.tensor([[1.0, -2.0, 0.5, 0.1, 0.2, 0.3]])
    free = torch.zeros(2, 6)
    starts = camera().camera_to_world.expand(2, 3, 4)
    goal = MOTIONS["se3"].move(target, starts[:1])

    def compare(poses: torch.Tensor) -> torch.Tensor:
        return (poses - goal).square().flatten(1).sum(1)

    descent, weight = Descent(MOTIONS["se3"], starts, free), free.clone().requires_grad_()
    adam = torch.optim.Adam([weight], lr=0.1)
    for step in range(5):
        descent.step(compare, 0.1 * 0.9**step)
        adam.param_groups[0]["lr"] = 0.1 * 0.9**step
        adam.zero_grad()
        compare(MOTIONS["se3"].move(weight, starts)).sum().backward()
        adam.step()
    torch.testing.assert_close(descent.free, weight.detach())


@pytest.mark.parametrize("name", get_args(RobustLoss))
def test_robust_losses(name: RobustLoss) -> None:
    """Even, rising, and (but for l1) the square near zero."""
    x = torch.linspace(-1, 1, 201, dtype=torch.float64)
    cost = robust(x, name, 0.1)
    torch.testing.assert_close(cost, cost.flip(0))
    assert bool((cost[101:] > cost[100:-1]).all())
    if name != "l1":
        small = torch.tensor([1e-4], dtype=torch.float64)
        torch.testing.assert_close(robust(small, name, 0.1), small**2, rtol=2e-3, atol=0)
    if name != "mse":
        assert float(robust(torch.ones(1), name, 0.1)) <= 1.0


def test_an_outlier_weighs_less_in_a_robust_loss(view: FieldView, observation: Observation) -> None:
    """A quarter of the photograph is covered by something black."""
    covered = observation.image.clone()
    covered[:, :8] = 0.0
    seen = Observation(image=covered, camera=observation.camera)
    errors = {}
    for name in ("mse", "cauchy"):
        config = replace(SHORT, loss=name, loss_scale=0.05)  # type: ignore[arg-type]
        generator = torch.Generator().manual_seed(0)
        (track,) = optimise(view, seen, near_start(4.0)[None], config, generator)
        errors[name] = float(rotation_error(track.pose, camera().camera_to_world[0]))
    assert errors["cauchy"] < errors["mse"]


def test_a_loss_is_the_mean_over_pixels_and_channels(
    view: FieldView, observation: Observation
) -> None:
    pixels = torch.tensor([100, 333, 400])
    colours = observation.colours(pixels)
    compare = photometric(view, observation.directions(pixels), colours + 0.1)
    losses = compare(camera().camera_to_world.expand(2, 3, 4))
    torch.testing.assert_close(losses, torch.full((2,), 0.01), rtol=1e-3, atol=1e-6)
