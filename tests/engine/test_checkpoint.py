"""Checkpoint files: complete or absent, never executed, refused when they do not fit."""

from __future__ import annotations

import errno
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from maskfield.core.errors import CheckpointError, StorageError
from maskfield.engine import checkpoint
from maskfield.engine.checkpoint import (
    find_checkpoint,
    load_into,
    load_state,
    load_weights,
    prune,
    read_foreign,
    save_checkpoint,
    save_weights,
    write_foreign,
)

WEIGHTS = {"a": torch.arange(6.0).reshape(2, 3), "n": torch.tensor(3)}
HEADER = {"config": {"method": {"type": "x", "width": 8}, "seed": 0}}


def names(folder: Path) -> set[str]:
    return {p.name for p in folder.iterdir()}


class TestWeights:
    def test_round_trip(self, tmp_path):
        save_weights(tmp_path / "w.safetensors", WEIGHTS, HEADER)
        weights, header = load_weights(tmp_path / "w.safetensors")
        assert header == {"format_version": 1, **HEADER}
        torch.testing.assert_close(weights, WEIGHTS, rtol=0, atol=0)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.bool])
    def test_dtypes_survive(self, tmp_path, dtype):
        value = torch.tensor([1, 0, 1]).to(dtype)
        save_weights(tmp_path / "w", {"a": value}, {})
        assert torch.equal(load_weights(tmp_path / "w")[0]["a"], value)

    def test_shared_and_strided_tensors(self, tmp_path):
        base = torch.arange(6.0).reshape(2, 3)
        save_weights(tmp_path / "w", {"a": base, "b": base, "c": base.T, "d": base[0]}, {})
        weights, _ = load_weights(tmp_path / "w")
        assert torch.equal(weights["b"], base)
        assert torch.equal(weights["c"], base.T)
        assert torch.equal(weights["d"], base[0])

    def test_expected_config_as_far_as_it_goes(self, tmp_path):
        save_weights(tmp_path / "w", WEIGHTS, HEADER)
        load_weights(tmp_path / "w", {"method": {"type": "x", "width": 8}})
        with pytest.raises(CheckpointError, match=r"method\.width\n.*checkpoint: 8, this run: 9"):
            load_weights(tmp_path / "w", {"method": {"type": "x", "width": 9}})
        with pytest.raises(CheckpointError, match=r"method\.type\n.*'x', this run: 'y'"):
            load_weights(tmp_path / "w", {"method": {"type": "y", "width": 8}})

    @pytest.mark.parametrize("content", [b"", b"not safetensors", b"\xff" * 64])
    def test_damaged(self, tmp_path, content):
        (tmp_path / "w").write_bytes(content)
        with pytest.raises(CheckpointError, match="cannot read"):
            load_weights(tmp_path / "w")

    def test_truncated(self, tmp_path):
        save_weights(tmp_path / "w", WEIGHTS, HEADER)
        (tmp_path / "w").write_bytes((tmp_path / "w").read_bytes()[:-5])
        with pytest.raises(CheckpointError, match="cannot read"):
            load_weights(tmp_path / "w")

    def test_foreign_file(self, tmp_path):
        save_file({"a": torch.ones(1)}, tmp_path / "w")
        with pytest.raises(CheckpointError, match="format_version"):
            load_weights(tmp_path / "w")

    def test_missing(self, tmp_path):
        with pytest.raises(CheckpointError, match="no such file"):
            load_weights(tmp_path / "w")
        with pytest.raises(CheckpointError, match="no checkpoint here"):
            load_weights(tmp_path)

    def test_load_into_names_the_tensor_and_both_shapes(self):
        model = torch.nn.Linear(3, 2)
        state = model.state_dict()
        with pytest.raises(CheckpointError, match=r"weight\n.*\[2, 4\], this run: \[2, 3\]"):
            load_into(model, {**state, "weight": torch.ones(2, 4)}, "w")
        with pytest.raises(CheckpointError, match=r"bias\n.*checkpoint: None, this run: \[2\]"):
            load_into(model, {"weight": state["weight"]}, "w")
        with pytest.raises(CheckpointError, match=r"extra\n"):
            load_into(model, {**state, "extra": torch.ones(1)}, "w")

    def test_a_model_that_grows_is_asked_to_adapt_first(self):
        class Growing(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.grid = torch.nn.Parameter(torch.zeros(2))

            def adapt_to(self, shapes: dict[str, list[int]]) -> None:
                self.grid = torch.nn.Parameter(torch.zeros(shapes["grid"]))

        model = Growing()
        load_into(model, {"grid": torch.arange(4.0)}, "w")
        assert model.grid.tolist() == [0, 1, 2, 3]


class TestState:
    def test_code_in_a_state_file_is_not_run(self, tmp_path):
        class Trap:
            def __reduce__(self):
                return (Path.touch, (tmp_path / "ran",))

        (tmp_path / "state.pt").write_bytes(pickle.dumps(Trap(), protocol=2))
        with pytest.raises(CheckpointError, match="training state"):
            load_state(tmp_path)
        torch.save({"trap": Trap()}, tmp_path / "state.pt")
        with pytest.raises(CheckpointError, match="training state"):
            load_state(tmp_path)
        assert not (tmp_path / "ran").exists()

    @pytest.mark.parametrize("content", [b"", b"garbage"])
    def test_damaged(self, tmp_path, content):
        (tmp_path / "state.pt").write_bytes(content)
        with pytest.raises(CheckpointError, match="training state"):
            load_state(tmp_path)

    def test_missing(self, tmp_path):
        with pytest.raises(CheckpointError, match="training state"):
            load_state(tmp_path)


class TestCheckpoint:
    def test_layout(self, tmp_path):
        path = save_checkpoint(tmp_path / "checkpoints", 5, WEIGHTS, {"step": 5}, HEADER)
        assert path.name == "step-5"
        assert names(path) == {"weights.safetensors", "state.pt"}
        assert names(path.parent) == {"step-5", "last"}
        assert (path.parent / "last").read_text() == "step-5"
        assert load_weights(path)[1]["step"] == 5
        assert load_state(path) == {"step": 5}

    def test_found_through_every_name(self, tmp_path):
        assert find_checkpoint(tmp_path) is None
        path = save_checkpoint(tmp_path / "checkpoints", 5, WEIGHTS, {}, HEADER)
        for name in (tmp_path, tmp_path / "checkpoints", path):
            assert find_checkpoint(name) == path
        assert find_checkpoint(tmp_path, "best") is None

    def test_run_folder_means_its_best_weights(self, tmp_path):
        folder = tmp_path / "checkpoints"
        for step in (1, 2):
            save_checkpoint(folder, step, WEIGHTS, {}, HEADER)
        assert load_weights(tmp_path)[1]["step"] == 2
        (folder / "best").write_text("step-1")
        assert load_weights(tmp_path)[1]["step"] == 1

    def test_overwrites_its_own_step(self, tmp_path):
        save_checkpoint(tmp_path, 5, WEIGHTS, {"x": 1}, HEADER)
        save_checkpoint(tmp_path, 5, WEIGHTS, {"x": 2}, HEADER)
        assert load_state(tmp_path / "step-5") == {"x": 2}
        assert names(tmp_path) == {"step-5", "last"}

    @pytest.mark.parametrize("failing", ["weights", "state", "rename"])
    def test_failure_half_way_leaves_the_earlier_one(self, tmp_path, monkeypatch, failing):
        save_checkpoint(tmp_path, 1, WEIGHTS, {"step": 1}, HEADER)

        def full(*args, **options):
            if failing == "weights":  # half the file is there when the disk is full
                Path(args[1]).write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")

        where = {
            "weights": (checkpoint, "save_file"),
            "state": (checkpoint.torch, "save"),
            "rename": (Path, "replace"),
        }
        monkeypatch.setattr(*where[failing], full)
        with pytest.raises(StorageError, match="No space left"):
            save_checkpoint(tmp_path, 2, WEIGHTS, {"step": 2}, HEADER)
        monkeypatch.undo()
        assert names(tmp_path) == {"step-1", "last"}
        assert load_state(find_checkpoint(tmp_path)) == {"step": 1}

    def test_torch_reports_a_full_disk_in_its_own_way(self, tmp_path, monkeypatch):
        def full(*args):
            raise RuntimeError("PytorchStreamWriter failed writing file data/0")

        monkeypatch.setattr(checkpoint.torch, "save", full)
        with pytest.raises(StorageError, match="PytorchStreamWriter"):
            save_checkpoint(tmp_path, 1, WEIGHTS, {}, HEADER)
        assert names(tmp_path) == set()

    def test_folder_is_a_file(self, tmp_path):
        (tmp_path / "x").write_text("")
        with pytest.raises(StorageError):
            save_checkpoint(tmp_path / "x", 1, WEIGHTS, {}, HEADER)

    def test_prune_keeps_the_newest_and_the_best(self, tmp_path):
        for step in (2, 9, 10, 100):
            save_checkpoint(tmp_path, step, {}, {}, HEADER)
        (tmp_path / "best").write_text("step-2")
        prune(tmp_path, 2)
        assert names(tmp_path) == {"step-2", "step-10", "step-100", "last", "best"}


class TestForeign:
    def test_round_trip(self, tmp_path):
        path = write_foreign(tmp_path / "a.pt", {"state_dict": WEIGHTS, "epoch": 3})
        content = read_foreign(path)
        assert content["epoch"] == 3
        torch.testing.assert_close(content["state_dict"], WEIGHTS, rtol=0, atol=0)

    def test_full_disk_leaves_nothing(self, tmp_path, monkeypatch):
        def full(self, data):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(Path, "write_bytes", full)
        with pytest.raises(StorageError, match="No space left"):
            write_foreign(tmp_path / "a.pt", {"state_dict": WEIGHTS})
        assert names(tmp_path) == set()

    @pytest.mark.parametrize("content", [b"", b"not a checkpoint"])
    def test_damaged(self, tmp_path, content):
        (tmp_path / "a.pt").write_bytes(content)
        with pytest.raises(CheckpointError, match="cannot read") as caught:
            read_foreign(tmp_path / "a.pt")
        assert caught.value.file == str(tmp_path / "a.pt")
