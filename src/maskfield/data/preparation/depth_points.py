"""Labelled depth maps to world points (spec nerf_mae 8.4). Cameras look along -z, y up (OpenGL)."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

MAX_DEPTH = 15.0  # metres; farther readings are windows and holes
POINTS_PER_LABEL = 100_000


def backproject_depth(
    depth: Float[Tensor, "frame h w"],
    camera_to_world: Float[Tensor, "frame 4 4"],
    focal: tuple[float, float],
    centre: tuple[float, float],
    *,
    max_depth: float = MAX_DEPTH,
) -> tuple[Float[Tensor, "frame h w 3"], Bool[Tensor, "frame h w"]]:
    """World points of all pixels, and which of them are valid (0 < depth < ``max_depth``).

    Args:
        depth: z-depth along the viewing axis.
        camera_to_world: OpenGL cameras: x right, y up, looking along -z.
        focal: fx, fy in pixels.
        centre: cx, cy in pixels; cy counts from the bottom row, as official code does.
    """
    _, h, w = depth.shape
    u = torch.arange(w, device=depth.device, dtype=depth.dtype) + 0.5
    v = torch.arange(h, device=depth.device, dtype=depth.dtype) + 0.5
    x = (u - centre[0]) / focal[0] * depth
    y = ((h - v - centre[1]) / focal[1])[:, None] * depth
    local = torch.stack([x, y, -depth], dim=-1)
    rotation, origin = camera_to_world[:, :3, :3], camera_to_world[:, :3, 3]
    world = torch.einsum("fij,fhwj->fhwi", rotation, local) + origin[:, None, None]
    return world, (depth > 0) & (depth < max_depth)


def points_by_label(
    points: Float[Tensor, "*n 3"],
    labels: Int[Tensor, "*n"],
    valid: Bool[Tensor, "*n"],
    *,
    limit: int | None = None,
    generator: torch.Generator | None = None,
) -> dict[int, Float[Tensor, "m 3"]]:
    """Valid points of each label, in the order of the pixels (frame, row, column).

    Args:
        limit: keep a random subset of at most this many per label (official: 100 000).
        generator: needed with ``limit``.
    """
    points, labels = points[valid], labels[valid]
    split = {int(c): points[labels == c] for c in labels.unique()}
    if limit is None:
        return split
    return {label: _subset(p, limit, generator) for label, p in split.items()}


def _subset(points: Tensor, limit: int, generator: torch.Generator | None) -> Tensor:
    if len(points) <= limit:
        return points
    if generator is None:
        raise ValueError("a random subset needs a generator")
    order = torch.randperm(len(points), generator=generator, device=generator.device)
    return points[order[:limit].sort().values.to(points.device)]
