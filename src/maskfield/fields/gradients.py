"""Compact gradients: each thread keeps rows only for the voxels its rays touched.

Memory: per thread 4 bytes per voxel for the slots and 64 bytes (degree 1, float32) per row in use.
Rows are summed over threads in the order of the threads, so a fixed thread count gives fixed bits.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from maskfield.fields.threads import Workers
from maskfield.fields.voxel_shade import BLOCK
from maskfield.fields.voxel_update import add_rows, merge

Table = tuple[np.ndarray, np.ndarray, np.ndarray]  # slots [voxel], touched [row], rows [row, c]
BlockPass = Callable[[int, int, int, Table, int], tuple[int, int]]
_FIRST_ROWS = 1 << 16


class CompactGradient:
    """Sparse gradient of (density, colour...) per voxel, one table per thread."""

    def __init__(self, workers: Workers, voxels: int, channels: int, kind: type) -> None:
        self.workers, self.voxels = workers, voxels
        self.width = (channels + BLOCK) // BLOCK * BLOCK
        self.tables = [self._table(kind) for _ in range(workers.count)]
        self.counts = [0] * workers.count

    def _table(self, kind: type) -> Table:
        rows = min(_FIRST_ROWS, 8 * self.voxels)
        return (
            np.full(self.voxels, -1, np.int32),
            np.zeros(rows, np.int64),
            np.zeros((rows, self.width), kind),
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
            table, count = self.tables[lead], self.counts[lead]

            def part(_: int, first: int, last: int, table=table, others=others) -> None:
                merge(table[0], table[1], table[2], first, last)
                for slots, touched, rows in others:
                    add_rows(table[1], table[2], slots, touched, rows, first, last)

            self.workers.run(part, count)

    def each(self, work: Callable[[np.ndarray, np.ndarray, int, int], None]) -> None:
        """``work(touched, rows, first, last)`` over all rows; touched = -1: absorbed elsewhere."""
        for (_, touched, rows), count in zip(self.tables, self.counts, strict=True):

            def part(_: int, first: int, last: int, touched=touched, rows=rows) -> None:
                work(touched, rows, first, last)

            self.workers.run(part, count)

    def clear(self) -> None:
        """Forget everything; ``each`` must have zeroed the rows (see ``voxel_update.update``)."""
        self.counts = [0] * len(self.tables)

    def nbytes(self) -> int:
        """Memory held."""
        return sum(array.nbytes for table in self.tables for array in table)


def _grown(table: Table) -> Table:
    slots, touched, rows = table
    more = np.zeros((2 * len(rows), rows.shape[1]), rows.dtype)
    more[: len(rows)] = rows
    return slots, np.concatenate([touched, np.zeros_like(touched)]), more
