"""The decoder's blocks as autograd functions that keep two maps per block for backward.

Same mathematics as the plain modules in :mod:`maskfield.nn.unet3d`. What differs:
- norms and activations run in place on the convolutions' outputs, and backward recovers what they
  were from what they became (:mod:`maskfield.ops.instance_norm`);
- the transposed convolution is recomputed in backward instead of stored;
- a bias in front of an instance norm cancels: it is not added, and its gradient is exactly 0.

Maps are channels-last [b, x, y, z, c].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from maskfield.ops.conv3d import (
    Kernel,
    Map,
    UpKernel,
    conv,
    conv_backward,
    upsample,
    upsample_backward,
)
from maskfield.ops.instance_norm import (
    add_leaky_backward_,
    moments,
    normalise_,
    normalise_backward,
)

SLOPE = 0.01  # of every LeakyReLU
EPS = 1e-5  # of every instance norm


@dataclass(frozen=True, kw_only=True)
class BlockWeights:
    """Weights of a residual block; ``w3`` only when its widths differ."""

    w1: Kernel
    w2: Kernel
    w3: Kernel | None = None


@dataclass(frozen=True, kw_only=True)
class BlockState:
    """What a residual block keeps: its hidden activation, the projected residual, the output."""

    hidden: Map
    output: Map
    projected: Map | None
    rstd1: Float[Tensor, "b c"]
    rstd2: Float[Tensor, "b c"]
    rstd3: Float[Tensor, "b c"] | None


def block_forward(x: Map, weights: BlockWeights) -> BlockState:
    """conv1 - norm - leaky - conv2 - norm - add (x or norm(conv3(x))) - leaky."""
    hidden, rstd1 = _norm_map(conv(x, weights.w1), SLOPE)
    projected, rstd3 = None, None
    if weights.w3 is not None:
        projected, rstd3 = _norm_map(conv(x, weights.w3), 1.0)
    residual = x if projected is None else projected
    output, rstd2 = _norm_map(conv(hidden, weights.w2), SLOPE, residual)
    return BlockState(
        hidden=hidden, output=output, projected=projected, rstd1=rstd1, rstd2=rstd2, rstd3=rstd3
    )


def block_backward(
    grad: Map, x: Map, state: BlockState, weights: BlockWeights
) -> tuple[Map, BlockWeights]:
    """Gradients of :func:`block_forward` with respect to x and the weights."""
    residual = x if state.projected is None else state.projected
    g2 = _norm_map_backward(grad, state.output, state.rstd2, SLOPE, residual)
    g1, grad_w2 = conv_backward(g2, state.hidden, weights.w2)
    del g2
    g1 = _norm_map_backward(g1, state.hidden, state.rstd1, SLOPE, into=g1)
    grad_x, grad_w1 = conv_backward(g1, x, weights.w1)
    del g1
    if weights.w3 is None or state.projected is None or state.rstd3 is None:
        _add_leaky_map_(grad_x, grad, state.output)
        return grad_x, BlockWeights(w1=grad_w1, w2=grad_w2)
    g3 = _add_leaky_map_(torch.zeros_like(grad), grad, state.output)
    g3 = _norm_map_backward(g3, state.projected, state.rstd3, 1.0, into=g3)
    more, grad_w3 = conv_backward(g3, x, weights.w3)
    return grad_x.add_(more), BlockWeights(w1=grad_w1, w2=grad_w2, w3=grad_w3)


class FusedResidualBlock(torch.autograd.Function):
    """y = block(x). Inputs: x, then weight and bias of conv1, conv2 and (or None, None) conv3."""

    @staticmethod
    def forward(ctx: Any, x: Map, w1, b1, w2, b2, w3, b3) -> Map:
        x = x.contiguous()
        state = block_forward(x, _weights(x, w1, w2, w3))
        _save(ctx, state, x, w1, w2, w3)
        ctx.bias_shapes = [None if b is None else b.shape for b in (b1, b2, b3)]
        return state.output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Map):  # pyright: ignore[reportIncompatibleMethodOverride]
        state, (x, w1, w2, w3) = _load(ctx)
        weights = _weights(x, w1, w2, w3)
        grad_x, g = block_backward(grad.contiguous(), x, state, weights)
        return grad_x, *_block_gradients(g, w1, ctx.bias_shapes)


class FusedUpBlock(torch.autograd.Function):
    """y = block([upsample(x), skip]). Inputs: x, skip, up weight and bias, then as above."""

    @staticmethod
    def forward(ctx: Any, x: Map, skip: Map | None, wt, bt, w1, b1, w2, b2, w3, b3) -> Map:
        x = x.contiguous()
        state = block_forward(_joined(x, skip, wt, bt), _weights(x, w1, w2, w3))
        _save(ctx, state, x, skip, wt, bt, w1, w2, w3)
        ctx.bias_shapes = [None if b is None else b.shape for b in (b1, b2, b3)]
        return state.output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Map):  # pyright: ignore[reportIncompatibleMethodOverride]
        state, (x, skip, wt, bt, w1, w2, w3) = _load(ctx)
        weights = _weights(x, w1, w2, w3)
        joined = _joined(x, skip, wt, bt)
        grad_joined, g = block_backward(grad.contiguous(), joined, state, weights)
        del joined
        o = wt.shape[1]
        grad_x, grad_wt, grad_bt = upsample_backward(grad_joined[..., :o], x, wt.to(x.dtype))
        grad_skip = grad_joined[..., o:] if skip is not None else None
        grad_wt, grad_bt = grad_wt.to(wt.dtype), grad_bt.to(wt.dtype)
        return grad_x, grad_skip, grad_wt, grad_bt, *_block_gradients(g, w1, ctx.bias_shapes)


def _joined(x: Map, skip: Map | None, weight: UpKernel, bias: Float[Tensor, " o"]) -> Map:
    """The upsampled map, with the skip's channels behind it."""
    weight, bias = weight.to(x.dtype), bias.to(x.dtype)
    if skip is None:
        return upsample(x, weight, bias)
    o = weight.shape[1]
    joined = x.new_empty(*skip.shape[:4], o + skip.shape[4])
    upsample(x, weight, bias, out=joined[..., :o])
    joined[..., o:] = skip
    return joined


def _norm_map(
    x: Map, slope: float, residual: Map | None = None
) -> tuple[Map, Float[Tensor, "b c"]]:
    """Normalise every sample in place."""
    scales = []
    for i, rows in enumerate(x.flatten(1, 3)):
        mean, rstd = moments(rows, EPS)
        added = None if residual is None else residual[i].flatten(0, 2)
        normalise_(rows, mean, rstd, slope=slope, residual=added)
        scales.append(rstd)
    return x, torch.stack(scales)


def _norm_map_backward(
    grad: Map,
    output: Map,
    rstd: Float[Tensor, "b c"],
    slope: float,
    residual: Map | None = None,
    into: Map | None = None,
) -> Map:
    into = torch.empty_like(grad) if into is None else into
    for i in range(grad.shape[0]):
        normalise_backward(
            grad[i].flatten(0, 2),
            output[i].flatten(0, 2),
            rstd[i],
            slope=slope,
            residual=None if residual is None else residual[i].flatten(0, 2),
            into=into[i].flatten(0, 2),
        )
    return into


def _add_leaky_map_(accumulator: Map, grad: Map, output: Map) -> Map:
    add_leaky_backward_(accumulator.flatten(0, 3), grad.flatten(0, 3), output.flatten(0, 3), SLOPE)
    return accumulator


def _save(ctx: Any, state: BlockState, *inputs: Tensor | None) -> None:
    s = state
    ctx.save_for_backward(s.hidden, s.output, s.projected, s.rstd1, s.rstd2, s.rstd3, *inputs)


def _load(ctx: Any) -> tuple[BlockState, tuple[Tensor, ...]]:
    hidden, output, projected, rstd1, rstd2, rstd3, *inputs = ctx.saved_tensors
    state = BlockState(
        hidden=hidden, output=output, projected=projected, rstd1=rstd1, rstd2=rstd2, rstd3=rstd3
    )
    return state, tuple(inputs)


def _weights(x: Map, w1: Kernel, w2: Kernel, w3: Kernel | None) -> BlockWeights:
    """The weights in the dtype of the map (autocast)."""
    dtype = x.dtype
    return BlockWeights(w1=w1.to(dtype), w2=w2.to(dtype), w3=None if w3 is None else w3.to(dtype))


def _block_gradients(
    g: BlockWeights, like: Kernel, bias_shapes: list[torch.Size | None]
) -> list[Tensor | None]:
    """Gradients of conv1, conv2, conv3 in the parameters' dtype; biases get exact zeros."""
    biases = [None if s is None else like.new_zeros(s) for s in bias_shapes]
    weights = [None if w is None else w.to(like.dtype) for w in (g.w1, g.w2, g.w3)]
    return [tensor for pair in zip(weights, biases, strict=True) for tensor in pair]
