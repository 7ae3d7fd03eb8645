"""Inverse-CDF sampling of a piecewise constant density (NeRF, arXiv 2003.08934, section 5.2)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from maskfield.core.errors import DataError
from maskfield.ops.dispatch import Backend, use_numba

_FLAT = 1e-5  # a CDF step below this is treated as flat, as the original code does


def sample_pdf(
    bins: Float[Tensor, "ray edge"],
    weights: Float[Tensor, "ray bin"],
    count: int,
    *,
    generator: torch.Generator | None = None,
    uniform: Float[Tensor, "ray count"] | None = None,
    eps: float = 1e-5,
    backend: Backend = "auto",
) -> Float[Tensor, "ray count"]:
    """Positions distributed as ``weights`` over ``bins``; not differentiable (detached).

    Args:
        bins: ascending edges, one more than there are weights.
        weights: >= 0, not normalised; ``eps`` is added to each (0 keeps them exact; a ray whose
            weights are all 0 is then sampled as if they were equal).
        generator: draw the quantiles at random. uniform: the quantiles themselves, in [0, 1].
            With neither, ``count`` equally spaced quantiles from 0 to 1 inclusive are taken.

    Raises:
        DataError: the number of edges is not the number of weights + 1.
    """
    if bins.shape[-1] != weights.shape[-1] + 1:
        raise DataError(
            "the number of bin edges must be the number of weights + 1",
            field="bins, weights",
            value=(tuple(bins.shape), tuple(weights.shape)),
            remedy="pass the edges of the bins that the weights belong to",
        )
    bins, cdf = bins.detach().contiguous(), _cdf(weights.detach(), eps)
    u = _quantiles(bins, count, generator) if uniform is None else uniform.contiguous()
    if use_numba(backend, bins, cdf, u):
        from maskfield.ops.pdf_numba import invert_cdf

        return invert_cdf(bins, cdf, u, _FLAT)
    return _invert(bins, cdf, u)


def _cdf(weights: Tensor, eps: float) -> Tensor:
    weights = weights + eps
    total = weights.sum(-1, keepdim=True)
    weights = torch.where(total > 0, weights, torch.ones_like(weights))
    cdf = (weights / weights.sum(-1, keepdim=True)).cumsum(-1)
    return torch.cat([torch.zeros_like(cdf[..., :1]), cdf], dim=-1)


def _quantiles(bins: Tensor, count: int, generator: torch.Generator | None) -> Tensor:
    size, kind = (bins.shape[0], count), bins.dtype
    if generator is None:
        return torch.linspace(0, 1, count, dtype=kind, device=bins.device).expand(size).contiguous()
    drawn = torch.rand(size, generator=generator, dtype=kind, device=generator.device)
    return drawn.to(bins.device)


def _invert(bins: Tensor, cdf: Tensor, u: Tensor) -> Tensor:
    last = cdf.shape[-1] - 1
    above = torch.searchsorted(cdf, u, right=True).clamp(1, last)
    below = above - 1
    low, high = cdf.gather(-1, below), cdf.gather(-1, above)
    step = high - low
    share = (u - low) / torch.where(step < _FLAT, torch.ones_like(step), step)
    left, right = bins.gather(-1, below), bins.gather(-1, above)
    return left + share.clamp(0, 1) * (right - left)
