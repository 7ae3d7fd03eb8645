"""Instance norm (no affine) + residual + LeakyReLU in place; backward from the output alone.

A map is a matrix of rows: [s, c], s voxels by c channels (channels-last), one sample at a time.
LeakyReLU has an inverse, so backward needs only the *output* of the chain: the pre-activation, and
from it the normalised value, are recovered instead of being stored.

On the CPU, float32 and bfloat16 maps go through compiled single passes; everything else, and
``backend="torch"``, through plain torch. Both are deterministic for any number of threads.

Legend: a activation, n normalised value, r residual, g gradient, a = leaky(n + r).
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Rows = Float[Tensor, "s c"]
Channels = Float[Tensor, " c"]
Backend = Literal["auto", "torch"]
BLOCK = 256  # rows summed together: the unit of reduction, whatever the number of threads
THREAD_ELEMENTS = 200_000  # below this a pass is not worth a thread


def moments(x: Rows, eps: float, *, backend: Backend = "auto") -> tuple[Channels, Channels]:
    """Mean and 1 / sqrt(variance + eps) per channel, in float32 (float64 for float64 input).

    Block means and centred squares are merged as Chan et al. do, so a large mean costs no digits.
    """
    if not _compiled(x, backend):
        variance, mean = torch.var_mean(_wide(x), dim=0, correction=0)
        return mean, (variance + eps).rsqrt()
    from maskfield.ops.instance_norm_kernels import block_moments

    blocks, counts = _blocks(x)
    _run(blocks.shape[0], x.numel(), lambda a, b: block_moments(_array(x), a, b, BLOCK, blocks))
    means, squares = torch.from_numpy(blocks).double().unbind(1)
    mean = (means * counts).sum(0) / x.shape[0]
    spread = ((means - mean).square() * counts).sum(0)
    variance = (squares.sum(0) + spread) / x.shape[0]
    return mean.float(), (variance + eps).rsqrt().float()


def normalise_(
    x: Rows,
    mean: Channels,
    rstd: Channels,
    *,
    slope: float = 1.0,
    residual: Rows | None = None,
    backend: Backend = "auto",
) -> Rows:
    """x <- leaky((x - mean) * rstd + residual), in place; slope 1 is no LeakyReLU."""
    shift = -mean * rstd
    if not _compiled(x, backend):
        value = torch.addcmul(shift, _wide(x), rstd)
        value = value if residual is None else value + residual
        return x.copy_(F.leaky_relu(value, slope))
    from maskfield.ops.instance_norm_kernels import normalise

    scale, offset, s = _array(rstd), _array(shift), np.float32(slope)
    rows, added = _array(x), _array(_or_empty(residual, x))
    _run(x.shape[0], x.numel(), lambda a, b: normalise(rows, a, b, scale, offset, added, s))
    return x


def normalise_backward(
    grad: Rows,
    output: Rows,
    rstd: Channels,
    *,
    slope: float = 1.0,
    residual: Rows | None = None,
    into: Rows | None = None,
    backend: Backend = "auto",
) -> Rows:
    """Gradient with respect to the input of :func:`normalise_`.

    Args:
        grad: gradient of the output.
        output: what :func:`normalise_` returned.
        rstd, slope, residual: as they were given there.
        into: where to write (may be ``grad`` itself); a new tensor when None.
    """
    into = torch.empty_like(grad) if into is None else into
    total, projected = _gradient_sums(grad, output, slope, residual, backend)
    c1, c2 = total * rstd / grad.shape[0], projected * rstd / grad.shape[0]
    if not _compiled(grad, backend):
        g, n = _undo_leaky(grad, output, slope, residual)
        return into.copy_(g * rstd - c1 - n * c2)
    from maskfield.ops.instance_norm_kernels import normalise_gradient

    g, a, r, out = (_array(m) for m in (grad, output, _or_empty(residual, grad), into))
    scale, k1, k2, s = _array(rstd), _array(c1), _array(c2), np.float32(slope)
    _run(
        grad.shape[0],
        grad.numel(),
        lambda i, j: normalise_gradient(g, a, i, j, r, s, scale, k1, k2, out),
    )
    return into


def add_leaky_backward_(
    accumulator: Rows, grad: Rows, output: Rows, slope: float, *, backend: Backend = "auto"
) -> Rows:
    """accumulator += grad * leaky'(output), in place: the residual's share of the gradient."""
    if not _compiled(grad, backend):
        g, _ = _undo_leaky(grad, output, slope, None)
        return accumulator.copy_(_wide(accumulator) + g)
    from maskfield.ops.instance_norm_kernels import add_leaky_gradient

    acc, g, a, s = _array(accumulator), _array(grad), _array(output), np.float32(slope)
    _run(grad.shape[0], grad.numel(), lambda i, j: add_leaky_gradient(acc, g, a, i, j, s))
    return accumulator


def _gradient_sums(
    grad: Rows, output: Rows, slope: float, residual: Rows | None, backend: Backend
) -> tuple[Channels, Channels]:
    """Sum over rows of g and of g * n, g the gradient before the LeakyReLU."""
    if not _compiled(grad, backend):
        g, n = _undo_leaky(grad, output, slope, residual)
        return g.sum(0), (g * n).sum(0)
    from maskfield.ops.instance_norm_kernels import block_gradient_sums

    blocks, _ = _blocks(grad)
    g, a, r = (_array(m) for m in (grad, output, _or_empty(residual, grad)))
    s = np.float32(slope)
    _run(
        blocks.shape[0],
        grad.numel(),
        lambda i, j: block_gradient_sums(g, a, i, j, BLOCK, r, s, blocks),
    )
    total, projected = torch.from_numpy(blocks).double().sum(0).float()
    return total, projected


def _undo_leaky(grad: Rows, output: Rows, slope: float, residual: Rows | None) -> tuple[Rows, Rows]:
    """(gradient before the LeakyReLU, normalised value n)."""
    a, g = _wide(output), _wide(grad)
    n = torch.where(a > 0, a, a / slope)
    return torch.where(a > 0, g, g * slope), n if residual is None else n - residual


def _compiled(x: Tensor, backend: Backend) -> bool:
    return backend == "auto" and x.device.type == "cpu" and x.dtype in _DTYPES


def _wide(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


_DTYPES = (torch.float32, torch.bfloat16)


def _array(x: Tensor) -> np.ndarray:
    x = x.detach()
    return x.view(torch.uint16).numpy() if x.dtype == torch.bfloat16 else x.numpy()


def _or_empty(residual: Rows | None, like: Rows) -> Rows:
    return like.new_empty(0, like.shape[1]) if residual is None else residual


def _blocks(x: Rows) -> tuple[np.ndarray, Float[Tensor, "k 1"]]:
    """Room for two sums per block of rows, and how many rows each block has."""
    count = -(-x.shape[0] // BLOCK)
    counts = torch.full((count, 1), BLOCK, dtype=torch.float64)
    counts[-1] = x.shape[0] - (count - 1) * BLOCK
    return np.empty((count, 2, x.shape[1]), np.float32), counts


def _run(units: int, elements: int, work: Callable[[int, int], None]) -> None:
    """``work(first, last)`` over all units, split over torch's number of threads."""
    threads = min(torch.get_num_threads(), max(elements // THREAD_ELEMENTS, 1), units)
    if threads == 1:
        return work(0, units)
    edges = [units * t // threads for t in range(threads + 1)]
    with ThreadPoolExecutor(threads - 1) as pool:
        others = [pool.submit(work, a, b) for a, b in pairwise(edges[1:])]
        work(edges[0], edges[1])
        for other in others:
            other.result()
    return None
