"""Fast path of :func:`maskfield.ops.pdf.sample_pdf`: a bisection per quantile."""

from __future__ import annotations

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor


def invert_cdf(bins: Tensor, cdf: Tensor, u: Tensor, flat: float) -> Tensor:
    """Positions [ray, count] at the quantiles ``u``; see the torch reference."""
    out = torch.empty_like(u)
    scalar = u.detach().numpy().dtype.type(flat)
    _invert(bins.numpy(), cdf.numpy(), u.detach().numpy(), scalar, out.numpy())
    return out


@njit(parallel=True, cache=True)
def _invert(bins: np.ndarray, cdf: np.ndarray, u: np.ndarray, flat: float, out: np.ndarray) -> None:
    last = cdf.shape[1] - 1
    for r in prange(u.shape[0]):
        for i in range(u.shape[1]):
            above = min(max(np.searchsorted(cdf[r], u[r, i], side="right"), 1), last)
            step = cdf[r, above] - cdf[r, above - 1]
            if step < flat:
                step = u.dtype.type(1)
            share = min(max((u[r, i] - cdf[r, above - 1]) / step, u.dtype.type(0)), u.dtype.type(1))
            left = bins[r, above - 1]
            out[r, i] = left + share * (bins[r, above] - left)
