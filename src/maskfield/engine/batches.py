"""Batches of examples whose order and augmentation depend on seed, epoch and index alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

from maskfield.engine.seeding import mixed_seed

Example = TypeVar("Example")
Read = Callable[[int, torch.Generator | None], Example]
_AUGMENT_STREAM = 1


class ExampleBatches(Generic[Example]):
    """A re-iterable loader; one pass is one epoch.

    Args:
        count: examples there are.
        read: example by index; in training with a generator for its augmentation, else None.
        collate: a list of examples to one batch.
        batch_size: examples in a batch. workers: loader processes; 0 reads in this one.
        seed: of order and augmentation.
        train: shuffle, augment and drop the incomplete last batch; else none of them.
    """

    def __init__(
        self,
        count: int,
        read: Read[Example],
        collate: Callable[[list[Example]], Any],
        *,
        batch_size: int,
        workers: int = 0,
        seed: int,
        train: bool,
    ) -> None:
        self.batch_size, self.workers = batch_size, workers
        self.seed, self.train = seed, train
        self._items: _Items[Example] = _Items(count, read, seed, train)
        self._collate = collate
        self._first = 0

    def __len__(self) -> int:
        return len(self._cut(range(len(self._items))))

    def set_epoch(self, epoch: int) -> None:
        """Choose the pass: its order and its augmentation."""
        self._items.epoch = epoch

    def seek(self, batch: int) -> None:
        """Start the next pass at ``batch`` without reading those before it."""
        self._first = batch

    def __iter__(self) -> Iterator[Any]:
        order = self._cut(self._order())
        first, self._first = self._first, 0
        return iter(
            DataLoader(
                self._items,
                batch_sampler=order[first:],
                num_workers=self.workers,
                collate_fn=self._collate,
            )
        )

    def _order(self) -> Sequence[int]:
        if not self.train:
            return range(len(self._items))
        generator = torch.Generator().manual_seed(mixed_seed(self.seed, self._items.epoch))
        return torch.randperm(len(self._items), generator=generator).tolist()

    def _cut(self, order: Sequence[int]) -> list[list[int]]:
        size = self.batch_size
        batches = [list(order[i : i + size]) for i in range(0, len(order), size)]
        drop_last = self.train and len(order) >= size
        return batches[:-1] if drop_last and len(batches[-1]) < size else batches


class _Items(Dataset[Example]):
    """One example per index, augmented in training."""

    def __init__(self, count: int, read: Read[Example], seed: int, augmented: bool) -> None:
        self.count, self.read = count, read
        self.seed, self.augmented = seed, augmented
        self.epoch = 0

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Example:
        if not self.augmented:
            return self.read(index, None)
        seed = mixed_seed(self.seed, self.epoch, index, _AUGMENT_STREAM)
        return self.read(index, torch.Generator().manual_seed(seed))
