"""Fast path of :func:`maskfield.ops.compositing.weights_from_alpha`: one pass per ray, each way."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor
from torch.autograd.function import once_differentiable


class AlphaWeights(torch.autograd.Function):
    """w_i = alpha_i T_i with T_i = prod_{j<i} (1 - alpha_j + eps)."""

    @staticmethod
    def forward(ctx: Any, alpha: Tensor, eps: float) -> Tensor:
        flat = alpha.detach().reshape(-1, alpha.shape[-1]).contiguous()
        weights = torch.empty_like(flat)
        _forward(flat.numpy(), flat.numpy().dtype.type(eps), weights.numpy())
        ctx.save_for_backward(flat)
        ctx.eps = eps
        return weights.reshape(alpha.shape)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grads: Tensor
    ) -> tuple[Tensor, None]:
        (flat,) = ctx.saved_tensors
        grad = grads[0].reshape(flat.shape).contiguous()
        out = torch.empty_like(flat)
        _backward(flat.numpy(), flat.numpy().dtype.type(ctx.eps), grad.numpy(), out.numpy())
        return out.reshape(grads[0].shape), None


@njit(parallel=True, cache=True)
def _forward(alpha: np.ndarray, eps: float, weights: np.ndarray) -> None:
    for r in prange(alpha.shape[0]):
        reaching = alpha.dtype.type(1)
        for i in range(alpha.shape[1]):
            weights[r, i] = reaching * alpha[r, i]
            reaching *= 1 - alpha[r, i] + eps


@njit(parallel=True, cache=True)
def _backward(alpha: np.ndarray, eps: float, grad: np.ndarray, out: np.ndarray) -> None:
    # behind = sum_{i>j} g_i alpha_i prod_{j<k<i} (1 - alpha_k + eps): what sample j hides;
    # dL/dalpha_j = T_j (g_j - behind_j), without a division by 1 - alpha_j.
    for r in prange(alpha.shape[0]):
        reaching = alpha.dtype.type(1)
        for i in range(alpha.shape[1]):
            out[r, i] = reaching
            reaching *= 1 - alpha[r, i] + eps
        behind = alpha.dtype.type(0)
        for i in range(alpha.shape[1] - 1, -1, -1):
            out[r, i] *= grad[r, i] - behind
            behind = grad[r, i] * alpha[r, i] + (1 - alpha[r, i] + eps) * behind
