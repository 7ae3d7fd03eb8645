"""Rooms as training grids: in memory by index, or as a folder with labels and boxes beside them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from maskfield.core.files import StrPath, write_json
from maskfield.core.log import Progress
from maskfield.data.label_grid import LabelGrid, save_labels
from maskfield.data.radiance_grid import RadianceGrid
from maskfield.data.store import GridStore, write_store
from maskfield.data.synthetic.config import RoomConfig
from maskfield.data.synthetic.rasterise import RoomGrids, rasterise_room
from maskfield.data.synthetic.room import build_room

_AHEAD = 32  # rooms in memory at a time


@dataclass(frozen=True)
class RoomGridSequence:
    """``count`` rooms from ``first_seed`` on, made when asked for; index i is always one room."""

    first_seed: int
    count: int
    resolution: int
    config: RoomConfig = field(default_factory=RoomConfig)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Float[Tensor, "4 x y z"]:
        """Colour and official alpha, float32; voxel counts differ from room to room."""
        return self.grids(index).radiance.rgba()

    def grids(self, index: int) -> RoomGrids:
        """The whole answer for one room: radiance, labels, instances, boxes."""
        if not -self.count <= index < self.count:
            raise IndexError(index)
        seed = self.first_seed + index % self.count
        return rasterise_room(build_room(seed, self.config), self.resolution)


def room_grids(
    first_seed: int, count: int, resolution: int, config: RoomConfig | None = None
) -> RoomGridSequence:
    """Rooms ``first_seed`` .. ``first_seed + count - 1`` as [4, x, y, z] grids; see ``splits``."""
    return RoomGridSequence(first_seed, count, resolution, config or RoomConfig())


def room_name(seed: int) -> str:
    """Name of a room's grid in a store and of its label file."""
    return f"room-{seed:07d}"


def write_room_grids(
    folder: StrPath,
    count: int,
    first_seed: int = 0,
    resolution: int = 64,
    workers: int | None = None,
) -> GridStore:
    """A grid store of ``count`` rooms with ``labels/NAME.safetensors`` and ``boxes/NAME.json``.

    Args:
        workers: threads; None takes one per core (the rasteriser releases the GIL).

    Raises:
        GridError: ``count`` is 0. StorageError: the folder cannot be written.
    """
    folder, rooms = Path(folder), room_grids(first_seed, count, resolution)
    return write_store(_written(rooms, folder, workers or os.cpu_count() or 1), folder)


def _written(
    rooms: RoomGridSequence, folder: Path, workers: int
) -> Iterator[tuple[str, RadianceGrid]]:
    def one(index: int) -> tuple[str, RadianceGrid]:
        name, grids = room_name(rooms.first_seed + index), rooms.grids(index)
        save_labels(label_grid(grids), folder / "labels" / f"{name}.safetensors")
        write_json(folder / "boxes" / f"{name}.json", grids.boxes.to_json())
        return name, grids.radiance

    with Progress(len(rooms), "rooms") as bar, ThreadPoolExecutor(workers) as pool:
        for first in range(0, len(rooms), _AHEAD):
            last = min(first + _AHEAD, len(rooms))
            yield from pool.map(one, range(first, last))
            bar.update(last)


def label_grid(grids: RoomGrids) -> LabelGrid:
    """The room's class ids with the frame header of its radiance grid."""
    radiance = grids.radiance
    return LabelGrid(
        labels=torch.from_numpy(grids.labels),
        class_names=grids.class_names,
        box=radiance.box,
        unit_length_m=radiance.unit_length_m,
        ngp_scale=radiance.ngp_scale,
        ngp_offset=radiance.ngp_offset,
    )
