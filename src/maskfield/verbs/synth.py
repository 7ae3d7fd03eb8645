"""Procedural worlds on disk: one photographed room, a store of voxel grids, single objects."""

from __future__ import annotations

from pathlib import Path


def synth_scene(
    folder: Path, *, seed: int, views: int | None, width: int | None, height: int | None
) -> Path:
    """Photograph one room and write it as a scene; every 8th view is held out."""
    from maskfield.data.config import SceneDataConfig
    from maskfield.data.scene import save_scene
    from maskfield.data.synthetic.rooms import room_scene

    views = 100 if views is None else views
    width, height = 160 if width is None else width, 120 if height is None else height
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


def synth_objects(
    folder: Path,
    *,
    seed: int,
    count: int,
    views: int | None,
    width: int | None,
    height: int | None,
) -> Path:
    """Photograph ``count`` objects, from object ``seed`` on: one scene folder for each.

    Objects of the training split get random cameras, held-out ones a spiral.
    """
    from maskfield.core.errors import ConfigError
    from maskfield.core.log import Progress
    from maskfield.data.config import SceneDataConfig
    from maskfield.data.object_config import ObjectDataConfig
    from maskfield.data.scene import save_scene
    from maskfield.data.synthetic.objects import object_name, object_scene

    views, size = 24 if views is None else views, 64 if width is None else width
    if height not in (None, size):
        raise ConfigError(
            "photographs of objects are square",
            field="height",
            value=f"{size} x {height}",
            remedy="give the width alone",
        )
    ObjectDataConfig(train_count=count, views=views, image_size=size)  # refuses sizes out of range
    SceneDataConfig(first_seed=seed)
    with Progress(count, "objects") as bar:
        for i, each in enumerate(range(seed, seed + count)):
            save_scene(object_scene(each, views, size), folder / object_name(each))
            bar.update(i + 1)
    return folder
