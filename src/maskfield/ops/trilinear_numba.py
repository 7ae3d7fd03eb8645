"""Fast path of :func:`maskfield.ops.trilinear.trilinear`.

The volume's gradient is scattered slab by slab: each slab of x-planes belongs to one thread, which
goes through all points in order and keeps what falls into its slab. Every voxel is thus summed by
one thread in the order of the points: no atomics, no copies of the volume, and the same bits for
any number of threads.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import torch
from numba import njit, prange
from torch import Tensor
from torch.autograd.function import once_differentiable


class Trilinear(torch.autograd.Function):
    """Interpolation of volume [x, y, z, c] at points [n, 3]; first derivatives only."""

    @staticmethod
    def forward(ctx: Any, volume: Tensor, points: Tensor, zeros: bool) -> Tensor:
        volume, points = volume.detach().contiguous(), points.detach().contiguous()
        out = volume.new_empty(points.shape[0], volume.shape[3])
        _forward(volume.numpy(), points.numpy(), zeros, out.numpy())
        ctx.save_for_backward(volume, points)
        ctx.zeros = zeros
        return out

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grads: Tensor
    ) -> tuple[Tensor | None, Tensor | None, None]:
        volume, points = ctx.saved_tensors
        grad = grads[0].contiguous()
        to_volume = to_points = None
        if ctx.needs_input_grad[0]:
            to_volume = torch.zeros_like(volume)
            slabs = slab_edges(points[:, 0].numpy(), volume.shape[0], numba.get_num_threads())
            _scatter(points.numpy(), grad.numpy(), ctx.zeros, slabs, to_volume.numpy())
        if ctx.needs_input_grad[1]:
            to_points = torch.empty_like(points)
            args = (volume.numpy(), points.numpy(), grad.numpy())
            _slope(*args, ctx.zeros, to_points.numpy())
        return to_volume, to_points, None


def slab_edges(x: np.ndarray, planes: int, threads: int) -> np.ndarray:
    """Plane numbers at which slabs begin and end, so that each has about as many points."""
    counts = np.bincount(
        np.clip(np.nan_to_num(x), 0, planes - 1).astype(np.int64), minlength=planes
    )
    share = np.cumsum(counts) / max(len(x), 1)
    inner = np.searchsorted(share, np.arange(1, threads) / threads) + 1
    return np.concatenate([[0], np.minimum(inner, planes), [planes]]).astype(np.int64)


# float32 constants keep float32 arithmetic in float32 and leave float64 alone
_ZERO, _HALF, _ONE, _TWO = np.float32(0), np.float32(0.5), np.float32(1), np.float32(2)


@njit(inline="always")
def _axis(p: Any, n: int, zeros: bool) -> tuple[int, int, Any, Any, Any, Any]:
    """Two voxel indices, their weights (0 outside), and the weights' slopes (0 where clamped)."""
    p = p - _HALF
    last = np.float32(n - 1)
    slope = _ONE
    if not zeros and (p < _ZERO or p > last):
        slope = _ZERO
        p = min(max(p, _ZERO), last)
    p = min(max(p, -_TWO), last + _TWO)
    base = np.floor(p)
    share = p - base
    low = int(base)
    has_low = _ONE if 0 <= low < n else _ZERO
    has_high = _ONE if -1 <= low < n - 1 else _ZERO
    first, second = min(max(low, 0), n - 1), min(max(low + 1, 0), n - 1)
    return (
        first,
        second,
        has_low * (_ONE - share),
        has_high * share,
        -has_low * slope,
        has_high * slope,
    )


@njit(parallel=True, cache=True, fastmath={"contract"})
def _forward(volume: np.ndarray, points: np.ndarray, zeros: bool, out: np.ndarray) -> None:
    nx, ny, nz, channels = volume.shape
    for r in prange(points.shape[0]):
        x0, x1, u0, u1, _, _ = _axis(points[r, 0], nx, zeros)
        y0, y1, v0, v1, _, _ = _axis(points[r, 1], ny, zeros)
        z0, z1, w0, w1, _, _ = _axis(points[r, 2], nz, zeros)
        a, b, c, d = u0 * v0, u0 * v1, u1 * v0, u1 * v1
        for k in range(channels):
            low = (
                a * volume[x0, y0, z0, k]
                + b * volume[x0, y1, z0, k]
                + c * volume[x1, y0, z0, k]
                + d * volume[x1, y1, z0, k]
            )
            high = (
                a * volume[x0, y0, z1, k]
                + b * volume[x0, y1, z1, k]
                + c * volume[x1, y0, z1, k]
                + d * volume[x1, y1, z1, k]
            )
            out[r, k] = w0 * low + w1 * high


@njit(parallel=True, cache=True, fastmath={"contract"})
def _scatter(
    points: np.ndarray, grad: np.ndarray, zeros: bool, slabs: np.ndarray, out: np.ndarray
) -> None:
    nx, ny, nz, channels = out.shape
    for slab in prange(len(slabs) - 1):
        first, end = slabs[slab], slabs[slab + 1]
        for r in range(points.shape[0]):
            x0, x1, u0, u1, _, _ = _axis(points[r, 0], nx, zeros)
            if x1 < first or x0 >= end:
                continue
            y0, y1, v0, v1, _, _ = _axis(points[r, 1], ny, zeros)
            z0, z1, w0, w1, _, _ = _axis(points[r, 2], nz, zeros)
            for x, u in ((x0, u0), (x1, u1)):
                if x < first or x >= end:
                    continue
                for k in range(channels):
                    g = u * grad[r, k]
                    out[x, y0, z0, k] += v0 * w0 * g
                    out[x, y0, z1, k] += v0 * w1 * g
                    out[x, y1, z0, k] += v1 * w0 * g
                    out[x, y1, z1, k] += v1 * w1 * g


@njit(parallel=True, cache=True, fastmath={"contract"})
def _slope(
    volume: np.ndarray, points: np.ndarray, grad: np.ndarray, zeros: bool, out: np.ndarray
) -> None:
    nx, ny, nz, channels = volume.shape
    for r in prange(points.shape[0]):
        x0, x1, u0, u1, du0, du1 = _axis(points[r, 0], nx, zeros)
        y0, y1, v0, v1, dv0, dv1 = _axis(points[r, 1], ny, zeros)
        z0, z1, w0, w1, dw0, dw1 = _axis(points[r, 2], nz, zeros)
        gx, gy, gz = u0 * _ZERO, v0 * _ZERO, w0 * _ZERO
        for x, u, du in ((x0, u0, du0), (x1, u1, du1)):
            for y, v, dv in ((y0, v0, dv0), (y1, v1, dv1)):
                for z, w, dw in ((z0, w0, dw0), (z1, w1, dw1)):
                    value = u * _ZERO
                    for k in range(channels):
                        value += grad[r, k] * volume[x, y, z, k]
                    gx += du * v * w * value
                    gy += u * dv * w * value
                    gz += u * v * dw * value
        out[r, 0], out[r, 1], out[r, 2] = gx, gy, gz
