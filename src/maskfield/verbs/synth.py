"""Procedural rooms on disk: one photographed room, or a store of many voxel grids."""

from __future__ import annotations

from pathlib import Path

HOLDOUT = 8


def synth_scene(folder: Path, *, seed: int, views: int, width: int, height: int) -> Path:
    """Photograph one room and write it as a scene; every 8th view is held out."""
    from maskfield.data.scene import save_scene, with_split
    from maskfield.data.synthetic.rooms import room_scene

    scene = room_scene(seed, views=views, width=width, height=height)
    return save_scene(with_split(scene, HOLDOUT), folder)


def synth_grids(folder: Path, *, seed: int, count: int, resolution: int) -> Path:
    """Rasterise ``count`` rooms into a store of grids."""
    from maskfield.data.synthetic.rooms import write_room_grids

    write_room_grids(folder, count, seed, resolution)
    return folder
