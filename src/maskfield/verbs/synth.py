"""Procedural rooms on disk: one photographed room, or a store of many voxel grids."""

from __future__ import annotations

from pathlib import Path


def synth_scene(folder: Path, *, seed: int, views: int, width: int, height: int) -> Path:
    """Photograph one room and write it as a scene; every 8th view is held out."""
    from maskfield.data.scene import save_scene
    from maskfield.data.synthetic.rooms import room_scene

    return save_scene(room_scene(seed, views=views, width=width, height=height), folder)


def synth_grids(folder: Path, *, seed: int, count: int, resolution: int) -> Path:
    """Rasterise ``count`` rooms into a store of grids."""
    from maskfield.data.synthetic.rooms import write_room_grids

    write_room_grids(folder, count, seed, resolution)
    return folder
