"""``maskfield data labels``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro


def data_labels(
    scene: tyro.conf.Positional[Path],
    grid: Path,
    out: Path | None = None,
    max_depth: float = 15.0,
    points: int = 100_000,
    classes: str | None = None,
    npy: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    seed: int = 0,
    compat: Literal["maskfield", "official"] = "maskfield",
) -> None:
    """Depth + class maps + poses -> a class id for every voxel of a radiance grid.

    Args:
        scene: a scene with depth and semantics, or a folder with transforms.json and official
            HDF5 frames (3D-FRONT: depth, class_segmaps; HM3D: data).
        grid: the radiance grid the labels belong to (.safetensors, official .npz, or run folder).
        out: the .safetensors to write; labels/NAME.safetensors beside the grid unless given.
        max_depth: farther readings are left out (metres).
        points: points of each class that vote, drawn at random from all views.
        classes: HDF5 frames: front3d, nyu40, or a label_map.json of `data prepare`.
        npy: also write the official voxel/NAME.npy.
        seed: decides which points vote.
        compat: official: points outside the grid vote at its border, cy counts from the bottom.
    """
    from maskfield import api

    report = api.data_labels(
        scene,
        grid=grid,
        out=out,
        max_depth=max_depth,
        points=points,
        classes=classes,
        npy=npy,
        seed=seed,
        compat=compat,
    )
    print(report.text())
