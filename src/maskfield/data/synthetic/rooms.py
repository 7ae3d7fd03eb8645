"""Procedural rooms, the front door: make, photograph, rasterise and store them."""

from __future__ import annotations

from maskfield.data.synthetic.classes import CLASS_ID, CLASS_NAMES
from maskfield.data.synthetic.config import RoomConfig
from maskfield.data.synthetic.photographs import RoomImages, render_room, room_scene
from maskfield.data.synthetic.rasterise import RoomGrids, rasterise_room
from maskfield.data.synthetic.room import Room, build_room
from maskfield.data.synthetic.store_rooms import room_grids, write_room_grids
from maskfield.data.synthetic.trajectories import room_cameras

__all__ = [
    "CLASS_ID",
    "CLASS_NAMES",
    "Room",
    "RoomConfig",
    "RoomGrids",
    "RoomImages",
    "make_room",
    "rasterise_room",
    "render_room",
    "room_cameras",
    "room_grids",
    "room_scene",
    "write_room_grids",
]


def make_room(seed: int, config: RoomConfig | None = None) -> Room:
    """The room of a seed: geometry, materials, lights, classes and boxes; same seed, same room."""
    return build_room(seed, config or RoomConfig())
