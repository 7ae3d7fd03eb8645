"""Sharing batches, and two processes against one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from maskfield.core.errors import DataError, MissingPartError
from maskfield.core.runs import RunFolder
from maskfield.engine.checkpoint import load_weights
from maskfield.engine.distributed import (
    SingleProcess,
    join_processes,
    on_device,
    own_slice,
    to_device,
)

TINY = Path(__file__).with_name("tiny_task.py")


class TestOwnSlice:
    def test_alone_keeps_everything(self):
        batch = {"x": torch.arange(3)}
        assert own_slice(batch, 0, 1) is batch

    def test_parts_make_up_the_whole(self):
        batch = {"x": torch.arange(12).reshape(4, 3), "names": list("abcd"), "k": 5}
        parts = [own_slice(batch, rank, 2) for rank in range(2)]
        assert torch.equal(torch.cat([p["x"] for p in parts]), batch["x"])
        assert parts[0]["names"] + parts[1]["names"] == batch["names"]
        assert [p["k"] for p in parts] == [5, 5]

    def test_a_list_as_batch_holds_fields(self):
        x, names = own_slice([torch.arange(4), ["a", "b", "c", "d"]], 1, 2)
        assert x.tolist() == [2, 3]
        assert names == ["c", "d"]

    def test_tuples(self):
        x, y = own_slice((torch.arange(4), torch.tensor(1.0)), 1, 2)
        assert x.tolist() == [2, 3]
        assert y.item() == 1.0

    def test_unequal_shares_are_refused(self):
        with pytest.raises(DataError, match="divisible by 2"):
            own_slice(torch.arange(3), 0, 2)


def test_to_device_walks_through_containers():
    batch = {"a": [torch.ones(1)], "b": (torch.ones(2), "text")}
    moved = to_device(batch, torch.device("meta"))
    assert moved["a"][0].is_meta
    assert moved["b"][0].is_meta
    assert moved["b"][1] == "text"
    assert isinstance(moved["b"], tuple)


def test_on_device_can_be_iterated_again():
    loader = on_device([torch.ones(1)], torch.device("meta"))
    assert [[b.is_meta for b in loader] for _ in range(2)] == [[True], [True]]


def test_one_process_by_default(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    processes = join_processes("cpu")
    assert isinstance(processes, SingleProcess)
    assert (processes.rank, processes.world) == (0, 1)
    assert processes.mean(torch.tensor([2.0])).item() == 2.0


def test_several_processes_need_accelerate(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(MissingPartError, match=r"maskfield\[distributed\]"):
        join_processes("cpu")


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path):
    pytest.importorskip("accelerate")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    for name, launch in (("one", [sys.executable]), ("two", torchrun)):
        command = [*launch, str(TINY), str(tmp_path / name)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    one, two = (RunFolder(tmp_path / n) for n in ("one", "two"))
    losses = [[r["loss"] for r in f.read_log() if r["kind"] == "train"] for f in (one, two)]
    assert len(losses[0]) == 12
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    assert "processes: 2" in two.environment_path.read_text()
    torch.testing.assert_close(load_weights(one.path)[0], load_weights(two.path)[0])
