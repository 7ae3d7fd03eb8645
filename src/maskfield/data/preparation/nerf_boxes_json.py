"""``bounding_boxes`` of a transforms.json: oriented boxes in NeRF space, in and out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from maskfield.core.errors import DataError
from maskfield.data.preparation.ngp_boxes import NerfBoxes

_SHAPES = {"orientation": (3, 3), "position": (3,), "extents": (3,)}
_TOLERANCE = 1e-2


def read_bounding_boxes(value: Any, file: Path) -> tuple[NerfBoxes, tuple[Any, ...]]:
    """Boxes and labels (int, str, or None where a box has none).

    Raises:
        DataError: keys missing, wrong shapes, NaN, sizes <= 0, or an orientation that is no
            rotation; names the row and key.
    """
    entries = [] if value is None else value
    if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
        raise _bad(file, "bounding_boxes", value, "the boxes must be a list of objects")
    columns = {key: [_numbers(e, key, i, file) for i, e in enumerate(entries)] for key in _SHAPES}
    boxes = NerfBoxes(
        orientation=_stacked(columns["orientation"], (3, 3)),
        position=_stacked(columns["position"], (3,)),
        extents=_stacked(columns["extents"], (3,)),
    )
    _check(boxes, file)
    return boxes, tuple(e.get("label") for e in entries)


def bounding_boxes_json(boxes: NerfBoxes, labels: Sequence[str]) -> list[dict[str, Any]]:
    """Inverse of :func:`read_bounding_boxes`."""
    return [
        {
            "extents": boxes.extents[i].tolist(),
            "orientation": boxes.orientation[i].tolist(),
            "position": boxes.position[i].tolist(),
            "label": label,
        }
        for i, label in enumerate(labels)
    ]


def yaw_boxes(rows: Float[Tensor, "n 7"]) -> NerfBoxes:
    """World rows (centre, size, yaw about z) as oriented boxes."""
    cos, sin, zero = rows[:, 6].cos(), rows[:, 6].sin(), torch.zeros_like(rows[:, 6])
    turn = torch.stack([cos, -sin, zero, sin, cos, zero, zero, zero, zero + 1], dim=-1)
    return NerfBoxes(orientation=turn.view(-1, 3, 3), position=rows[:, :3], extents=rows[:, 3:6])


def world_bounds(boxes: NerfBoxes) -> Float[Tensor, "2 3"]:
    """Smallest axis-aligned box around oriented boxes."""
    half = (boxes.orientation.abs() * boxes.extents[:, None] / 2).sum(-1)
    low, high = boxes.position - half, boxes.position + half
    return torch.stack([low.amin(0), high.amax(0)])


def _numbers(entry: dict[str, Any], key: str, row: int, file: Path) -> Tensor:
    try:
        found = torch.tensor(entry[key], dtype=torch.float64)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise _bad(
            file, f"bounding_boxes[{row}].{key}", entry.get(key), "a box lacks numbers"
        ) from error
    if found.shape != _SHAPES[key]:
        raise _bad(file, f"bounding_boxes[{row}].{key}", entry[key], "a box has a wrong shape")
    return found


def _check(boxes: NerfBoxes, file: Path) -> None:
    table = torch.cat([boxes.matrix.flatten(1), boxes.extents], dim=1)
    eye = torch.eye(3, dtype=torch.float64)
    turned = boxes.orientation.transpose(1, 2) @ boxes.orientation - eye
    for wrong, key, problem in (
        (~torch.isfinite(table).all(1), "", "a box holds NaN or infinity"),
        ((boxes.extents <= 0).any(1), ".extents", "a box has a side that is zero or negative"),
        (turned.abs().flatten(1).amax(1) > _TOLERANCE, ".orientation", "not a rotation"),
    ):
        if wrong.any():
            row = int(wrong.nonzero()[0])
            raise _bad(file, f"bounding_boxes[{row}]{key}", table[row].tolist(), problem)


def _bad(file: Path, field: str, value: object, problem: str) -> DataError:
    return DataError(
        problem,
        file=file,
        field=field,
        value=value,
        remedy="give extents [3] > 0, orientation [3][3] and position [3], or remove the box",
    )


def _stacked(rows: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    return torch.stack(rows) if rows else torch.zeros(0, *shape, dtype=torch.float64)
