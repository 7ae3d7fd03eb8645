"""The loop: learns, logs, validates, saves; stops on NaN and on SIGINT; resumes bit-identically."""

from __future__ import annotations

import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from maskfield.core.config import load_config
from maskfield.core.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    NumericsError,
    StorageError,
)
from maskfield.core.registry import TASKS
from maskfield.core.runs import RunFolder
from maskfield.engine import checkpoint
from maskfield.engine.checkpoint import load_state, load_weights
from maskfield.engine.loop import run
from maskfield.engine.restore import evaluate, restore_task
from maskfield.engine.task import Loaders, StepOutput, Task

CLOCK = {"rows_per_s", "steps_per_s", "memory_gb"}
NOISY = ("method.noisy=true", "engine.ema_decay=0.8", "engine.accumulate=2", "engine.steps=23")


def train(config, task, folder, **options):
    return run(config, folder, task=task, progress="off", **options)


def weights_of(folder: Path, which: str = "last") -> dict[str, torch.Tensor]:
    found = checkpoint.find_checkpoint(folder, which)
    assert found is not None
    return load_weights(found)[0]


def timeless(folder: Path) -> list[dict]:
    records = RunFolder(folder).read_log()
    kept = [r for r in records if r["kind"] in ("train", "validate")]
    return [{k: v for k, v in r.items() if k not in CLOCK} for r in kept]


def assert_same(a: object, b: object) -> None:
    """Equal to the bit, through dicts, lists and tensors."""
    assert type(a) is type(b)
    if isinstance(a, torch.Tensor):
        torch.testing.assert_close(a, b, rtol=0, atol=0, equal_nan=True)
    elif isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    else:
        assert a == b


class TestRun:
    def test_leaves_a_complete_run_folder(self, make_config, make_task, tmp_path):
        config = make_config("engine.steps=20", "engine.validate_every=10")
        result = train(config, make_task(config), tmp_path / "run")
        folder = RunFolder(result.folder)
        assert result.step == 20
        assert not result.interrupted
        assert load_config(folder.path) == config
        assert "threads:" in folder.environment_path.read_text()
        assert folder.read_metrics() == {
            "step": 20,
            **result.metrics,
            "best_loss": pytest.approx(result.metrics["loss"]),
        }
        assert {p.name for p in folder.checkpoints.iterdir()} == {
            "last",
            "best",
            "step-10",
            "step-20",
        }

    def test_satisfies_the_protocol_and_learns(self, make_config, make_task, tmp_path):
        config = make_config("engine.steps=200", "schedule.name=constant", "schedule.warmup=0")
        task = make_task(config)
        assert isinstance(task, Task)
        before = float(((task.model(task.x) - task.y) ** 2).mean().detach())
        result = train(config, task, tmp_path)
        assert result.metrics["loss"] < 0.05 * before

    def test_log_lines(self, make_config, make_task, tmp_path):
        config = make_config("engine.steps=20")
        train(config, make_task(config), tmp_path)
        lines = [r for r in RunFolder(tmp_path).read_log() if r["kind"] == "train"]
        assert [r["step"] for r in lines] == [5, 10, 15, 20]
        keys = {"loss", "mse", "lr", "grad_norm", "epoch", "rows_per_s", "steps_per_s", "memory_gb"}
        assert keys <= lines[0].keys()
        assert lines[-1]["epoch"] == 3  # 20 batches of 6 per epoch
        assert lines[-1]["lr"] == pytest.approx(1e-2 / 25 / 1e4)

    def test_same_seed_same_weights_other_seed_other_weights(
        self, make_config, make_task, tmp_path
    ):
        results = {}
        for name, seed in (("a", 0), ("b", 0), ("c", 1)):
            config = make_config("method.noisy=true", f"seed={seed}")
            train(config, make_task(config), tmp_path / name)
            results[name] = weights_of(tmp_path / name)
        assert_same(results["a"], results["b"])
        assert not torch.equal(results["a"]["0.weight"], results["c"]["0.weight"])

    def test_validation_does_not_disturb_training(self, make_config, make_task, tmp_path):
        for every in (0, 3):
            config = make_config("method.noisy=true", f"engine.validate_every={every}")
            train(config, make_task(config), tmp_path / str(every))
        assert_same(weights_of(tmp_path / "0"), weights_of(tmp_path / "3"))

    def test_builds_the_registered_task(self, make_config, tiny, tmp_path, monkeypatch):
        monkeypatch.setitem(TASKS.rows, "tiny", "tiny_task:TinyTask")
        config = make_config("engine.steps=2")
        with pytest.raises(ConfigError, match="no task is registered"):
            run(config, tmp_path / "a", progress="off")
        from maskfield.core.registry import CONFIGS

        monkeypatch.setitem(CONFIGS.rows, "tiny", "tiny_task:TinyConfig")
        assert run(config, tmp_path / "b", progress="off").step == 2
        assert "type: tiny\n" in (tmp_path / "b" / "config.yaml").read_text()
        assert evaluate(tmp_path / "b")["loss"] > 0

    def test_empty_loader_is_refused(self, make_config, make_task, tmp_path):
        config = make_config()
        task = make_task(config)
        task.loaders = lambda: Loaders(train=[])
        with pytest.raises(DataError, match="empty"):
            train(config, task, tmp_path)

    def test_bf16_runs_forward_in_bf16_and_keeps_fp32_weights(
        self, make_config, make_task, tmp_path
    ):
        config = make_config("engine.precision=bf16", "engine.steps=2")
        task = make_task(config)
        seen = []
        task.model[0].register_forward_hook(lambda m, i, o: seen.append(o.dtype))
        train(config, task, tmp_path)
        assert set(seen) == {torch.bfloat16}
        assert weights_of(tmp_path)["0.weight"].dtype == torch.float32

    def test_unknown_device(self, make_config, make_task, tmp_path):
        config = make_config("engine.device=nonsense")
        with pytest.raises(ConfigError, match=r"engine\.device"):
            train(config, make_task(config), tmp_path)

    def test_threads_are_set_and_recorded(self, make_config, make_task, tmp_path):
        before = torch.get_num_threads()
        try:
            config = make_config("engine.threads=2", "engine.steps=1")
            train(config, make_task(config), tmp_path)
            assert torch.get_num_threads() == 2
            assert "threads: 2" in (tmp_path / "environment.txt").read_text()
        finally:
            torch.set_num_threads(before)

    def test_tensorboard(self, make_config, make_task, tmp_path):
        pytest.importorskip("tensorboard")
        config = make_config("engine.tensorboard=true", "engine.steps=5")
        train(config, make_task(config), tmp_path)
        assert list((tmp_path / "tensorboard").glob("events*"))

    def test_figures_are_drawn_with_the_averaged_weights(self, make_config, make_task, tmp_path):
        config = make_config("engine.ema_decay=0.9", "engine.steps=3")
        task = make_task(config)
        drawn = []
        task.figures = lambda folder: drawn.append((folder, task.model[0].weight.detach().clone()))
        train(config, task, tmp_path)
        assert drawn[0][0] == tmp_path / "figures"
        assert torch.equal(drawn[0][1], weights_of(tmp_path)["0.weight"])


class TestAccumulation:
    def test_two_half_batches_equal_one_batch(self, make_config, make_task, tmp_path):
        weights, norms = {}, {}
        for name, size, change in (("one", 8, "1"), ("two", 4, "2")):
            config = make_config(f"engine.accumulate={change}", "engine.clip_grad_norm=0.5")
            task = make_task(config)
            rows = [(x, y) for x, y in zip(task.x.split(size), task.y.split(size), strict=True)]
            task.loaders = lambda rows=rows: Loaders(train=rows)
            train(config, task, tmp_path / name)
            weights[name] = weights_of(tmp_path / name)
            norms[name] = [r.get("grad_norm") for r in RunFolder(tmp_path / name).read_log()]
        torch.testing.assert_close(weights["one"], weights["two"], rtol=1e-5, atol=1e-6)
        assert norms["two"][:4] == pytest.approx(norms["one"][:4], rel=1e-4)

    def test_clipping_bounds_the_update_and_logs_the_norm_before(
        self, make_config, make_task, tmp_path
    ):
        config = make_config("engine.clip_grad_norm=1e-3", "engine.log_every=1", "engine.steps=2")
        task = make_task(config)
        norms = []
        task.model[0].weight.register_post_accumulate_grad_hook(
            lambda p: norms.append(p.grad.norm())
        )
        train(config, task, tmp_path)
        logged = RunFolder(tmp_path).read_log()[0]["grad_norm"]
        assert logged > 1e-2
        assert logged >= norms[0]


class TestResume:
    @pytest.mark.parametrize("stop_at", [4, 11])
    def test_interrupted_and_resumed_is_bit_identical(
        self, make_config, make_task, tmp_path, stop_at
    ):
        config = make_config(*NOISY, "engine.validate_every=7", "engine.clip_grad_norm=1.0")
        train(config, make_task(config), tmp_path / "straight")

        pending = [signal.SIGINT]

        def interrupt(step: int) -> None:
            if step == stop_at and pending:
                os.kill(os.getpid(), pending.pop())

        broken = train(config, make_task(config, before_step=interrupt), tmp_path / "broken")
        assert broken.interrupted
        assert broken.step == stop_at + 1
        torch.manual_seed(999)  # another process would have other generators
        result = train(config, make_task(config), tmp_path / "broken", resume="auto")
        assert result.step == 23
        assert not result.interrupted
        a, b = (checkpoint.find_checkpoint(tmp_path / n) for n in ("straight", "broken"))
        assert_same(load_weights(a)[0], load_weights(b)[0])
        assert_same(load_state(a), load_state(b))
        assert timeless(tmp_path / "straight") == timeless(tmp_path / "broken")

    def test_from_an_older_checkpoint_rewrites_what_came_after(
        self, make_config, make_task, tmp_path
    ):
        config = make_config(*NOISY, "engine.checkpoint_every=5", "engine.keep_checkpoints=9")
        train(config, make_task(config), tmp_path / "a")
        expected, lines = weights_of(tmp_path / "a"), timeless(tmp_path / "a")
        train(config, make_task(config), tmp_path / "a", resume=tmp_path / "a/checkpoints/step-10")
        assert_same(weights_of(tmp_path / "a"), expected)
        assert timeless(tmp_path / "a") == lines

    def test_auto_in_an_empty_folder_starts(self, make_config, make_task, tmp_path):
        config = make_config("engine.steps=2")
        assert train(config, make_task(config), tmp_path, resume="auto").step == 2

    def test_of_a_finished_run_only_reports(self, make_config, make_task, tmp_path):
        config = make_config("engine.steps=4")
        first = train(config, make_task(config), tmp_path)
        again = train(config, make_task(config), tmp_path, resume="auto")
        assert (again.step, again.metrics) == (first.step, first.metrics)

    def test_nothing_to_resume(self, make_config, make_task, tmp_path):
        config = make_config()
        with pytest.raises(CheckpointError, match="no checkpoint to resume"):
            train(config, make_task(config), tmp_path / "b", resume=tmp_path)

    def test_another_config_is_refused_with_both_values(self, make_config, make_task, tmp_path):
        config = make_config("engine.steps=2")
        train(config, make_task(config), tmp_path)
        other = make_config("engine.steps=2", "optim.lr=0.5")
        with pytest.raises(
            CheckpointError, match=r"optim\.lr\n.*checkpoint: 0\.01, this run: 0\.5"
        ):
            train(other, make_task(other), tmp_path, resume="auto")

    def test_settings_that_change_nothing_may_change(self, make_config, make_task, tmp_path):
        config = make_config("engine.steps=2")
        train(config, make_task(config), tmp_path)
        other = make_config(
            "engine.steps=2", "engine.log_every=1", "engine.keep_checkpoints=1", "name=x"
        )
        assert train(other, make_task(other), tmp_path, resume="auto").step == 2

    def test_another_data_convention_is_refused(self, make_config, make_task, tmp_path):
        config = make_config("engine.steps=2")
        train(config, make_task(config), tmp_path)
        task = make_task(config)
        task.conventions = lambda: {"target": "mean"}
        with pytest.raises(
            CheckpointError, match=r"conventions\.target\n.*'sum', this run: 'mean'"
        ):
            train(config, task, tmp_path, resume="auto")

    def test_a_folder_with_a_run_is_not_overwritten(self, make_config, make_task, tmp_path):
        config = make_config("engine.steps=2")
        train(config, make_task(config), tmp_path)
        with pytest.raises(StorageError, match="already holds a run"):
            train(config, make_task(config), tmp_path)


class TestInit:
    def test_starts_from_the_weights(self, make_config, make_task, tmp_path):
        config = make_config("engine.steps=3")
        train(config, make_task(config), tmp_path / "a")
        start = weights_of(tmp_path / "a")
        tuned = make_config("engine.steps=1", "optim.lr=1e-20", "optim.weight_decay=0")
        train(tuned, make_task(tuned), tmp_path / "b", init=tmp_path / "a")
        torch.testing.assert_close(weights_of(tmp_path / "b"), start)

    def test_another_size_is_refused_with_both_values(self, make_config, make_task, tmp_path):
        config = make_config("engine.steps=1")
        train(config, make_task(config), tmp_path / "a")
        wide = make_config("method.width=16")
        with pytest.raises(CheckpointError, match=r"method\.width\n.*checkpoint: 8, this run: 16"):
            train(wide, make_task(wide), tmp_path / "b", init=tmp_path / "a")
        assert not (tmp_path / "b" / "log.jsonl").exists()

    def test_a_field_that_shapes_no_tensor_still_counts(self, make_config, make_task, tmp_path):
        config = make_config("engine.steps=1")
        train(config, make_task(config), tmp_path / "a")
        steep = make_config("method.slope=3")
        with pytest.raises(
            CheckpointError, match=r"method\.slope\n.*checkpoint: 0\.1, this run: 3"
        ):
            train(steep, make_task(steep), tmp_path / "b", init=tmp_path / "a")

    def test_fields_of_training_alone_may_differ(self, make_config, make_task, tmp_path):
        config = make_config("engine.steps=1")
        train(config, make_task(config), tmp_path / "a")
        other = make_config("engine.steps=1", "method.loss_weight=2")
        assert train(other, make_task(other), tmp_path / "b", init=tmp_path / "a").step == 1

    def test_a_task_may_take_foreign_weights_its_own_way(self, make_config, make_task, tmp_path):
        config = make_config("engine.steps=1")
        train(config, make_task(config), tmp_path / "a")
        wide = make_config("method.width=16", "engine.steps=1")
        task = make_task(wide)
        taken = []
        task.initialise = lambda weights, header: taken.append((weights, header))
        train(wide, task, tmp_path / "b", init=tmp_path / "a")
        assert taken[0][1]["config"]["method"]["width"] == 8


class TestNonFinite:
    def test_loss_names_step_part_and_last_checkpoint(self, make_config, make_task, tmp_path):
        config = make_config("engine.checkpoint_every=4")
        task = make_task(config)
        honest = task.training_step

        def poisoned(batch, step, generator):
            output = honest(batch, step, generator)
            bad = torch.tensor(float("nan")) if step == 6 else torch.tensor(0.0)
            parts = {**output.parts, "regulariser": bad}
            return replace(output, loss=output.loss + bad, parts=parts)

        task.training_step = poisoned
        with pytest.raises(NumericsError, match=r"step 6: regulariser is not finite") as caught:
            train(config, task, tmp_path)
        assert "step-4" in str(caught.value)
        assert caught.value.field == "regulariser"
        assert checkpoint.find_checkpoint(tmp_path).name == "step-4"
        assert all(torch.isfinite(v).all() for v in weights_of(tmp_path).values())

    def test_before_any_checkpoint(self, make_config, make_task, tmp_path):
        config = make_config()
        task = make_task(config)
        task.x[:] = float("inf")
        with pytest.raises(NumericsError, match=r"step 0: mse is not finite[\s\S]*none yet"):
            train(config, task, tmp_path)

    def test_gradient_names_the_parameter_and_spares_the_weights(
        self, make_config, make_task, tmp_path
    ):
        config = make_config()
        task = make_task(config)
        task.model[4].bias.register_hook(lambda g: g * float("nan"))
        before = task.model[0].weight.detach().clone()
        with pytest.raises(NumericsError, match=r"the gradient of 4\.bias"):
            train(config, task, tmp_path)
        assert torch.equal(task.model[0].weight, before)


class TestStorage:
    def test_unwritable_folder_is_refused_before_the_task_is_touched(
        self, make_config, make_task, tmp_path
    ):
        (tmp_path / "file").write_text("in the way")
        config = make_config()
        task = make_task(config, before_step=lambda step: pytest.fail("trained"))
        with pytest.raises(StorageError, match="cannot write"):
            train(config, task, tmp_path / "file" / "run")

    def test_a_refused_run_leaves_no_folder(self, make_config, make_task, tmp_path):
        config = make_config()
        with pytest.raises(CheckpointError):
            train(config, make_task(config), tmp_path / "new", init=tmp_path / "gone")
        assert not (tmp_path / "new").exists()

    def test_a_refused_run_leaves_other_files_alone(self, make_config, make_task, tmp_path):
        (tmp_path / "config.yaml").write_text("mine")
        config = make_config()
        with pytest.raises(CheckpointError):
            train(config, make_task(config), tmp_path, init=tmp_path / "gone")
        assert [p.name for p in tmp_path.iterdir()] == ["config.yaml"]
        assert (tmp_path / "config.yaml").read_text() == "mine"

    def test_full_disk_is_refused_before_training(
        self, make_config, make_task, tmp_path, monkeypatch
    ):
        usage = shutil.disk_usage(tmp_path)
        monkeypatch.setattr(shutil, "disk_usage", lambda p: usage._replace(free=100))
        config = make_config()
        task = make_task(config, before_step=lambda step: pytest.fail("trained"))
        with pytest.raises(StorageError, match="too full"):
            train(config, task, tmp_path)

    @pytest.mark.parametrize(("one", "refused"), [(0.4, True), (0.3, False)])
    def test_a_task_says_how_large_its_checkpoints_become(
        self, one, refused, make_config, make_task, tmp_path, monkeypatch
    ):
        usage, config = shutil.disk_usage(tmp_path), make_config("engine.keep_checkpoints=1")
        monkeypatch.setattr(shutil, "disk_usage", lambda p: usage._replace(free=10**9))
        task = make_task(config)
        task.checkpoint_bytes = lambda: int(one * 10**9)  # kept, best, and the one being written
        if refused:
            with pytest.raises(StorageError, match=r"1\.20 GB"):
                train(config, task, tmp_path)
        else:
            assert train(config, task, tmp_path).step == config.engine.steps


class TestOwnUpdates:
    def test_the_loop_leaves_gradients_and_optimiser_to_the_task(
        self, make_config, make_task, tmp_path
    ):
        config = make_config("engine.steps=4", "engine.log_every=2")
        task = make_task(config)
        steps = []

        def optimise(batch, step):
            steps.append(step)
            with torch.no_grad():
                task.model[4].bias += 1
            return StepOutput(loss=torch.tensor(1.5), counts={"rows": 8})

        task.optimise = optimise
        task.training_step = lambda *a: pytest.fail("the task updates itself")
        bias = task.model[4].bias.item()
        train(config, task, tmp_path)
        assert steps == [0, 1, 2, 3]
        assert weights_of(tmp_path)["4.bias"].item() == pytest.approx(bias + 4)
        assert task.model[0].weight.grad is None
        assert RunFolder(tmp_path).read_log()[0]["loss"] == 1.5

    def test_cannot_be_combined_with_accumulation(self, make_config, make_task, tmp_path):
        config = make_config("engine.accumulate=2")
        task = make_task(config)
        task.optimise = lambda batch, step: StepOutput(loss=torch.tensor(0.0))
        with pytest.raises(ConfigError, match=r"engine\.accumulate"):
            train(config, task, tmp_path)


class TestBest:
    def test_best_keeps_the_best_not_the_last(self, make_config, make_task, tmp_path):
        config = make_config(
            "engine.steps=8", "engine.validate_every=2", "engine.keep_checkpoints=1",
            "engine.best_metric=score", "engine.best_mode=max",
        )  # fmt: skip
        task = make_task(config)
        scores = iter([1.0, 3.0, 2.0, float("nan")])
        task.validate = lambda loader: {"score": next(scores)}
        train(config, task, tmp_path)
        names = {p.name for p in (tmp_path / "checkpoints").iterdir()}
        assert names == {"last", "best", "step-4", "step-8"}
        assert checkpoint.find_checkpoint(tmp_path, "best").name == "step-4"
        assert RunFolder(tmp_path).read_metrics() == {"step": 8, "score": "nan", "best_score": 3.0}

    def test_evaluate_gives_the_metric_of_the_best_checkpoint(
        self, make_config, make_task, tmp_path
    ):
        config = make_config("engine.ema_decay=0.9", "engine.validate_every=10")
        result = train(config, make_task(config), tmp_path)
        fresh = make_task(make_config("seed=5"))
        assert evaluate(tmp_path, task=fresh) == pytest.approx(result.metrics)
        restored = restore_task(tmp_path, task=fresh)
        assert restored.header["step"] == 20
        assert restored.header["averaged"]
        assert restored.config == config
