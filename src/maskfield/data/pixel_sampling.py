"""Which pixels of an object's images become rays (spec pixelnerf 7).

A pixel is (view, row, column). What is drawn is separate from what is done with it, so that draws
can be given, stored and repeated.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Int64, Shaped
from torch import Tensor

Boxes = Float[Tensor, "view 4"]  # first column, first row, last column, last row: inclusive
Pixels = Int64[Tensor, "ray 3"]


def mask_boxes(
    masks: Shaped[np.ndarray, "view h w"],
) -> tuple[Float[Tensor, "view 4"], Bool[Tensor, " view"]]:
    """Bounding boxes of the non-zero pixels of each mask, and which masks have any.

    The box of an empty mask is the whole image.
    """
    height, width = masks.shape[1:]
    filled_at = np.not_equal(masks, 0)
    columns, rows = np.logical_or.reduce(filled_at, 1), np.logical_or.reduce(filled_at, 2)
    boxes = np.stack([*_first_and_last(columns), *_first_and_last(rows)], axis=1)[:, [0, 2, 1, 3]]
    filled = np.logical_or.reduce(columns, 1)
    boxes[~filled] = (0, 0, width - 1, height - 1)
    return torch.from_numpy(boxes).float(), torch.from_numpy(filled)


def pixels_in_boxes(
    boxes: Float[Tensor, "view 4"],
    views: Int[Tensor, " ray"],
    draws: Float[Tensor, "ray 2"],
    height: int,
    width: int,
) -> Int64[Tensor, "ray 3"]:
    """The pixels of uniform ``draws`` (for column and row) in the boxes of ``views``.

    A box may have fractional ends (it was scaled with its image) or reach beyond the image: pixels
    are clamped into it, where the official code would take one of another row or view.
    """
    low, high = boxes[views, :2], boxes[views, 2:]
    limit = torch.tensor([width - 1, height - 1])
    column_row = (draws * (high + 1 - low) + low).floor().long().clamp_min(0).minimum(limit)
    return torch.stack([views, column_row[:, 1], column_row[:, 0]], dim=1)


def draw_in_boxes(
    boxes: Float[Tensor, "view 4"],
    views: Int64[Tensor, " ray"],
    height: int,
    width: int,
    generator: torch.Generator,
) -> Int64[Tensor, "ray 3"]:
    """One uniform pixel in the box of each of ``views``."""
    draws = torch.rand(len(views), 2, generator=generator)
    return pixels_in_boxes(boxes, views, draws, height, width)


def draw_anywhere(
    views: Int64[Tensor, " ray"], height: int, width: int, generator: torch.Generator
) -> Int64[Tensor, "ray 3"]:
    """One uniform pixel in the whole image of each of ``views``."""
    rows = torch.randint(height, (len(views),), generator=generator)
    columns = torch.randint(width, (len(views),), generator=generator)
    return torch.stack([views, rows, columns], dim=1)


def pixels_by_mask(
    masks: Float[Tensor, "view h w"],
    inside: Int64[Tensor, " n"],
    outside: Int64[Tensor, " m"],
    threshold: float = 0.5,
) -> Int64[Tensor, "ray 3"]:
    """The ``inside``-th pixels on the masks, then the ``outside``-th off them, counted in order."""
    on = masks >= threshold
    return torch.cat([on.nonzero()[inside], (~on).nonzero()[outside]])


def draw_by_mask(
    masks: Float[Tensor, "view h w"],
    count: int,
    share_inside: float,
    generator: torch.Generator,
    threshold: float = 0.5,
) -> Int64[Tensor, "ray 3"]:
    """``count`` uniform pixels, ``share_inside`` of them on the masks, the others off them."""
    on = int((masks >= threshold).sum())
    within = int(count * share_inside + 0.5) if 0 < on < masks.numel() else count * (on > 0)
    inside = torch.randint(max(on, 1), (within,), generator=generator)
    off = max(masks.numel() - on, 1)
    outside = torch.randint(off, (count - within,), generator=generator)
    return pixels_by_mask(masks, inside, outside, threshold)


def _first_and_last(
    filled: Bool[np.ndarray, "view n"],
) -> tuple[Int[np.ndarray, " view"], Int[np.ndarray, " view"]]:
    last = filled.shape[1] - 1
    return filled.argmax(axis=1), last - filled[:, ::-1].argmax(axis=1)
