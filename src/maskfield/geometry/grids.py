"""The frame of a voxel grid: axes x, y, z; voxel i of n is centred at (i + 0.5) / n of the box."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def voxel_centres(
    box: Float[Tensor, "2 3"], resolution: tuple[int, int, int]
) -> Float[Tensor, "x y z 3"]:
    """World coordinates of all voxel centres, first axis slowest."""
    axes = [
        box[0, a]
        + (torch.arange(n, device=box.device, dtype=box.dtype) + 0.5) / n * (box[1, a] - box[0, a])
        for a, n in enumerate(resolution)
    ]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)


def grid_nodes(
    box: Float[Tensor, "2 axis"], resolution: tuple[int, ...]
) -> Float[Tensor, "*nodes axis"]:
    """World coordinates of a lattice whose outermost nodes lie on the box, first axis slowest."""
    axes = [
        torch.linspace(float(low), float(high), n, device=box.device, dtype=box.dtype)
        for low, high, n in zip(box[0], box[1], resolution, strict=True)
    ]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)


def grid_from_world(
    points: Float[Tensor, "*n 3"], box: Float[Tensor, "2 3"], resolution: tuple[int, int, int]
) -> Float[Tensor, "*n 3"]:
    """World points to continuous voxel coordinates in [0, n]; a voxel centre is at index + 0.5."""
    size = torch.tensor(resolution, device=points.device, dtype=points.dtype)
    return (points - box[0]) / (box[1] - box[0]) * size


def world_from_grid(
    points: Float[Tensor, "*n 3"], box: Float[Tensor, "2 3"], resolution: tuple[int, int, int]
) -> Float[Tensor, "*n 3"]:
    """Inverse of :func:`grid_from_world`."""
    size = torch.tensor(resolution, device=points.device, dtype=points.dtype)
    return box[0] + points / size * (box[1] - box[0])


def resolution_for_box(
    box: Float[Tensor, "2 3"], longest: int, multiple: int = 1
) -> tuple[int, int, int]:
    """Voxel counts of near-cubic voxels whose longest side has ``longest`` voxels."""
    extent = (box[1] - box[0]).double()
    counts = (extent / extent.max() * longest / multiple).round().clamp_min(1) * multiple
    x, y, z = (int(c) for c in counts)
    return x, y, z
