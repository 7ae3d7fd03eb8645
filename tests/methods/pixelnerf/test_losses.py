"""Losses: weights of both passes, options that no recipe uses."""

from __future__ import annotations

import pytest
import torch

from maskfield.methods.pixelnerf.config import LossConfig
from maskfield.methods.pixelnerf.losses import (
    background_loss,
    colour_loss,
    level_losses,
    opacity_loss,
    uncertainty_loss,
)
from maskfield.rendering.renderer import RenderOutput

TARGET = torch.zeros(4, 3)


def pixels(value: float) -> RenderOutput:
    return RenderOutput(
        colour=torch.full((4, 3), value), depth=torch.zeros(4), opacity=torch.zeros(4)
    )


def test_both_passes_are_weighted() -> None:
    config = LossConfig(coarse=0.5, fine=2.0, fine_l1=True)
    parts = level_losses(pixels(0.2), pixels(0.1), TARGET, config)
    assert float(parts["coarse"]) == pytest.approx(0.5 * 0.04)
    assert float(parts["fine"]) == pytest.approx(2.0 * 0.1)


def test_a_single_pass_counts_as_it_is() -> None:
    only = pixels(0.2)
    assert float(level_losses(only, only, TARGET, LossConfig(coarse=9.0))["coarse"]) == (
        pytest.approx(0.04)
    )


def test_the_best_spread_is_the_error() -> None:
    colour = torch.full((4, 3), 0.3)
    error = float(colour_loss(colour, TARGET, absolute=False))
    at = [
        float(uncertainty_loss(colour, TARGET, torch.full((4,), s), absolute=False))
        for s in (0.5 * error, error, 2 * error)
    ]
    assert at[1] == min(at)


def test_background_takes_weight_off_errors() -> None:
    colour = torch.full((4, 3), 0.5)
    one = torch.ones(4)  # log 1 = 0
    assert float(background_loss(colour, TARGET, one, absolute=True)) == pytest.approx(0.25)


def test_opacities_are_pushed_to_the_ends() -> None:
    config = LossConfig(opacity=1.0, opacity_start=2)
    middle, end = torch.full((5,), 0.5), torch.full((5,), 0.98)
    assert float(opacity_loss(middle, config, 1)) == 0.0
    assert float(opacity_loss(end, config, 2)) < float(opacity_loss(middle, config, 2))
    opaque = LossConfig(opacity=1.0, opacity_start=0, opaque=True)
    assert float(opacity_loss(1 - end, opaque, 0)) > float(opacity_loss(middle, opaque, 0))


def test_a_clamp_ends_the_push() -> None:
    config = LossConfig(opacity=1.0, opacity_clamp=2.0, opacity_start=0)
    alpha = torch.full((5,), 0.95, requires_grad=True)
    loss = opacity_loss(alpha, config, 0)
    loss.backward()
    assert float(loss.detach()) == -2.0
    assert alpha.grad is not None
    assert float(alpha.grad.abs().max()) == 0.0
