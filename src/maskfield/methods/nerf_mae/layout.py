"""Layouts of the masked autoencoder: grids to padded cubes, tokens to voxels, official patches.

Legend: R cube side, G = R / p tokens per axis, p patch size.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

Triple = tuple[int, int, int]


def pad_to_box(
    grids: Sequence[Float[Tensor, "c _x _y _z"]], box: Triple
) -> tuple[Float[Tensor, "b c x y z"], Int[Tensor, "b 3"]]:
    """Zero-pad each grid at the end of every axis; larger grids are cropped there (quirk Q5).

    Returns:
        The stacked grids, and how many voxels of each axis are real.
    """
    padded, sizes = [], []
    for grid in grids:
        kept = grid[:, : box[0], : box[1], : box[2]]
        missing = [b - s for b, s in zip(box, kept.shape[1:], strict=True)]
        padded.append(F.pad(kept, (0, missing[2], 0, missing[1], 0, missing[0])))
        sizes.append(kept.shape[1:])
    return torch.stack(padded), torch.tensor(sizes, device=padded[0].device)


def pad_to_cube(
    grids: Sequence[Float[Tensor, "c _x _y _z"]], resolution: int
) -> tuple[Float[Tensor, "b c r r r"], Int[Tensor, "b 3"]]:
    """:func:`pad_to_box` with one side for all axes: the official input."""
    return pad_to_box(grids, (resolution, resolution, resolution))


def valid_voxels(sizes: Int[Tensor, "b 3"], box: Triple) -> Bool[Tensor, "b x y z"]:
    """True on the voxels that are not padding."""
    inside = [
        torch.arange(n, device=sizes.device)[None] < sizes[:, a : a + 1] for a, n in enumerate(box)
    ]
    return inside[0][:, :, None, None] & inside[1][:, None, :, None] & inside[2][:, None, None, :]


def valid_cells(sizes: Int[Tensor, "b 3"], cells: Triple, stride: int) -> Bool[Tensor, "b x y z"]:
    """True on feature cells (``stride`` voxels wide) that hold at least one real voxel."""
    return valid_voxels(-(-sizes // stride), cells)


def patchify(x: Shaped[Tensor, "b c x y z"], patch: int) -> Shaped[Tensor, "b gx gy gz n c"]:
    """Voxels to official patches; within a patch x is slowest: index p*p*i + p*j + k."""
    b, c, sx, sy, sz = x.shape
    p = patch
    cells = x.reshape(b, c, sx // p, p, sy // p, p, sz // p, p)
    return cells.permute(0, 2, 4, 6, 3, 5, 7, 1).reshape(b, sx // p, sy // p, sz // p, p**3, c)


def unpatchify(
    patches: Shaped[Tensor, "b gx gy gz n c"], patch: int
) -> Shaped[Tensor, "b c x y z"]:
    """Inverse of :func:`patchify`."""
    b, gx, gy, gz, _, c = patches.shape
    p = patch
    cells = patches.reshape(b, gx, gy, gz, p, p, p, c).permute(0, 7, 1, 4, 2, 5, 3, 6)
    return cells.reshape(b, c, gx * p, gy * p, gz * p)
