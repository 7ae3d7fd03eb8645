"""The benchmark split ``rooms-v1`` regenerates from its seeds; its targets agree at every size.

``rooms_v1.json`` holds digests of the first room of each split. They are taken of 8-bit colour and
alpha, class ids, instances, and boxes rounded to 1e-4: floats may differ in the last bit between
processors and C libraries (sine, power and exponential are theirs), and a benchmark whose grids
differ by 1e-7 is the same benchmark. After a change that is meant, raise ``ROOMS_REVISION`` and
write the file again: ``python tests/data/synthetic/test_rooms_v1.py``.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from maskfield.data.grid_sources import ROOMS_REVISION
from maskfield.data.synthetic.classes import CLASS_ID, FURNITURE
from maskfield.data.synthetic.rasterise import RoomGrids
from maskfield.data.synthetic.rooms import make_room, rasterise_room
from maskfield.data.synthetic.splits import FIRST_SEED, split_seeds
from maskfield.geometry.boxes import Boxes3D
from maskfield.geometry.grids import voxel_centres

STORED = Path(__file__).with_name("rooms_v1.json")
SIDE = 32
LAST_FURNITURE = CLASS_ID[FURNITURE[-1]]


@cache
def first_room(split: str, side: int = SIDE) -> RoomGrids:
    return rasterise_room(make_room(split_seeds(split, 1).start), side)


def digests(grids: RoomGrids) -> dict[str, str]:
    rgba = grids.radiance.rgba().mul(255).round().byte().numpy()
    boxes = grids.boxes
    rows = torch.cat([boxes.centre, boxes.size, boxes.yaw[:, None]], 1).double().numpy()
    parts = {
        "rgba": rgba,
        "labels": grids.labels,
        "instances": grids.instances,
        "boxes": np.rint(rows * 1e4).astype(np.int64),
        "classes": boxes.label.numpy().astype(np.int64),
    }
    return {name: hashlib.sha256(_bytes(array)).hexdigest() for name, array in parts.items()}


def _bytes(array: np.ndarray) -> bytes:
    little = array.astype(array.dtype.newbyteorder("<"))
    return repr(array.shape).encode() + np.ascontiguousarray(little).tobytes()


def everything() -> dict[str, object]:
    return {"revision": ROOMS_REVISION, **{s: digests(first_room(s)) for s in FIRST_SEED}}


@pytest.mark.parametrize("split", sorted(FIRST_SEED))
def test_a_split_regenerates_from_its_seeds(split: str) -> None:
    stored = json.loads(STORED.read_text(encoding="utf-8"))
    assert digests(first_room(split)) == stored[split]
    assert stored["revision"] == ROOMS_REVISION


def test_digests_see_every_part() -> None:
    grids = first_room("val")
    before = digests(grids)
    labels, instances = grids.labels.copy(), grids.instances.copy()
    labels.flat[0] += 1
    instances.flat[-1] += 1
    centre = grids.boxes.centre.clone()
    centre[0, 0] += 1e-3
    moved = Boxes3D(
        centre=centre, size=grids.boxes.size, yaw=grids.boxes.yaw, label=grids.boxes.label
    )
    after = digests(grids._replace(labels=labels, instances=instances, boxes=moved))
    assert {k for k in before if before[k] != after[k]} == {"labels", "instances", "boxes"}
    assert before["rgba"] != digests(first_room("test"))["rgba"]


@pytest.mark.parametrize("split", sorted(FIRST_SEED))
@pytest.mark.parametrize("side", [32, 64, 96])
def test_boxes_labels_and_instances_agree_at_every_size(split: str, side: int) -> None:
    grids = first_room(split, side)
    boxes, labels, owner = grids.boxes, grids.labels, grids.instances
    taken = owner > 0
    assert (taken == (labels > 0)).all()
    assert (boxes.label.numpy()[owner[taken] - 1] == labels[taken]).all()
    points = voxel_centres(grids.radiance.box, grids.radiance.resolution).numpy()
    voxel = float((grids.radiance.box[1] - grids.radiance.box[0]).max()) / side
    for row in np.flatnonzero(boxes.label.numpy() <= LAST_FURNITURE):
        of_class = labels == int(boxes.label[row])
        reached = inside(boxes, int(row), points, 0.5 * voxel)  # a thing thinner than a voxel too
        assert (reached & of_class).any(), (split, side, row)
        near = inside(boxes, int(row), points, 0.87 * voxel)  # half a voxel, turned
        assert near[owner == row + 1].all(), (split, side, row)


@pytest.mark.parametrize("split", sorted(FIRST_SEED))
def test_a_room_has_the_same_boxes_at_every_size(split: str) -> None:
    small, large = first_room(split), first_room(split, 64)
    for name in ("centre", "size", "yaw", "label"):
        assert torch.equal(getattr(small.boxes, name), getattr(large.boxes, name))
    assert torch.equal(small.radiance.box, large.radiance.box)


def inside(boxes: Boxes3D, row: int, points: np.ndarray, margin: float) -> np.ndarray:
    """Which points [x, y, z, 3] lie in a box or within ``margin`` metres of it."""
    local = points - boxes.centre[row].numpy()
    cos, sin = np.cos(float(boxes.yaw[row])), np.sin(float(boxes.yaw[row]))
    along = np.stack(
        [
            cos * local[..., 0] + sin * local[..., 1],
            cos * local[..., 1] - sin * local[..., 0],
            local[..., 2],
        ],
        -1,
    )
    return (np.abs(along) <= boxes.size[row].numpy() / 2 + margin).all(-1)


if __name__ == "__main__":
    STORED.write_text(json.dumps(everything(), indent=2) + "\n", encoding="utf-8")
