from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from maskfield.core.errors import DataError, GridError
from maskfield.data.label_grid import load_labels
from maskfield.data.store import open_store
from maskfield.data.synthetic.rooms import room_grids, write_room_grids
from maskfield.data.synthetic.splits import FIRST_SEED, split_seeds
from maskfield.geometry.boxes import Boxes3D


def test_written_rooms_come_back_with_labels_and_boxes(tmp_path):
    write_room_grids(tmp_path / "rooms", count=3, first_seed=40, resolution=24, workers=2)
    store, rooms = open_store(tmp_path / "rooms"), room_grids(40, 3, 24)
    assert store.names == ("room-0000040", "room-0000041", "room-0000042")
    for i, name in enumerate(store.names):
        assert torch.allclose(store.read_rgba(i), rooms[i], atol=3e-3)
        grids = rooms.grids(i)
        labels = load_labels(tmp_path / "rooms" / "labels" / f"{name}.safetensors")
        assert np.array_equal(labels.labels.numpy(), grids.labels)
        assert labels.class_names == grids.class_names
        text = (tmp_path / "rooms" / "boxes" / f"{name}.json").read_text()
        boxes = Boxes3D.from_json(json.loads(text))
        assert torch.allclose(boxes.centre, grids.boxes.centre)


def test_nothing_to_write_is_an_error(tmp_path):
    with pytest.raises(GridError, match="no grids"):
        write_room_grids(tmp_path / "none", count=0)


def test_the_sequence_is_a_sequence():
    rooms = room_grids(FIRST_SEED["val"], 2, 16)
    assert len(rooms) == 2
    assert len(list(rooms)) == 2
    assert torch.equal(rooms[0], room_grids(FIRST_SEED["val"], 1, 16)[0])
    assert torch.equal(rooms[-1], rooms[1])
    assert rooms[0].dtype == torch.float32
    assert rooms[0].shape[0] == 4
    with pytest.raises(IndexError):
        rooms[2]


def test_splits_never_share_a_seed():
    seeds = [set(split_seeds(s, 5000)) for s in ("train", "val", "test")]
    assert len(set.union(*seeds)) == 15_000
    assert split_seeds("train", 10) == range(10)


@pytest.mark.parametrize(("split", "count"), [("training", 3), ("train", 1_000_001), ("val", -1)])
def test_wrong_splits_are_refused(split, count):
    with pytest.raises(DataError):
        split_seeds(split, count)
