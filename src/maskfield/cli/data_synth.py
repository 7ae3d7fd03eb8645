"""``maskfield data synth``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import tyro


def data_synth(
    out: Path,
    kind: tyro.conf.Positional[Literal["scene", "grids"]] = "scene",
    seed: int = 0,
    views: int = 100,
    width: int = 160,
    height: int = 120,
    count: int = 64,
    resolution: int = 64,
) -> None:
    """Make procedural rooms: posed photographs of one (`scene`), or grids of many (`grids`).

    Args:
        out: the folder to write.
        kind: what to make.
        seed: the room, or the first of the rooms.
        views: scene: how many photographs.
        width: scene: pixels.
        height: scene: pixels.
        count: grids: how many rooms.
        resolution: grids: voxels along the longest side.
    """
    from maskfield import api

    written = api.data_synth(
        kind,
        out=out,
        seed=seed,
        views=views,
        width=width,
        height=height,
        count=count,
        resolution=resolution,
    )
    print(f"{kind}: {written}")
