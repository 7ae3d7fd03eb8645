"""The occupied voxels of a grid as a coloured point cloud (binary PLY)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from maskfield.core.errors import GridError
from maskfield.core.files import StrPath, atomic_path
from maskfield.data.radiance_grid import RadianceGrid
from maskfield.geometry.grids import voxel_centres

_POINT = np.dtype(
    [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("r", "u1"), ("g", "u1"), ("b", "u1"), ("a", "u1")]
)
_HEADER = """ply
format binary_little_endian 1.0
element vertex {count}
property float x
property float y
property float z
property uchar red
property uchar green
property uchar blue
property uchar alpha
end_header
"""


def write_ply(grid: RadianceGrid, path: StrPath, threshold: float = 0.05) -> Path:
    """Write the voxels whose official alpha exceeds ``threshold``; alpha is kept per point.

    Raises:
        GridError: no voxel does. StorageError: the file cannot be written.
    """
    alpha = grid.to_alpha()[0]
    chosen = alpha > threshold
    if not bool(chosen.any()):
        raise GridError(
            "no voxel is opaque enough to be a point",
            file=path,
            field="threshold",
            value=threshold,
            remedy=f"give a threshold below the grid's greatest alpha, {float(alpha.max()):.3g}",
        )
    points = np.empty(int(chosen.sum()), _POINT)
    xyz = voxel_centres(grid.box.float(), grid.resolution)[chosen].numpy()
    rgb = (grid.colour().permute(1, 2, 3, 0)[chosen].clamp(0, 1) * 255).round().byte().numpy()
    points["x"], points["y"], points["z"] = xyz.T
    points["r"], points["g"], points["b"] = rgb.T
    points["a"] = (alpha[chosen] * 255).round().byte().numpy()
    with atomic_path(path) as temporary:
        temporary.write_bytes(_HEADER.format(count=len(points)).encode() + points.tobytes())
    return Path(path)
