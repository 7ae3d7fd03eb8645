"""``maskfield extract``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro


def extract(
    field: tyro.conf.Positional[Path],
    out: Path | None = None,
    longest: int = 160,
    scene: Path | None = None,
    ply: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    npz: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    mesh: Literal["obj", "ply"] | None = None,
    mesh_level: float | None = None,
    figures: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
) -> None:
    """Sample a fitted field on voxels: colour and density in one file.

    Args:
        field: the run folder of `fit`.
        out: the .safetensors to write; grid.safetensors in the run folder unless given.
        longest: voxels along the longest side (160, 200, 256 or 384).
        scene: the scene the field was fitted to, when it has moved since.
        ply: also write the occupied voxels as a coloured point cloud.
        npz: also write a NeRF-RPN / NeRF-MAE .npz.
        mesh: also write the surface as coloured triangles (extra `image`).
        mesh_level: density of the surface; unless given, what stops half the light in one voxel.
        figures: also draw the grid.
    """
    from maskfield import api

    for path in api.extract(
        field,
        out=out,
        longest=longest,
        scene=scene,
        ply=ply,
        npz=npz,
        mesh=mesh,
        mesh_level=mesh_level,
        figures=figures,
    ):
        print(f"wrote: {path}")
