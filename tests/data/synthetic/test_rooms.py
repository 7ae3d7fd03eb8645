from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from maskfield.data.synthetic.classes import CLASS_ID, CLASS_NAMES, FURNITURE, STRUCTURE
from maskfield.data.synthetic.layout import overlap
from maskfield.data.synthetic.rooms import RoomConfig, make_room


def pieces(room):
    """Rows of things that stand on the floor as furniture."""
    last = CLASS_ID[FURNITURE[-1]]
    return [i for i, t in enumerate(room.things) if t.label <= last and t.position[2] == 0.0]


def test_a_seed_is_a_room_bit_for_bit():
    a, b, other = make_room(3), make_room(3), make_room(4)
    assert a.prims.tobytes() == b.prims.tobytes()
    assert a.lights.lamps.tobytes() == b.lights.lamps.tobytes()
    assert a.lights.air.tobytes() == b.lights.air.tobytes()
    assert torch.equal(a.boxes.centre, b.boxes.centre)
    assert a.prims.tobytes() != other.prims.tobytes()


def test_furniture_neither_overlaps_nor_leaves_the_room(rooms):
    for room in rooms:
        corners = room.boxes.corners().double().numpy()
        prints = [corners[i][[0, 2, 6, 4], :2] for i in pieces(room)]
        for i, a in enumerate(prints):
            assert (np.abs(a) <= room.interior[1, :2]).all(), (room.seed, i)
            for b in prints[i + 1 :]:
                assert not overlap(a, b, gap=0.0), room.seed


def test_overlap_sees_crossing_rectangles_without_corners_inside():
    wide = np.array([(-2.0, -0.2), (2.0, -0.2), (2.0, 0.2), (-2.0, 0.2)])
    tall, moved = wide[:, ::-1], np.add(wide, (0.0, 0.5))
    assert overlap(wide, tall)
    assert not overlap(wide, moved)
    assert overlap(wide, moved, gap=0.2)


def test_six_to_fifteen_pieces_of_at_least_twelve_classes(rooms):
    for room in rooms:
        assert 6 <= len(pieces(room)) <= 15
    seen = {t.name for room in rooms for t in room.things}
    assert len(seen & set(FURNITURE)) >= 12
    assert set(STRUCTURE) <= seen


def test_class_table_starts_with_void_then_furniture():
    assert CLASS_NAMES[0] == "void"
    assert CLASS_NAMES[1 : 1 + len(FURNITURE)] == FURNITURE
    assert CLASS_NAMES[-len(STRUCTURE) :] == STRUCTURE
    assert len(set(CLASS_NAMES)) == len(CLASS_NAMES)


def test_boxes_hold_every_solid_of_furniture_exactly(rooms):
    for room in rooms[:4]:
        for i in pieces(room):
            shape, size = room.things[i].shape, room.boxes.size[i]
            low, high = shape.bounds()
            assert torch.allclose(size, torch.tensor(high - low, dtype=torch.float32))
            assert low[2] >= -1e-9  # nothing sinks into the floor


def test_doors_are_kept_free(rooms):
    for room in rooms:
        corners = room.boxes.corners().double().numpy()
        doors = [i for i, t in enumerate(room.things) if t.name == "door"]
        assert len(doors) == 1
        door = corners[doors[0]][:, :2].mean(0)
        for i in pieces(room):
            assert np.linalg.norm(room.boxes.centre[i, :2].numpy() - door) > 0.5


@pytest.mark.parametrize("kind", ["bedroom", "living", "study", "dining", "bath"])
def test_each_kind_has_what_names_it(kind):
    names = {t.name for s in range(3) for t in make_room(s, RoomConfig(kinds=(kind,))).things}
    assert {"bedroom": "bed", "living": "sofa", "bath": "bathtub", "study": "desk"}.get(
        kind, "table"
    ) in names


def test_config_is_obeyed():
    config = RoomConfig(
        width=(4.0, 4.0), depth=(3.5, 3.5), height=(2.5, 2.5), ceiling=False, textures=False
    )
    room = make_room(1, config)
    assert room.interior[1].tolist() == [2.0, 1.75, 2.5]
    expected = [[-2.15, -1.9, -0.15], [2.15, 1.9, 2.65]]
    assert torch.allclose(room.box, torch.tensor(expected))
    assert (room.prims["texture"] == 0).all()
    assert "ceiling" not in {t.name for t in room.things}
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.ceiling = True
