"""``maskfield data synth``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import tyro


def data_synth(
    out: Path,
    kind: tyro.conf.Positional[Literal["scene", "grids", "objects"]] = "scene",
    seed: int = 0,
    views: int | None = None,
    width: int | None = None,
    height: int | None = None,
    count: int = 64,
    resolution: int = 64,
) -> None:
    """Make procedural worlds: photographs of a room (`scene`), grids of many rooms (`grids`), or
    photographs of single objects over white, one scene folder for each (`objects`).

    Args:
        out: the folder to write.
        kind: what to make.
        seed: the room, or the first of the rooms or objects.
        views: how many photographs (scene: 100, objects: 24 of each).
        width: pixels of a photograph (scene: 160, objects: 64).
        height: scene: pixels (120); photographs of objects are square.
        count: how many rooms (grids) or objects.
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
