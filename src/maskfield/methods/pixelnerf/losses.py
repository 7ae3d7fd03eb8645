"""Losses of pixelNeRF (spec pixelnerf 7); the official code offers more than its recipes use."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from maskfield.methods.pixelnerf.config import LossConfig
from maskfield.rendering.renderer import RenderOutput

_LEAST = 0.01  # opacities are clamped to [0.01, 0.99]


def level_losses(
    coarse: RenderOutput,
    fine: RenderOutput,
    target: Float[Tensor, "ray 3"],
    config: LossConfig,
) -> dict[str, Float[Tensor, ""]]:
    """Weighted colour losses of both passes; one that is both counts as it is, unweighted."""
    first = colour_loss(coarse.colour, target, absolute=config.l1)
    if fine is coarse:
        return {"coarse": first}
    second = colour_loss(fine.colour, target, absolute=config.fine_l1)
    return {"coarse": config.coarse * first, "fine": config.fine * second}


def colour_loss(
    colour: Float[Tensor, "ray 3"], target: Float[Tensor, "ray 3"], *, absolute: bool
) -> Float[Tensor, ""]:
    """Mean squared (or absolute) error over all channels."""
    return F.l1_loss(colour, target) if absolute else F.mse_loss(colour, target)


def uncertainty_loss(
    colour: Float[Tensor, "*n 3"],
    target: Float[Tensor, "*n 3"],
    spread: Float[Tensor, "*n"],
    *,
    absolute: bool,
) -> Float[Tensor, ""]:
    """Errors divided by a predicted spread > 0, which itself is to be small."""
    return (_error(colour, target, absolute) / spread).mean() + spread.log().mean()


def background_loss(
    colour: Float[Tensor, "*n 3"],
    target: Float[Tensor, "*n 3"],
    background: Float[Tensor, "*n"],
    *,
    absolute: bool,
) -> Float[Tensor, ""]:
    """Errors count less where the background shows through (``background`` > 0)."""
    return (_error(colour, target, absolute) / (1 + background)).mean() + background.log().mean()


def opacity_loss(opacity: Float[Tensor, "*n"], config: LossConfig, epoch: int) -> Float[Tensor, ""]:
    """Push opacities to 0 or 1, or to 1 only; 0 before ``opacity_start``."""
    if config.opacity == 0 or epoch < config.opacity_start:
        return opacity.new_zeros(())
    alpha = opacity.clamp(_LEAST, 1 - _LEAST)
    if config.opaque:
        return -config.opacity * alpha.log().mean()
    pull = alpha.log() + (1 - alpha).log()
    return config.opacity * pull.clamp_min(-config.opacity_clamp).mean()


def _error(colour: Tensor, target: Tensor, absolute: bool) -> Tensor:
    difference = colour - target
    return (difference.abs() if absolute else difference.square()).mean(-1)
