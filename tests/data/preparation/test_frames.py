from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from maskfield.core.errors import DataError
from maskfield.data.preparation.frames import (
    foreseen_frame,
    frame_of_features,
    ngp_normalisation,
    resolution_z_up,
    world_bounds_of,
)
from maskfield.data.preparation.ngp_boxes import Y_UP

from .conftest import ROOM, features

ROOM_BOX = torch.tensor(ROOM, dtype=torch.float64)


def test_the_foreseen_grid_is_even_and_longest_along_the_longest_side() -> None:
    scale, offset, aabb = ngp_normalisation(ROOM_BOX)
    frame = foreseen_frame(ROOM_BOX, scale, offset, longest=50, aabb_scale=aabb)
    assert resolution_z_up(frame) == (50, 38, 26)  # 37.5 and 25: down, then up to even
    torch.testing.assert_close(
        frame.bbox_max - frame.bbox_min, torch.tensor([9 / 8, 0.75, 1.5]).double()
    )
    torch.testing.assert_close(
        (frame.bbox_max + frame.bbox_min) / 2, torch.full((3,), 0.5).double()
    )


def test_the_training_box_cuts_rooms() -> None:
    frame = foreseen_frame(ROOM_BOX, 1.0, torch.zeros(3), longest=16, aabb_scale=1)
    assert frame.bbox_max.tolist() == [1, 1, 1]
    with pytest.raises(DataError, match="outside instant-ngp's box"):
        foreseen_frame(ROOM_BOX, 1.0, torch.full((3,), 5.0), longest=16, aabb_scale=1)


def test_released_and_extracted_features_give_one_frame(tmp_path: Path) -> None:
    features(tmp_path / "z_up.npz")
    with np.load(tmp_path / "z_up.npz") as stored:
        data = dict(stored)
    # the extractor's own layout: flat, x fastest, y-up
    y_up = data["rgbsigma"].transpose(*Y_UP, 3)
    data["resolution"] = np.array(y_up.shape[:3])
    data["rgbsigma"] = y_up.transpose(2, 1, 0, 3).reshape(-1, 4)
    np.savez(tmp_path / "flat.npz", **data)
    released, extracted = (frame_of_features(tmp_path / f"{n}.npz") for n in ("z_up", "flat"))
    assert released.resolution == extracted.resolution == (24, 16, 32)
    assert resolution_z_up(released) == (32, 24, 16)
    torch.testing.assert_close(world_bounds_of(released), ROOM_BOX)
    for name in ("bbox_min", "bbox_max", "offset"):
        torch.testing.assert_close(getattr(released, name), getattr(extracted, name))
    expected = ROOM_BOX * 0.25 + torch.tensor([0.1, 0.2, 0.3]).double()
    torch.testing.assert_close(released.bbox_max, expected[1, list(Y_UP)])


def test_bounds_that_are_z_up_are_recognised(tmp_path: Path) -> None:
    features(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as stored:
        data = dict(stored)
    for name in ("bbox_min", "bbox_max"):
        data[name] = data[name][[2, 0, 1]]
    np.savez(tmp_path / "b.npz", **data)
    one, other = (frame_of_features(tmp_path / n) for n in ("a.npz", "b.npz"))
    torch.testing.assert_close(one.bbox_max, other.bbox_max)
