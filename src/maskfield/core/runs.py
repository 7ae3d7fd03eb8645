"""A run folder: everything one run leaves behind, under fixed names."""

from __future__ import annotations

import json
import math
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from maskfield.core.errors import DataError, StorageError
from maskfield.core.files import StrPath, read_json, write_json, write_text

PACKAGES = ("maskfield", "torch", "numpy", "numba", "scipy", "safetensors", "accelerate")


class RunFolder:
    """Paths and small writes of one run.

    ``config.yaml`` (complete), ``environment.txt``, ``log.jsonl`` (one JSON object a line),
    ``metrics.json``, ``evaluation.json``, ``checkpoints/``, ``figures/``, ``report.html``.
    """

    def __init__(self, path: StrPath) -> None:
        self.path = Path(path)

    @classmethod
    def open(cls, path: StrPath) -> RunFolder:
        """An existing run.

        Raises:
            DataError: not a run folder.
        """
        run = cls(path)
        if not run.config_path.is_file():
            raise DataError(
                "not a run folder: it holds no config.yaml",
                file=path,
                remedy="give the folder that pretrain, finetune or fit wrote",
            )
        return run

    @property
    def config_path(self) -> Path:
        return self.path / "config.yaml"

    @property
    def environment_path(self) -> Path:
        return self.path / "environment.txt"

    @property
    def log_path(self) -> Path:
        return self.path / "log.jsonl"

    @property
    def metrics_path(self) -> Path:
        return self.path / "metrics.json"

    @property
    def evaluation_path(self) -> Path:
        return self.path / "evaluation.json"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def figures(self) -> Path:
        return self.path / "figures"

    @property
    def report_path(self) -> Path:
        return self.path / "report.html"

    def create(self, config_yaml: str) -> RunFolder:
        """Make the folder with its config and environment, refusing to overwrite a run.

        Raises:
            StorageError: the folder holds checkpoints of a run already, or cannot be written.
        """
        self.refuse_other_run()
        probe(self.path)
        write_text(self.config_path, config_yaml)
        self.write_environment({})
        self.log_path.unlink(missing_ok=True)
        return self

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Make the folder and prove it writable; when the block fails, leave no empty folder.

        Raises:
            StorageError: it cannot be made or written.
        """
        made = not self.path.exists()
        probe(self.path)
        try:
            yield
        except BaseException:
            if made:
                with suppress(OSError):
                    self.path.rmdir()
            raise

    def refuse_other_run(self) -> None:
        """Refuse a folder with checkpoints.

        Raises:
            StorageError: the folder holds a run that would be overwritten.
        """
        if self.checkpoints.is_dir() and any(self.checkpoints.iterdir()):
            raise StorageError(
                "the folder already holds a run with checkpoints",
                file=self.path,
                remedy="continue it with --resume auto, or choose another folder",
            )

    def write_environment(self, facts: Mapping[str, object]) -> None:
        """Write ``environment.txt``: interpreter, system, packages, and the facts given."""
        lines = {**_environment(), **facts}
        write_text(self.environment_path, "".join(f"{k}: {v}\n" for k, v in lines.items()))

    def append_log(self, record: Mapping[str, Any]) -> None:
        """Add one line to ``log.jsonl``; NaN and infinities are written as strings.

        Raises:
            StorageError: the disk is full or the folder became read-only.
        """
        line = json.dumps(_finite(record), allow_nan=False) + "\n"
        try:
            with open(self.log_path, "a", encoding="utf-8") as stream:
                stream.write(line)
        except OSError as error:
            raise _cannot_write(self.log_path, error) from error

    def read_log(self) -> list[dict[str, Any]]:
        """All records; a last line cut short by a crash is left out."""
        if not self.log_path.exists():
            return []
        records = []
        for line in self.log_path.read_text(encoding="utf-8").splitlines():
            try:
                records.append(json.loads(line))
            except json.JSONDecodeError:
                break
        return records

    def truncate_log(self, step: int) -> None:
        """Drop what was logged after ``step`` (a run resumed from there writes it again)."""
        kept = [r for r in self.read_log() if r.get("step", 0) <= step]
        write_text(self.log_path, "".join(json.dumps(r) + "\n" for r in kept))

    def write_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Write ``metrics.json``."""
        write_json(self.metrics_path, _finite(metrics))

    def read_metrics(self) -> dict[str, Any]:
        """Read ``metrics.json``."""
        return read_json(self.metrics_path)

    def write_evaluation(self, metrics: Mapping[str, Any]) -> None:
        """Write ``evaluation.json``: what was measured after the run, which its metrics are not."""
        write_json(self.evaluation_path, _finite(metrics))

    def read_evaluation(self) -> dict[str, Any]:
        """Read ``evaluation.json``."""
        return read_json(self.evaluation_path)


def probe(folder: StrPath, need_bytes: int = 0) -> None:
    """Make ``folder`` and prove that it takes files and has room, before time is spent.

    Raises:
        StorageError: it cannot be made or written, or less than ``need_bytes`` are free.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(prefix=".probe-", dir=folder) as stream:
            stream.write(b"maskfield")
            stream.flush()
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise _cannot_write(folder, error) from error
    if free < need_bytes:
        raise StorageError(
            f"the disk is too full: this run needs about {need_bytes / 1e9:.2f} GB",
            file=folder,
            field="free space",
            value=f"{free / 1e9:.2f} GB",
            remedy="free some space, keep fewer checkpoints, or choose another folder",
        )


def _cannot_write(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"cannot write: {error.strerror or error}",
        file=path,
        remedy="choose a folder that is writable and has free space, then run again",
    )


def _environment() -> dict[str, object]:
    facts: dict[str, object] = {
        "python": sys.version.split()[0],
        "system": platform.platform(),
        "machine": platform.machine(),
        "cpu_cores": os.cpu_count(),
    }
    return facts | {name: _version(name) for name in PACKAGES}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def run_name(source: StrPath) -> str:
    """A folder name made from a path, recipe id or data id."""
    text = str(source)
    stem = text.replace(":", "-") if ":" in text else Path(text).resolve().name
    return stem.removesuffix(".json").removesuffix(".yaml") or "run"
