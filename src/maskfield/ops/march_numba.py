"""Fast path of :func:`maskfield.ops.march.march`: count each ray's kept steps, then write them."""

from __future__ import annotations

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from maskfield.ops.march import Marched


def march_cells(
    lines: tuple[Tensor, Tensor, Tensor, Tensor, Tensor],
    occupied: Tensor,
    box: Tensor,
    step: float,
    max_samples: int | None,
) -> Marched:
    """``lines`` = origins, directions, near, far, offset; see the torch reference."""
    origins, directions, near, far, offset = (x.numpy() for x in lines)
    kind = near.dtype.type
    cells, corners = occupied.numpy(), box.numpy()
    limit = np.iinfo(np.int64).max if max_samples is None else max_samples
    counts = np.zeros(len(near), dtype=np.int64)
    empty = np.zeros((len(near), 0), dtype=near.dtype)
    args = (origins, directions, near, far, offset, cells, corners, kind(step), limit)
    _walk(*args, counts, empty, empty, False)
    width = max(1, int(counts.max(initial=0)))
    t = np.repeat(near[:, None], width, axis=1)
    delta = np.zeros((len(near), width), dtype=near.dtype)
    _walk(*args, counts, t, delta, True)
    mask = np.arange(width)[None] < counts[:, None]
    return torch.from_numpy(t), torch.from_numpy(delta), torch.from_numpy(mask)


@njit(inline="always")
def _cell(p: float, low: float, high: float, n: int) -> int:
    position = (p - low) / (high - low) * n
    return min(max(int(np.floor(position)), 0), n - 1)


@njit(parallel=True, cache=True)
def _walk(
    origins: np.ndarray,
    directions: np.ndarray,
    near: np.ndarray,
    far: np.ndarray,
    offset: np.ndarray,
    cells: np.ndarray,
    box: np.ndarray,
    step: float,
    limit: int,
    counts: np.ndarray,
    t: np.ndarray,
    delta: np.ndarray,
    write: bool,
) -> None:
    for r in prange(near.shape[0]):
        found, k, start = 0, 0, near[r]
        while start < far[r] and found < limit:
            width = min(start + step, far[r]) - start
            at = start + offset[r] * width
            i = _cell(origins[r, 0] + at * directions[r, 0], box[0, 0], box[1, 0], cells.shape[0])
            j = _cell(origins[r, 1] + at * directions[r, 1], box[0, 1], box[1, 1], cells.shape[1])
            m = _cell(origins[r, 2] + at * directions[r, 2], box[0, 2], box[1, 2], cells.shape[2])
            if width > 0 and cells[i, j, m]:
                if write:
                    t[r, found] = at
                    delta[r, found] = width
                found += 1
            k += 1
            start = near[r] + near.dtype.type(k) * step
        counts[r] = found
