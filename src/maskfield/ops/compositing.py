"""Volume rendering's quadrature (NeRF, arXiv 2003.08934, eq. 3), on padded [ray, sample] blocks.

Legend: sigma density, delta interval length, alpha opacity of an interval, T transmittance (share
of light that reaches a sample), w = T * alpha weight, t distance along the ray.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from maskfield.ops.dispatch import Backend, use_numba

_TINY_OPACITY = 1e-10


def alpha_from_density(
    density: Float[Tensor, "*n sample"], delta: Float[Tensor, "*n sample"]
) -> Float[Tensor, "*n sample"]:
    """alpha = 1 - exp(-sigma * delta), exact for small sigma * delta."""
    return -torch.expm1(-density * delta)


def weights_from_density(
    density: Float[Tensor, "*n sample"],
    delta: Float[Tensor, "*n sample"],
    *,
    backend: Backend = "auto",
) -> Float[Tensor, "*n sample"]:
    """w_i = T_i (1 - exp(-sigma_i delta_i)), T_i = exp(-sum_{j<i} sigma_j delta_j).

    Args:
        density: >= 0, in 1 / length; 0 where a sample does not count.
        delta: interval lengths; may be huge (1e10) but not infinite.
    """
    if use_numba(backend, density, delta):
        return weights_from_alpha(alpha_from_density(density, delta), backend="numba")
    tau = density * delta
    # not cumsum(tau) - tau: that cancels badly beside a huge last interval
    before = torch.cat([torch.zeros_like(tau[..., :1]), tau[..., :-1].cumsum(-1)], dim=-1)
    return torch.exp(-before) * -torch.expm1(-tau)


def weights_from_alpha(
    alpha: Float[Tensor, "*n sample"], *, eps: float = 0.0, backend: Backend = "auto"
) -> Float[Tensor, "*n sample"]:
    """w_i = alpha_i prod_{j<i} (1 - alpha_j + eps).

    ``eps`` = 1e-10 is in much official code; 0 is exact.
    """
    if use_numba(backend, alpha):
        from maskfield.ops.compositing_numba import AlphaWeights

        return AlphaWeights.apply(alpha, eps)
    left = 1 - alpha[..., :-1] + eps
    reaching = torch.cat([torch.ones_like(alpha[..., :1]), left.cumprod(-1)], dim=-1)
    return reaching * alpha


def transmittance(weights: Float[Tensor, "*n sample"]) -> Float[Tensor, "*n sample"]:
    """Share of light that reaches each sample, T_i = 1 - sum_{j<i} w_j (>= 0)."""
    before = weights[..., :-1].cumsum(-1)
    return 1 - torch.cat([torch.zeros_like(weights[..., :1]), before], dim=-1).clamp(0, 1)


def composite(
    weights: Float[Tensor, "*n sample"], values: Float[Tensor, "*n sample channel"]
) -> Float[Tensor, "*n channel"]:
    """sum_i w_i v_i."""
    return torch.matmul(weights[..., None, :], values)[..., 0, :]


def accumulated_depth(
    weights: Float[Tensor, "*n sample"], t: Float[Tensor, "*n sample"]
) -> Float[Tensor, "*n"]:
    """sum_i w_i t_i: shrinks towards zero where the ray is not fully opaque."""
    return (weights * t).sum(-1)


def expected_depth(
    weights: Float[Tensor, "*n sample"], t: Float[Tensor, "*n sample"]
) -> Float[Tensor, "*n"]:
    """sum_i w_i t_i / sum_i w_i; 0 where the ray meets nothing."""
    return accumulated_depth(weights, t) / weights.sum(-1).clamp_min(_TINY_OPACITY)


def median_depth(
    weights: Float[Tensor, "*n sample"], t: Float[Tensor, "*n sample"]
) -> Float[Tensor, "*n"]:
    """t of the first sample at which half of the ray's opacity is reached; 0 for an empty ray."""
    total = weights.cumsum(-1)
    half = 0.5 * total[..., -1:]
    index = (total < half).sum(-1, keepdim=True).clamp_max(t.shape[-1] - 1)
    return torch.where(half[..., 0] > 0, t.gather(-1, index)[..., 0], t.new_zeros(()))


def over_background(
    colour: Float[Tensor, "*n channel"],
    opacity: Float[Tensor, "*n"],
    background: Float[Tensor, "*m channel"],
) -> Float[Tensor, "*n channel"]:
    """The composited colour in front of ``background`` (one colour, or one per ray)."""
    return colour + (1 - opacity)[..., None] * background
