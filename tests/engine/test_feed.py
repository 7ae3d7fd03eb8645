"""Endless batches whose order depends on seed and epoch alone."""

from __future__ import annotations

from itertools import chain

import pytest
import torch
from torch.utils.data import DataLoader

from maskfield.core.errors import DataError
from maskfield.engine.feed import Feed


def shuffled(generator: torch.Generator | None = None, workers: int = 0) -> DataLoader:
    return DataLoader(
        range(7), batch_size=2, shuffle=True, generator=generator, num_workers=workers
    )


def take(feed: Feed, count: int) -> list[list[int]]:
    return [next(feed).tolist() for _ in range(count)]


class WithEpochs:
    """A loader that makes its own order, can jump, and counts what it reads."""

    def __init__(self, *, can_seek: bool) -> None:
        self.epoch = self.start = self.read = 0
        if can_seek:
            self.seek = self._seek

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def _seek(self, batch: int) -> None:
        self.start = batch

    def __iter__(self):
        start, self.start = self.start, 0
        for i in range(start, 4):
            self.read += 1
            yield torch.tensor([10 * self.epoch + i])


def test_epochs_follow_each_other_and_differ():
    feed = Feed(shuffled(), seed=0)
    first, second = take(feed, 4), take(feed, 4)
    assert sorted(chain(*first)) == sorted(chain(*second)) == list(range(7))
    assert first != second
    assert (feed.epoch, feed.batch) == (1, 4)


@pytest.mark.parametrize("own_generator", [False, True])
@pytest.mark.parametrize("place", [0, 1, 4, 6, 8])
def test_resumes_at_any_place(place, own_generator):
    def fresh() -> Feed:
        return Feed(shuffled(torch.Generator() if own_generator else None), seed=3)

    whole = take(fresh(), 12)
    first = fresh()
    assert take(first, place) == whole[:place]
    second = fresh()
    second.load_state_dict(first.state_dict())
    torch.manual_seed(12345)
    assert take(second, 12 - place) == whole[place:]


def test_seed_decides_the_order():
    assert take(Feed(shuffled(), 0), 4) == take(Feed(shuffled(), 0), 4)
    assert take(Feed(shuffled(), 0), 4) != take(Feed(shuffled(), 1), 4)


def test_global_generator_is_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    take(Feed(shuffled(), 0), 9)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(("can_seek", "read"), [(True, 3), (False, 5)])
def test_set_epoch_and_seek_are_used(can_seek, read):
    loader = WithEpochs(can_seek=can_seek)
    feed = Feed(loader, 0)
    feed.load_state_dict({"epoch": 2, "batch": 2})
    assert take(feed, 3) == [[22], [23], [30]]
    assert loader.read == read


def test_a_plain_list_will_do():
    feed = Feed([None, 1], 0)
    assert [next(feed) for _ in range(5)] == [None, 1, None, 1, None]


def test_iterating():
    assert [b for _, b in zip(range(3), Feed([1, 2], 0), strict=False)] == [1, 2, 1]


def test_empty_loader():
    with pytest.raises(DataError, match="empty"):
        next(Feed([], 0))


@pytest.mark.slow
def test_worker_processes_give_the_same_order():
    assert take(Feed(shuffled(workers=2), 0), 8) == take(Feed(shuffled(), 0), 8)
