"""Procedural rooms on disk: one photographed room, or a store of many voxel grids."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maskfield.data.radiance_grid import RadianceGrid


def synth_scene(folder: Path, *, seed: int, views: int, width: int, height: int) -> Path:
    """Photograph one room and write it as a scene; every 8th view is held out."""
    from maskfield.data.config import SceneDataConfig
    from maskfield.data.scene import save_scene
    from maskfield.data.synthetic.rooms import room_scene

    SceneDataConfig(views=views, width=width, height=height)  # refuses sizes out of range

    return save_scene(room_scene(seed, views=views, width=width, height=height), folder)


def synth_grids(folder: Path, *, seed: int, count: int, resolution: int) -> Path:
    """Rasterise ``count`` rooms, from room ``seed`` on, into a store of grids."""
    from maskfield.data.config import GridDataConfig
    from maskfield.data.store import write_store

    GridDataConfig(train_count=count, resolution=resolution)  # refuses sizes out of range
    write_store(_rooms(seed, count, resolution), folder)
    return folder


def _rooms(seed: int, count: int, resolution: int) -> Iterator[tuple[str, RadianceGrid]]:
    from maskfield.core.log import Progress
    from maskfield.data.synthetic.rooms import make_room, rasterise_room

    with Progress(count, "rooms") as progress:
        for index, number in enumerate(range(seed, seed + count)):
            yield f"room-{number:07d}", rasterise_room(make_room(number), resolution).radiance
            progress.update(index + 1)
