"""Grids of different sizes in one tensor (spec nerf_rpn 3, 12)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from maskfield.core.errors import GridError


@dataclass(frozen=True, kw_only=True)
class GridBatch:
    """Zero-padded grids.

    Attributes:
        grids: [b, channel, x, y, z].
        sizes: [b, 3] sizes before padding.
        masked: whether cells beyond a scene's own size are left out of losses and answers;
            the official code does so unless the batch is one unpadded scene.
    """

    grids: Float[Tensor, "b channel x y z"]
    sizes: Int[Tensor, "b 3"]
    masked: bool

    @property
    def shape(self) -> tuple[int, int, int]:
        """Padded size in voxels."""
        x, y, z = self.grids.shape[2:]
        return x, y, z


def pad_grids(
    grids: Sequence[Float[Tensor, "4 _x _y _z"]], resolution: int | None = None
) -> GridBatch:
    """Pad at the high ends to the largest of the batch, or to a cube of side ``resolution``.

    Raises:
        GridError: a grid is larger than the cube.
    """
    sizes = torch.tensor([g.shape[1:] for g in grids], device=grids[0].device)
    target = sizes.amax(0).tolist() if resolution is None else [resolution] * 3
    for i, size in enumerate(sizes.tolist()):
        if any(s > t for s, t in zip(size, target, strict=True)):
            raise GridError(
                "the grid is larger than the cube this detector was made for",
                field=f"grid {i}",
                value=tuple(size),
                remedy=f"resample it to at most {resolution} voxels along its longest side",
            )
    padded = torch.stack([_pad(g, target) for g in grids])
    return GridBatch(grids=padded, sizes=sizes, masked=len(grids) > 1 or resolution is not None)


def _pad(grid: Float[Tensor, "4 x y z"], target: list[int]) -> Float[Tensor, "4 _x _y _z"]:
    x, y, z = (t - s for t, s in zip(target, grid.shape[1:], strict=True))
    return F.pad(grid, (0, z, 0, y, 0, x))
