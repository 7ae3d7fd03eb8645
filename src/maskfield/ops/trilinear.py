"""Trilinear look-up in a channels-last volume; differentiable in the volume and in the points.

Voxel coordinates: voxel i covers [i, i + 1) and its centre, where the look-up returns the stored
value, is at i + 0.5. Outside the outermost centres the volume goes on with its border value
("border") or fades to nothing over one voxel ("zeros").
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from maskfield.core.errors import DataError
from maskfield.ops.dispatch import check_backend, use_numba

TrilinearBackend = Literal["auto", "torch", "embedding_bag", "grid_sample", "numba"]
TRILINEAR_BACKENDS = ("auto", "torch", "embedding_bag", "grid_sample", "numba")
Padding = Literal["border", "zeros"]


def trilinear(
    volume: Float[Tensor, "x y z channel"],
    points: Float[Tensor, "point 3"],
    *,
    padding: Padding = "border",
    backend: TrilinearBackend = "auto",
) -> Float[Tensor, "point channel"]:
    """Interpolate ``volume`` at ``points`` (voxel coordinates).

    Args:
        backend: "auto": numba on the CPU, embedding_bag elsewhere. "torch" is embedding_bag, the
            reference. numba's gradients are bit-identical for any number of threads.

    Raises:
        ConfigError: unknown backend. DataError: wrong shapes, or dtypes or devices that differ.
    """
    check_backend(backend, TRILINEAR_BACKENDS)
    _check(volume, points, padding)
    if backend == "grid_sample":
        return _grid_sample(volume, points, padding)
    general = backend if backend in ("auto", "numba") else "torch"
    if use_numba(general, volume, points):
        from maskfield.ops.trilinear_numba import Trilinear

        return Trilinear.apply(volume, points, padding == "zeros")
    return _embedding_bag(volume, points, padding)


def corner_weights(
    points: Float[Tensor, "point 3"], shape: tuple[int, int, int], padding: Padding = "border"
) -> tuple[Int[Tensor, "point 8"], Float[Tensor, "point 8"]]:
    """Flat index and weight of the eight voxels around each point; weights carry the gradient."""
    size = torch.tensor(shape, device=points.device)
    last = (size - 1).to(points.dtype)
    p = points - 0.5
    p = torch.minimum(p.clamp_min(0), last) if padding == "border" else p
    base = p.detach().floor().clamp(-2, float(size.max()))
    share = p - base
    bits = torch.tensor([[(n >> s) & 1 for s in (2, 1, 0)] for n in range(8)], device=size.device)
    corner = base.long()[:, None] + bits
    wx, wy, wz = torch.where(bits.bool(), share[:, None], 1 - share[:, None]).unbind(-1)
    weight = wx * wy * wz
    inside = ((corner >= 0) & (corner < size)).all(-1)
    corner = torch.minimum(corner.clamp_min(0), size - 1)
    index = (corner[..., 0] * shape[1] + corner[..., 1]) * shape[2] + corner[..., 2]
    return index, torch.where(inside, weight, torch.zeros_like(weight))


def _embedding_bag(volume: Tensor, points: Tensor, padding: Padding) -> Tensor:
    x, y, z, channels = volume.shape
    index, weight = corner_weights(points, (x, y, z), padding)
    table = volume.reshape(-1, channels)
    return F.embedding_bag(index, table, per_sample_weights=weight, mode="sum")


def _grid_sample(volume: Tensor, points: Tensor, padding: Padding) -> Tensor:
    """torch's own sampler: channels first, last axis first, coordinates in [-1, 1]."""
    size = points.new_tensor(volume.shape[:3])
    grid = (2 * points / size - 1).flip(-1)[None, None, None]
    channels_first = volume.permute(3, 0, 1, 2)[None]
    out = F.grid_sample(channels_first, grid, padding_mode=padding, align_corners=False)
    return out[0, :, 0, 0].T


def _check(volume: Tensor, points: Tensor, padding: str) -> None:
    if volume.ndim != 4 or points.ndim != 2 or points.shape[-1] != 3 or 0 in volume.shape:
        raise DataError(
            "trilinear takes a non-empty volume [x, y, z, channel] and points [point, 3]",
            field="volume, points",
            value=(tuple(volume.shape), tuple(points.shape)),
            remedy="move channels last and flatten the points",
        )
    if (volume.dtype, volume.device) != (points.dtype, points.device):
        raise DataError(
            "volume and points must share dtype and device",
            field="volume, points",
            value=((volume.dtype, str(volume.device)), (points.dtype, str(points.device))),
            remedy="convert one of them",
        )
    if padding not in ("border", "zeros"):
        raise DataError(
            "unknown padding", field="padding", value=padding, remedy="choose 'border' or 'zeros'"
        )
