"""Instance norm (no affine) + residual + LeakyReLU, in place, in chunks of rows that stay in cache.

A map is a matrix of rows: [s, c], s voxels by c channels (channels-last), one sample at a time.
LeakyReLU has an inverse, so backward needs only the *output* of the chain: the pre-activation, and
from it the normalised value, are recovered instead of being stored.

Legend: a activation, n normalised value, r residual, g gradient, a = leaky(n + r).
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Rows = Float[Tensor, "s c"]
Channels = Float[Tensor, " c"]
CHUNK_ELEMENTS = 400_000  # 1.6 MB in float32: a few chunk-sized operands fit in two cores' L2
ROW_STEP = 64  # rows summed side by side, so that column sums vectorise when there are few channels


def moments(x: Rows, eps: float) -> tuple[Channels, Channels]:
    """Mean and 1 / sqrt(variance + eps) per channel, in float32 (float64 for float64 input).

    Chunk means and centred squares are merged as Chan et al. do, so a large mean costs no digits.
    """
    means, squares, counts = [], [], []
    for (chunk,) in _chunks(x):
        mean = column_sum(chunk) / chunk.shape[0]
        centred = chunk - mean
        means.append(mean)
        squares.append(column_sum(centred.square_()))
        counts.append(chunk.shape[0])
    n = torch.tensor(counts, dtype=means[0].dtype, device=x.device)[:, None] / x.shape[0]
    stacked = torch.stack(means)
    mean = (stacked * n).sum(0)
    variance = torch.stack(squares).sum(0) / x.shape[0] + ((stacked - mean).square() * n).sum(0)
    return mean, (variance + eps).rsqrt()


def normalise_(
    x: Rows,
    mean: Channels,
    rstd: Channels,
    *,
    slope: float | None = None,
    residual: Rows | None = None,
) -> Rows:
    """x <- leaky((x - mean) * rstd + residual), in place; no LeakyReLU when ``slope`` is None."""
    shift = -mean * rstd
    parts = _chunks(x) if residual is None else _chunks(x, residual)
    for target, (chunk, *rest) in zip(_views(x), parts, strict=True):
        value = torch.addcmul(shift, chunk, rstd)
        if rest:
            value += rest[0]
        target.copy_(value if slope is None else F.leaky_relu_(value, slope))
    return x


def normalise_backward(
    grad: Rows,
    output: Rows,
    rstd: Channels,
    *,
    slope: float | None = None,
    residual: Rows | None = None,
    into: Rows | None = None,
) -> Rows:
    """Gradient with respect to the input of :func:`normalise_`.

    Args:
        grad: gradient of the output.
        output: what :func:`normalise_` returned.
        rstd, slope, residual: as they were given there.
        into: where to write (may be ``grad`` itself); a new tensor when None.
    """
    into = torch.empty_like(grad) if into is None else into
    total, projected = _gradient_sums(grad, output, slope, residual)
    c1, c2 = total * rstd / grad.shape[0], projected * rstd / grad.shape[0]
    parts = _backward_chunks(grad, output, slope, residual)
    for target, (g, n) in zip(_views(into), parts, strict=True):
        target.copy_((g * rstd).sub_(c1).sub_(n.mul_(c2)))
    return into


def add_leaky_backward_(accumulator: Rows, grad: Rows, output: Rows, slope: float) -> Rows:
    """accumulator += grad * leaky'(output): the residual's share of the gradient."""
    for target, (acc, g, a) in zip(
        _views(accumulator), _chunks(accumulator, grad, output), strict=True
    ):
        target.copy_(acc + torch.ops.aten.leaky_relu_backward(g, a, slope, True))
    return accumulator


def column_sum(x: Rows) -> Channels:
    """Sum over rows."""
    rows, channels = x.shape
    if rows % ROW_STEP:
        return x.sum(0)
    wide = x.reshape(rows // ROW_STEP, ROW_STEP * channels)
    return wide.sum(0).view(ROW_STEP, channels).sum(0)


def _gradient_sums(
    grad: Rows, output: Rows, slope: float | None, residual: Rows | None
) -> tuple[Channels, Channels]:
    """Sum over rows of g and of g * n, g the gradient before the LeakyReLU."""
    totals, projections = [], []
    for g, n in _backward_chunks(grad, output, slope, residual):
        totals.append(column_sum(g))
        projections.append(column_sum(n.mul_(g)))
    return torch.stack(totals).sum(0), torch.stack(projections).sum(0)


def _backward_chunks(
    grad: Rows, output: Rows, slope: float | None, residual: Rows | None
) -> Iterator[tuple[Rows, Rows]]:
    """(gradient before the LeakyReLU, normalised value n), chunk by chunk; n may be overwritten."""
    maps = (grad, output) if residual is None else (grad, output, residual)
    for g, a, *rest in _chunks(*maps):
        if slope is None:
            n = a.clone()
        else:
            g = torch.ops.aten.leaky_relu_backward(g, a, slope, True)
            n = F.leaky_relu(a, 1 / slope)  # the inverse: negative values are divided by slope
        yield g, n.sub_(rest[0]) if rest else n


def _chunks(*maps: Rows) -> Iterator[list[Rows]]:
    """The same rows of every map, in at least float32; read only (they may be views)."""
    dtype = torch.promote_types(maps[0].dtype, torch.float32)
    for views in zip(*(_views(m) for m in maps), strict=True):
        yield [v.to(dtype) for v in views]


def _views(x: Rows) -> tuple[Rows, ...]:
    rows = max(CHUNK_ELEMENTS // x.shape[1] // ROW_STEP, 1) * ROW_STEP
    return x.split(rows) if x.device.type == "cpu" else (x,)
