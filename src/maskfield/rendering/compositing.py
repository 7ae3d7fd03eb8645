"""From a field's answer to compositing weights: the options every renderer of the house shares.

Legend: t distance along a ray, delta interval length, sigma density, w weight, T transmittance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from maskfield.core.errors import ConfigError
from maskfield.ops.compositing import transmittance, weights_from_alpha, weights_from_density
from maskfield.ops.dispatch import Backend
from maskfield.rendering.field import FieldOutput, RaySamples

LARGE_INTERVAL = 1e10


@dataclass(frozen=True, kw_only=True)
class Compositing:
    """How samples become pixels.

    Attributes:
        background: colour behind everything, weighted by 1 - opacity; None adds nothing (black).
        last_interval: "far": as the sampler gave it (it ends at the ray's far);
            "1e10": the last sample of a ray reaches to infinity (the original NeRF code).
        norm_in_delta: multiply intervals by the length of the ray's direction. It matters only for
            rays whose directions are not unit vectors, in official code that parametrises so.
        early_stop: samples that less than this share of light reaches get weight zero; 0 is off.
        depth: "expected" = sum(w t) / sum(w), 0 where nothing is met; "accumulated" = sum(w t);
            "median" = t of the sample where half of the ray's opacity is reached.
        keep_weights: also return weights, t and delta of every sample.
        backend: of the compositing op: "auto", "torch" or "numba".
    """

    background: tuple[float, float, float] | None = None
    last_interval: Literal["far", "1e10"] = "far"
    norm_in_delta: bool = False
    early_stop: float = 0.0
    depth: Literal["expected", "accumulated", "median"] = "expected"
    keep_weights: bool = False
    backend: Backend = "auto"

    def __post_init__(self) -> None:
        _choice("last_interval", self.last_interval, ("far", "1e10"))
        _choice("depth", self.depth, ("expected", "accumulated", "median"))
        if not 0.0 <= self.early_stop < 1.0:
            raise ConfigError(
                "early_stop must lie in [0, 1)",
                field="early_stop",
                value=self.early_stop,
                remedy="give the transmittance below which light is neglected, e.g. 1e-4",
            )


def sample_weights(
    output: FieldOutput,
    samples: RaySamples,
    compositing: Compositing,
    direction_norm: Float[Tensor, " ray"] | None = None,
) -> Float[Tensor, "ray sample"]:
    """Compositing weights of one block of samples; zero where ``samples.mask`` is False.

    ``direction_norm`` is needed for ``norm_in_delta`` only.
    """
    zero = samples.delta.new_zeros(())
    if output.density is not None:
        density = torch.where(samples.mask, output.density, zero)
        delta = final_delta(samples, compositing, direction_norm)
        weights = weights_from_density(density, delta, backend=compositing.backend)
    elif output.alpha is not None:
        alpha = torch.where(samples.mask, output.alpha, zero)
        weights = weights_from_alpha(alpha, backend=compositing.backend)
    else:
        assert output.weights is not None  # FieldOutput holds exactly one of the three
        weights = torch.where(samples.mask, output.weights, zero)
    return _stopped(weights, compositing.early_stop)


def final_delta(
    samples: RaySamples,
    compositing: Compositing,
    direction_norm: Float[Tensor, " ray"] | None = None,
) -> Float[Tensor, "ray sample"]:
    """The sampler's intervals with the options ``last_interval`` and ``norm_in_delta`` applied."""
    delta = samples.delta
    if compositing.last_interval == "1e10":
        delta = torch.where(_is_last(samples.mask), delta.new_tensor(LARGE_INTERVAL), delta)
    if compositing.norm_in_delta and direction_norm is not None:
        delta = delta * direction_norm[:, None]
    return delta


def _is_last(mask: Tensor) -> Tensor:
    """True at the last unmasked sample of each ray (padding behind it does not count)."""
    behind = mask.flip(-1).cumsum(-1).flip(-1)
    return mask & (behind == 1)


def _stopped(weights: Tensor, early_stop: float) -> Tensor:
    if early_stop == 0.0:
        return weights
    return weights * (transmittance(weights.detach()) >= early_stop)


def _choice(field: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(
            f"unknown {field}", field=field, value=value, remedy=f"choose one of {allowed}"
        )
