"""3-D convolutions on channels-last maps [b, x, y, z, c], forward and backward as plain functions.

Channels-last is the layout in which oneDNN and cuDNN run 3x3x3 convolutions fastest, and in which
a transposed convolution whose kernel equals its stride is one matrix product and a reshape.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Map = Float[Tensor, "b x y z c"]
Kernel = Float[Tensor, "o i k k k"]
UpKernel = Float[Tensor, "i o k k k"]


def conv(x: Map, weight: Kernel) -> Map:
    """Convolution with an odd kernel, stride 1, zero padding that keeps the size, no bias."""
    weight = weight.contiguous(memory_format=torch.channels_last_3d)
    return _last(F.conv3d(_first(x), weight, padding=weight.shape[-1] // 2))


def unsafe_in_bf16(device: torch.device, depth: int) -> bool:
    """Whether a bf16 convolution's weight gradient cannot be trusted here.

    On the CPU, oneDNN (torch 2.13) reads memory it never wrote when the first side of the map is
    2 and the kernel is 3: the gradient comes out infinite, or merely wrong.
    """
    return device.type == "cpu" and depth == 2


def conv_backward(grad: Map, x: Map, weight: Kernel) -> tuple[Map, Kernel]:
    """Gradients of :func:`conv` with respect to its input and its weight."""
    if x.dtype == torch.bfloat16 and unsafe_in_bf16(x.device, x.shape[1]):
        wide = conv_backward(grad.float(), x.float(), weight.float())
        return wide[0].to(x.dtype), wide[1].to(weight.dtype)
    pad = [weight.shape[-1] // 2] * 3
    weight = weight.contiguous(memory_format=torch.channels_last_3d)
    grad_x, grad_weight, _ = torch.ops.aten.convolution_backward(
        _first(grad),
        _first(x),
        weight,
        None,
        [1, 1, 1],
        pad,
        [1, 1, 1],
        False,
        [0, 0, 0],
        1,
        [True, True, False],
    )
    return _last(grad_x), grad_weight


def upsample(
    x: Map, weight: UpKernel, bias: Float[Tensor, " o"] | None, out: Map | None = None
) -> Map:
    """Transposed convolution with kernel = stride = k: every voxel becomes k^3 voxels.

    Args:
        x: [b, x, y, z, i].
        weight: [i, o, k, k, k].
        out: where to write; may be a channel slice of a wider map (a concatenation in the making).
    """
    k, o = weight.shape[2], weight.shape[1]
    if out is None:
        out = x.new_empty(x.shape[0], *(k * s for s in x.shape[1:4]), o)
    flat = _flat_kernel(weight)
    offset = None if bias is None else bias.repeat(k**3)
    for rows, block in _planes(x, out, k):
        value = rows @ flat if offset is None else torch.addmm(offset, rows, flat)
        block.copy_(value.view(block.shape))
    return out


def upsample_backward(
    grad: Map, x: Map, weight: UpKernel
) -> tuple[Map, UpKernel, Float[Tensor, " o"]]:
    """Gradients of :func:`upsample` with respect to input, weight and bias."""
    k = weight.shape[2]
    flat = _flat_kernel(weight)
    wide = torch.promote_types(x.dtype, torch.float32)
    grad_flat = torch.zeros_like(flat, dtype=wide)
    grad_bias = flat.new_zeros(flat.shape[1], dtype=wide)
    grad_x = torch.empty_like(x)
    for index, (rows, block) in enumerate(_planes(x, grad, k)):
        g = block.reshape(rows.shape[0], -1)
        grad_flat += rows.T @ g
        grad_bias += g.sum(0, dtype=wide)
        plane = grad_x[index // x.shape[1], index % x.shape[1]]
        plane.copy_((g @ flat.T).view(plane.shape))
    grad_weight = grad_flat.view(weight.shape[0], k, k, k, -1).permute(0, 4, 1, 2, 3)
    return grad_x, grad_weight.to(weight.dtype), grad_bias.view(k**3, -1).sum(0).to(weight.dtype)


def _flat_kernel(weight: UpKernel) -> Float[Tensor, "i kkko"]:
    return weight.permute(0, 2, 3, 4, 1).reshape(weight.shape[0], -1)


def _planes(x: Map, fine: Map, k: int) -> Iterator[tuple[Tensor, Tensor]]:
    """For each sample and x plane: its voxels as rows, its fine voxels as [y, z, k, k, k, o]."""
    _, _, sy, sz, channels = x.shape
    for sample, fine_sample in zip(x, fine, strict=True):
        for i, plane in enumerate(sample):
            block = fine_sample[i * k : (i + 1) * k].unflatten(1, (sy, k)).unflatten(3, (sz, k))
            yield plane.reshape(-1, channels), block.permute(1, 3, 0, 2, 4, 5)


def _first(x: Map) -> Float[Tensor, "b c x y z"]:
    return x.permute(0, 4, 1, 2, 3)


def _last(x: Float[Tensor, "b c x y z"]) -> Map:
    return x.permute(0, 2, 3, 4, 1).contiguous()
