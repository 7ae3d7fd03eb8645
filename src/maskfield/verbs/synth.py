"""Procedural rooms on disk: one photographed room, or a store of many voxel grids."""

from __future__ import annotations

from pathlib import Path


def synth_scene(folder: Path, *, seed: int, views: int, width: int, height: int) -> Path:
    """Photograph one room and write it as a scene; every 8th view is held out."""
    from maskfield.data.config import SceneDataConfig
    from maskfield.data.scene import save_scene
    from maskfield.data.synthetic.rooms import room_scene

    SceneDataConfig(views=views, width=width, height=height)  # refuses sizes out of range

    return save_scene(room_scene(seed, views=views, width=width, height=height), folder)


def synth_grids(folder: Path, *, seed: int, count: int, resolution: int) -> Path:
    """Rasterise ``count`` rooms, from room ``seed`` on, into a store with labels and boxes."""
    from maskfield.data.config import GridDataConfig, SceneDataConfig
    from maskfield.data.synthetic.store_rooms import write_room_grids

    GridDataConfig(train_count=count, resolution=resolution)  # refuses what is out of range
    SceneDataConfig(first_seed=seed)
    write_room_grids(folder, count, seed, resolution)
    return folder
