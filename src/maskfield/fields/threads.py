"""A few threads over blocks of rays: kernels release the GIL, blocks are cut in a fixed way."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TypeVar

T = TypeVar("T")


class Workers:
    """A pool of ``count`` threads; use as a context manager, or close it."""

    def __init__(self, count: int) -> None:
        self.count = max(1, count)
        self._pool = ThreadPoolExecutor(self.count) if self.count > 1 else None

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()

    def blocks(self, total: int) -> list[tuple[int, int]]:
        """``count`` consecutive ranges of near-equal length."""
        edges = [total * k // self.count for k in range(self.count + 1)]
        return list(pairwise(edges))

    def run(self, work: Callable[[int, int, int], T], total: int) -> list[T]:
        """``work(thread, first, last)`` for every block; results in the order of the blocks."""
        blocks = self.blocks(total)
        if self._pool is None:
            return [work(k, *block) for k, block in enumerate(blocks)]
        waiting = [self._pool.submit(work, k, *block) for k, block in enumerate(blocks)]
        return [task.result() for task in waiting]
