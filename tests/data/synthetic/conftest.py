"""Rooms shared by the tests of procedural worlds."""

from __future__ import annotations

import numpy as np
import pytest

from maskfield.data.synthetic.lights import pack_lights
from maskfield.data.synthetic.primitives import Placed, Shape
from maskfield.data.synthetic.room import Room, finish_room
from maskfield.data.synthetic.rooms import RoomConfig, make_room


@pytest.fixture(scope="session")
def rooms() -> list[Room]:
    """A handful of ordinary rooms."""
    return [make_room(seed) for seed in range(12)]


def bare_room(shape: Shape, yaw: float = 0.0, position=(0.0, 0.0, 0.0)) -> Room:
    """A single thing in empty space, ambient light only."""
    interior = np.array([[-3.0, -3.0, -3.0], [3.0, 3.0, 3.0]])
    lights = pack_lights([], np.full((2, 3), 0.5), interior)
    thing = Placed("table", shape, position, yaw, 5, 0)
    return finish_room(0, RoomConfig(), "study", [thing], lights, interior)
