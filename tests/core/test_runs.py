"""Run folders."""

from __future__ import annotations

import errno
import math
import shutil
import tempfile

import pytest

from maskfield.core.errors import DataError, StorageError
from maskfield.core.runs import RunFolder, probe


def test_create_and_open(tmp_path):
    run = RunFolder(tmp_path / "deep" / "run").create("seed: 0\n")
    assert run.config_path.read_text() == "seed: 0\n"
    assert RunFolder.open(run.path).path == run.path
    text = run.environment_path.read_text()
    for fact in ("python: 3.", "torch: ", "cpu_cores: "):
        assert fact in text


def test_environment_takes_more_facts(tmp_path):
    run = RunFolder(tmp_path).create("")
    run.write_environment({"threads": 2})
    assert "threads: 2\n" in run.environment_path.read_text()


def test_not_a_run(tmp_path):
    with pytest.raises(DataError, match=r"no config\.yaml"):
        RunFolder.open(tmp_path)


def test_paths(tmp_path):
    run = RunFolder(tmp_path)
    paths = (run.log_path, run.metrics_path, run.checkpoints, run.figures, run.report_path)
    names = [p.name for p in paths]
    assert names == ["log.jsonl", "metrics.json", "checkpoints", "figures", "report.html"]


def test_a_run_with_checkpoints_is_not_overwritten(tmp_path):
    run = RunFolder(tmp_path).create("a: 1\n")
    (run.checkpoints / "step-1").mkdir(parents=True)
    with pytest.raises(StorageError, match="already holds a run"):
        run.create("a: 2\n")
    assert run.config_path.read_text() == "a: 1\n"


def test_a_run_that_never_saved_starts_again(tmp_path):
    run = RunFolder(tmp_path).create("a: 1\n")
    run.append_log({"step": 1})
    run.create("a: 2\n")
    assert run.read_log() == []
    assert run.config_path.read_text() == "a: 2\n"


class TestLog:
    def test_lines(self, tmp_path):
        run = RunFolder(tmp_path)
        run.append_log({"step": 1, "loss": 0.5})
        run.append_log({"step": 2, "loss": math.nan, "many": [math.inf, {"x": 1}]})
        assert run.read_log() == [
            {"step": 1, "loss": 0.5},
            {"step": 2, "loss": "nan", "many": ["inf", {"x": 1}]},
        ]

    def test_a_line_cut_short_is_left_out(self, tmp_path):
        run = RunFolder(tmp_path)
        run.append_log({"step": 1})
        with open(run.log_path, "a") as stream:
            stream.write('{"step": 2, "lo')
        assert run.read_log() == [{"step": 1}]

    def test_truncated_to_a_step(self, tmp_path):
        run = RunFolder(tmp_path)
        for step in range(5):
            run.append_log({"step": step})
        run.truncate_log(2)
        assert [r["step"] for r in run.read_log()] == [0, 1, 2]

    def test_no_log_yet(self, tmp_path):
        assert RunFolder(tmp_path).read_log() == []

    def test_unwritable(self, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(StorageError, match="cannot write"):
            RunFolder(tmp_path / "file").append_log({})


def test_metrics(tmp_path):
    run = RunFolder(tmp_path)
    run.write_metrics({"psnr": 24.5, "worst": -math.inf})
    assert run.read_metrics() == {"psnr": 24.5, "worst": "-inf"}
    run.write_evaluation({"psnr": 20.5, "checkpoint": "step-3"})
    assert run.read_evaluation() == {"psnr": 20.5, "checkpoint": "step-3"}
    assert run.read_metrics()["psnr"] == 24.5


class TestProbe:
    def test_makes_the_folder_and_leaves_nothing(self, tmp_path):
        probe(tmp_path / "a" / "b", need_bytes=10)
        assert list((tmp_path / "a" / "b").iterdir()) == []

    def test_parent_is_a_file(self, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(StorageError, match="cannot write"):
            probe(tmp_path / "file" / "run")

    def test_read_only(self, tmp_path, monkeypatch):
        def refuse(**options):
            raise OSError(errno.EROFS, "Read-only file system")

        monkeypatch.setattr(tempfile, "NamedTemporaryFile", refuse)
        with pytest.raises(StorageError, match="Read-only file system") as caught:
            probe(tmp_path)
        assert caught.value.file == str(tmp_path)

    def test_too_little_room(self, tmp_path, monkeypatch):
        usage = shutil.disk_usage(tmp_path)
        monkeypatch.setattr(shutil, "disk_usage", lambda p: usage._replace(free=10**6))
        probe(tmp_path, need_bytes=10**6)
        with pytest.raises(StorageError, match=r"needs about 2\.00 GB[\s\S]*0\.00 GB"):
            probe(tmp_path, need_bytes=2 * 10**9)
