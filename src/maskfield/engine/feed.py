"""Batches without end, in an order that depends on seed and epoch alone, so that a run can resume.

A loader may offer ``set_epoch(epoch)`` (order of that epoch) and ``seek(batch)`` (the next pass
starts at that batch, without reading those before it). Neither is required: a plain
``DataLoader(shuffle=True)`` is seeded anew for each epoch, and batches are skipped by reading them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch

from maskfield.core.errors import DataError
from maskfield.engine.seeding import mixed_seed


class Feed:
    """An endless iterator over a re-iterable loader that knows its place.

    Args:
        loader: one pass is one epoch.
        seed: of the run.

    Attributes:
        epoch: passes completed.
        batch: batches taken in this pass.
    """

    def __init__(self, loader: Iterable[Any], seed: int) -> None:
        self.loader = loader
        self.seed = seed
        self.epoch = 0
        self.batch = 0
        self._iterator: Iterator[Any] | None = None

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self._iterator is None:
            self._iterator = self._start()
        batch = next(self._iterator, self)
        if batch is not self:  # the feed itself marks the end, so that None can be a batch
            self.batch += 1
            return batch
        if self.batch == 0:
            raise DataError(
                "the training loader is empty",
                field="loaders().train",
                value=type(self.loader).__name__,
                remedy="check the data path, the split and that batch_size is not above the data",
            )
        self.epoch, self.batch, self._iterator = self.epoch + 1, 0, None
        return next(self)

    def state_dict(self) -> dict[str, int]:
        """Where the next batch is."""
        return {"epoch": self.epoch, "batch": self.batch}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go to a place; the next batch is the one that would have come there."""
        self.epoch, self.batch = state["epoch"], state["batch"]
        self._iterator = self._start()

    def _start(self) -> Iterator[Any]:
        """A pass through this epoch, standing at ``self.batch``."""
        seed = mixed_seed(self.seed, self.epoch)
        set_epoch = _hook(self.loader, "set_epoch")
        if set_epoch is not None:
            set_epoch(self.epoch)
        own = getattr(self.loader, "generator", None)
        if isinstance(own, torch.Generator):
            own.manual_seed(seed)
        seek = getattr(self.loader, "seek", None)
        skip = self.batch
        if seek is not None and skip:
            seek(skip)
            skip = 0
        return _after(_seeded(self.loader, seed), skip)


def _hook(loader: object, name: str) -> Callable[[int], None] | None:
    """A method of the loader, or of its sampler."""
    places = (loader, getattr(loader, "sampler", None), getattr(loader, "batch_sampler", None))
    return next((getattr(p, name) for p in places if hasattr(p, name)), None)


def _seeded(loader: Iterable[Any], seed: int) -> Iterator[Any]:
    """Samplers draw from torch's global generator when iteration starts; let that be a fixed seed
    and leave the global generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        iterator = iter(loader)
        first = list(_take(iterator, 1))
    yield from first
    yield from iterator


def _take(iterator: Iterator[Any], count: int) -> Iterator[Any]:
    for _, item in zip(range(count), iterator, strict=False):
        yield item


def _after(iterator: Iterator[Any], skip: int) -> Iterator[Any]:
    for _ in _take(iterator, skip):
        continue
    return iterator
