"""How samples are spread between near and far: monotone maps of distance, and their inverses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from maskfield.core.errors import ConfigError
from maskfield.geometry.rays import Rays

Spacing = Literal["linear", "disparity", "log", "contracted"]


def _identity(t: Tensor) -> Tensor:
    return t


def _contract(t: Tensor) -> Tensor:
    """t / 2 up to distance 1, then 1 - 1 / (2 t): all distances in [0, 1]."""
    return torch.where(t < 1, 0.5 * t, 1 - 0.5 / t.clamp_min(1))


def _uncontract(x: Tensor) -> Tensor:
    return torch.where(x < 0.5, 2 * x, 0.5 / (1 - x.clamp_min(0.5)))


SPACINGS: dict[Spacing, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "linear": (_identity, _identity),
    "disparity": (torch.reciprocal, torch.reciprocal),
    "log": (torch.log, torch.exp),
    "contracted": (_contract, _uncontract),
}


def check_range(spacing: Spacing, rays: Rays) -> None:
    """Refuse near and far between which this spacing is not defined.

    Raises:
        ConfigError: an infinite far with linear or log spacing; near 0 with disparity or log.
    """
    hit = rays.far > rays.near
    if spacing in ("linear", "log") and bool(torch.isinf(rays.far[hit]).any()):
        raise ConfigError(
            f"{spacing} spacing cannot reach an infinite far",
            field="far",
            value=float("inf"),
            remedy="clip the rays to the scene box (Rays.clipped), give a finite far, "
            "or use spacing='contracted' or 'disparity'",
        )
    if spacing in ("disparity", "log") and bool((rays.near[hit] <= 0).any()):
        raise ConfigError(
            f"{spacing} spacing cannot begin at the camera",
            field="near",
            value=float(rays.near[hit].min()),
            remedy="give a near > 0, or use spacing='contracted' or 'linear'",
        )
