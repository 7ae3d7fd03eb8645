"""Compact gradients: each thread keeps rows only for the voxels its rays touched.

Memory: per thread 4 bytes per voxel for the slots and 64 bytes (degree 1, float32) per row in use.
Rows are summed over threads in the order of the threads, so a fixed thread count gives fixed bits.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from maskfield.fields.threads import Workers
from maskfield.fields.voxel_update import add_rows, merge

Table = tuple[np.ndarray, np.ndarray, np.ndarray]  # slots [voxel], touched [row], rows [row, c]
BlockPass = Callable[[int, int, int, Table, int], tuple[int, int]]
_FIRST_ROWS = 1 << 16
_LINE = 64  # bytes of a cache line


def row_width(channels: int) -> int:
    """Numbers in a row: the channels and the density, filled up to whole cache lines."""
    return (channels + 16) // 16 * 16


class CompactGradient:
    """Sparse gradient of (density, colour...) per voxel, one table per thread."""

    def __init__(self, workers: Workers, voxels: int, channels: int, kind: type) -> None:
        self.workers, self.voxels = workers, voxels
        self.width = row_width(channels)
        self.entries = (0,) * self.width
        self.tables = [self._table(kind) for _ in range(workers.count)]
        self.counts = [0] * workers.count

    def _table(self, kind: type) -> Table:
        rows = min(_FIRST_ROWS, 8 * self.voxels)
        return (
            np.full(self.voxels, -1, np.int32),
            np.zeros(rows, np.int64),
            aligned(rows, self.width, kind),
        )

    def accumulate(self, rays: int, block: BlockPass) -> None:
        """Run ``block(thread, first, last, table, count)`` over all rays, growing full tables."""

        def whole(thread: int, first: int, last: int) -> None:
            while True:
                first, count = block(thread, first, last, self.tables[thread], self.counts[thread])
                self.counts[thread] = count
                if first >= last:
                    return
                self.tables[thread] = _grown(self.tables[thread])

        self.workers.run(whole, rays)

    def merge(self) -> None:
        """Sum over threads: each voxel's total ends in the first table that holds it."""
        for lead in range(len(self.tables)):
            others = tuple(self.tables[lead + 1 :])
            table = self.tables[lead]

            def part(_: int, first: int, last: int, table=table, others=others) -> None:
                slots, touched, rows = table
                merge(slots, touched, first, last)
                for other in others:
                    add_rows(touched, rows, other, first, last, self.entries)

            self.workers.run(part, self.counts[lead])

    def each(self, work: Callable[[np.ndarray, np.ndarray, int, int], None]) -> None:
        """``work(touched, rows, first, last)`` over all rows; touched = -1: absorbed elsewhere."""
        for (_, touched, rows), count in zip(self.tables, self.counts, strict=True):

            def part(_: int, first: int, last: int, touched=touched, rows=rows) -> None:
                work(touched, rows, first, last)

            self.workers.run(part, count)

    def clear(self) -> None:
        """Forget everything."""
        self.counts = [0] * len(self.tables)

    def nbytes(self) -> int:
        """Memory held."""
        return sum(array.nbytes for table in self.tables for array in table)


def aligned(rows: int, width: int, kind: type) -> np.ndarray:
    """[rows, width] of zeros whose rows begin where cache lines do: none is read as two."""
    spare = _LINE // np.dtype(kind).itemsize
    store = np.zeros(rows * width + spare, kind)
    first = -store.ctypes.data % _LINE // store.itemsize
    return store[first : first + rows * width].reshape(rows, width)


def _grown(table: Table) -> Table:
    slots, touched, rows = table
    more = aligned(2 * len(rows), rows.shape[1], rows.dtype.type)
    more[: len(rows)] = rows
    return slots, np.concatenate([touched, np.zeros_like(touched)]), more
