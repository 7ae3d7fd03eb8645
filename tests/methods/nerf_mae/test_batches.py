"""Order, augmentation and padding of training batches."""

from __future__ import annotations

import pickle

import pytest
import torch
from torch import Tensor

from maskfield.data.config import GridDataConfig
from maskfield.engine.batches import ExampleBatches
from maskfield.methods.nerf_mae.batches import grid_batches


class Numbered:
    """Grids whose first voxel says which they are."""

    def __init__(self, count: int) -> None:
        self.names = tuple(str(i) for i in range(count))

    def __len__(self) -> int:
        return len(self.names)

    def rgba(self, index: int) -> Tensor:
        grid = torch.rand(4, 6, 5, 4, generator=torch.Generator().manual_seed(index))
        return grid.where(torch.arange(4)[:, None, None, None] < 3, index / 100)


def config(**changes: float) -> GridDataConfig:
    values = {"resolution": 8, "batch_size": 3, "flip_prob": 0.5, "rotate_prob": 0.5, **changes}
    return GridDataConfig(**values)  # pyright: ignore[reportArgumentType]


def order(loader: ExampleBatches) -> list[int]:
    return [round(float(g[3].max()) * 100) for b in loader for g in b["grids"]]


def test_batches_are_padded_cubes() -> None:
    batch = next(iter(grid_batches(Numbered(7), config(), seed=0, train=False)))
    assert batch["grids"].shape == (3, 4, 8, 8, 8)
    assert batch["sizes"].tolist() == [[6, 5, 4]] * 3
    assert float(batch["grids"][:, :, 6:].abs().max()) == 0


def test_validation_keeps_order_and_every_grid() -> None:
    loader = grid_batches(Numbered(7), config(), seed=0, train=False)
    assert order(loader) == list(range(7))
    assert len(loader) == 3


def test_training_shuffles_by_epoch_and_drops_the_rest() -> None:
    loader = grid_batches(Numbered(7), config(), seed=0, train=True)
    first = order(loader)
    assert len(first) == 6
    assert len(set(first)) == 6
    loader.set_epoch(1)
    assert order(loader) != first
    loader.set_epoch(0)
    assert order(loader) == first


def test_seed_decides_order() -> None:
    orders = {tuple(order(grid_batches(Numbered(9), config(), seed=s, train=True))) for s in (0, 1)}
    assert len(orders) == 2


def test_seek_continues_a_pass() -> None:
    loader = grid_batches(Numbered(9), config(), seed=3, train=True)
    whole = [b["grids"] for b in loader]
    loader.seek(2)
    rest = [b["grids"] for b in loader]
    assert len(rest) == 1
    assert torch.equal(rest[0], whole[2])
    assert len(list(loader)) == 3  # seeking counts for one pass only


def test_augmentation_depends_on_epoch_not_on_history() -> None:
    def batch(epoch: int) -> Tensor:
        loader = grid_batches(Numbered(3), config(), seed=0, train=True)
        loader.set_epoch(epoch)
        return next(iter(loader))["grids"]

    assert torch.equal(batch(5), batch(5))
    assert not torch.equal(batch(5).sum(0), batch(6).sum(0))


def test_no_augmentation_when_not_wanted() -> None:
    loader = grid_batches(Numbered(3), config(flip_prob=0, rotate_prob=0), seed=0, train=True)
    seen = {round(float(g[3].max()) * 100): g for b in loader for g in b["grids"]}
    for index, grid in seen.items():
        assert torch.equal(grid[:, :6, :5, :4], Numbered(3).rgba(index))


def test_fewer_grids_than_a_batch_still_train() -> None:
    assert len(order(grid_batches(Numbered(2), config(), seed=0, train=True))) == 2


def test_items_can_be_sent_to_workers() -> None:
    loader = grid_batches(Numbered(4), config(), seed=0, train=True)
    again = pickle.loads(pickle.dumps(loader))
    assert order(again) == order(loader)


@pytest.mark.slow
def test_workers_change_nothing() -> None:
    alone = [b["grids"] for b in grid_batches(Numbered(8), config(), seed=0, train=True)]
    loader = grid_batches(Numbered(8), config(workers=2), seed=0, train=True)
    for one, other in zip(alone, loader, strict=True):
        assert torch.equal(one, other["grids"])
