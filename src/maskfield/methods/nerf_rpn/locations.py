"""Locations of the anchor-free head: cell index * stride + stride // 2 (spec nerf_rpn 7.1)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from maskfield.methods.nerf_rpn.config import STRIDES

Size = tuple[int, int, int]


def level_locations(
    cells: Sequence[Size], device: torch.device | None = None
) -> list[Float[Tensor, "_n 3"]]:
    """Per level, the voxel coordinates of all cells, x outermost."""
    return [
        torch.cartesian_prod(*(torch.arange(n, device=device) for n in count))
        .reshape(-1, 3)
        .mul(stride)
        .add(stride // 2)
        .float()
        for count, stride in zip(cells, STRIDES, strict=True)
    ]


def level_validity(
    locations: Sequence[Float[Tensor, "_n 3"]], sizes: Int[Tensor, "b 3"]
) -> list[Bool[Tensor, "b _n"]]:
    """Per level, which locations lie inside each scene's own size."""
    return [(points < sizes[:, None].to(points.device)).all(dim=-1) for points in locations]
