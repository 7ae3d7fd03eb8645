"""The official loop on a small field that "encodes" its views: what it forms, what it leaves."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from maskfield.core.errors import ConfigError
from maskfield.methods.inerf.config import OfficialConfig, PixelConfig
from maskfield.methods.inerf.observation import Observation
from maskfield.methods.inerf.official import OfficialSearch, official_search
from maskfield.methods.inerf.view import FieldView
from maskfield.rendering.field import Field
from methods.inerf.scenes import Balls, ball_view, camera, photograph


class Counted(Balls):
    """Counts how often it is prepared."""

    def __init__(self) -> None:
        super().__init__()
        self.prepared = 0

    def prepare(self, views: object | None = None) -> Balls:
        self.prepared += 1
        return self


def make_view(field: Field) -> FieldView:
    return replace(ball_view(), field=field)


@pytest.fixture
def observation() -> Observation:
    return photograph(ball_view(), camera())


def test_every_step_encodes_and_forms_weight_gradients_that_are_thrown_away(
    observation: Observation,
) -> None:
    host, start = Counted(), camera().camera_to_world[0]
    formed: list[bool] = []
    host.centres.register_hook(lambda g: formed.append(bool(g.abs().sum() >= 0)))
    search = OfficialSearch(host, None, make_view, observation, start, 0.01)
    for _ in range(3):
        search.step(torch.arange(300, 340))
    assert host.prepared == 3
    assert len(formed) == 3
    assert host.centres.grad is None


def test_the_last_row_has_no_gradient_and_stays(observation: Observation) -> None:
    start = camera().camera_to_world[0].clone()
    start[0, 3] += 0.1
    search = OfficialSearch(Counted(), None, make_view, observation, start, 0.01)
    found = search.step(torch.arange(300, 400))
    assert float(found.gradient[3].abs().max()) == 0
    assert float(found.gradient[:3].abs().max()) > 0
    assert found.pose[3].tolist() == [0, 0, 0, 1]
    # the first step of Adam moves every entry by its rate
    moved = (found.pose[:3] - start).abs()
    torch.testing.assert_close(moved, torch.full((3, 4), 0.01), atol=1e-4, rtol=0)


@pytest.mark.parametrize("strategy", ["center", "random", "patch"])
def test_the_loop_goes_downhill(strategy: str, observation: Observation) -> None:
    start = camera().camera_to_world[0].clone()
    start[:, 3] += torch.tensor([0.2, 0.1, -0.1])
    pixels = PixelConfig(strategy=strategy, count=200, patch_share=0.4)  # type: ignore[arg-type]
    config = OfficialConfig(steps=25, pixels=pixels)
    generator = torch.Generator().manual_seed(0)
    track = official_search(Counted(), None, make_view, observation, start, config, generator)
    assert len(track.trace) == 25
    assert float(track.trace.losses[-5:].mean()) < 0.5 * float(track.trace.losses[0])
    torch.testing.assert_close(track.trace.poses[0], start)


def test_strategies_that_the_demo_does_not_know_are_refused() -> None:
    with pytest.raises(ConfigError, match="strategy"):
        OfficialConfig(pixels=PixelConfig(strategy="regions"))
