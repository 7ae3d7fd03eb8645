"""Batches of padded grids whose order and augmentation depend on seed, epoch and index alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from maskfield.data.augment import Probabilities, augment, decide
from maskfield.data.config import GridDataConfig
from maskfield.data.grid_sources import GridSource
from maskfield.engine.seeding import mixed_seed
from maskfield.methods.nerf_mae.layout import pad_to_cube

Batch = dict[str, Tensor]
_AUGMENT_STREAM = 1


class GridBatches:
    """Re-iterable loader: ``grids`` [b, 4, R, R, R] and ``sizes`` [b, 3].

    Args:
        source: where grids come from.
        config: batch size, resolution R, workers, flip and rotation probabilities.
        seed: of order and augmentation.
        train: shuffle, augment and drop the incomplete last batch; else none of them.
    """

    def __init__(
        self, source: GridSource, config: GridDataConfig, *, seed: int, train: bool
    ) -> None:
        self.config = config
        self.seed = seed
        self.train = train
        self._items = _Items(source, config, seed, train)
        self._first = 0

    def __len__(self) -> int:
        return len(_cut(range(len(self._items)), self.config.batch_size, drop_last=self._drop_last))

    def set_epoch(self, epoch: int) -> None:
        """Choose the pass: its order and its augmentation."""
        self._items.epoch = epoch

    def seek(self, batch: int) -> None:
        """Start the next pass at ``batch`` without reading those before it."""
        self._first = batch

    def __iter__(self) -> Iterator[Batch]:
        order = _cut(self._order(), self.config.batch_size, drop_last=self._drop_last)
        first, self._first = self._first, 0
        return iter(
            DataLoader(
                self._items,
                batch_sampler=order[first:],
                num_workers=self.config.workers,
                collate_fn=self._collate,
            )
        )

    @property
    def _drop_last(self) -> bool:
        return self.train and len(self._items) >= self.config.batch_size

    def _order(self) -> Sequence[int]:
        if not self.train:
            return range(len(self._items))
        generator = torch.Generator().manual_seed(mixed_seed(self.seed, self._items.epoch))
        return torch.randperm(len(self._items), generator=generator).tolist()

    def _collate(self, grids: list[Tensor]) -> Batch:
        padded, sizes = pad_to_cube(grids, self.config.resolution)
        return {"grids": padded, "sizes": sizes}


class _Items(Dataset[Tensor]):
    """One augmented grid per index."""

    def __init__(
        self, source: GridSource, config: GridDataConfig, seed: int, augmented: bool
    ) -> None:
        self.source = source
        self.config = config
        self.seed = seed
        self.augmented = augmented
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Tensor:
        grid = self.source.rgba(index)
        if not self.augmented:
            return grid
        seed = mixed_seed(self.seed, self.epoch, index, _AUGMENT_STREAM)
        generator = torch.Generator().manual_seed(seed)
        wanted = Probabilities(rotate=self.config.rotate_prob, flip=self.config.flip_prob)
        decisions = decide(generator, wanted, oriented_boxes=False)
        return augment(grid, None, decisions)[0]


def _cut(order: Sequence[int], size: int, *, drop_last: bool) -> list[list[int]]:
    batches = [list(order[i : i + size]) for i in range(0, len(order), size)]
    return batches[:-1] if drop_last and batches and len(batches[-1]) < size else batches
