"""What a procedural room may look like. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass

ROOM_KINDS = ("bedroom", "living", "study", "dining", "bath")


@dataclass(frozen=True, kw_only=True)
class RoomConfig:
    """Ranges a room is drawn from; lengths in metres.

    Attributes:
        width, depth, height: (min, max) of the interior along x, y, z.
        pieces: (min, max) number of pieces of furniture, rugs and pictures not counted.
        kinds: room kinds to choose from, out of ``ROOM_KINDS``.
        ceiling: whether the room is closed above; without it the sky shows.
        margin: how far the room's box reaches beyond the interior; walls are this thick in boxes.
        windows: (min, max) number of windows.
        textures: False gives plain colours (for ablations and tests).
    """

    width: tuple[float, float] = (3.8, 6.2)
    depth: tuple[float, float] = (3.4, 5.2)
    height: tuple[float, float] = (2.4, 2.9)
    pieces: tuple[int, int] = (6, 15)
    kinds: tuple[str, ...] = ROOM_KINDS
    ceiling: bool = True
    margin: float = 0.15
    windows: tuple[int, int] = (1, 2)
    textures: bool = True
