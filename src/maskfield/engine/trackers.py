"""Where a run's numbers go while it runs: ``log.jsonl`` always, TensorBoard on request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from maskfield.core.errors import MissingPartError
from maskfield.core.runs import RunFolder


class Tracker(Protocol):
    """Takes records: ``kind`` ("train", "validate", ...), the step, and named numbers."""

    def record(self, kind: str, step: int, values: Mapping[str, Any]) -> None: ...

    def close(self) -> None: ...


class JsonLines:
    """``log.jsonl`` of a run folder."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder

    def record(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """Append one line."""
        self._folder.append_log({"kind": kind, "step": step, **values})

    def close(self) -> None:
        """Every line is closed as it is written."""


class TensorBoard:
    """Event files in the run folder's ``tensorboard``.

    Raises:
        MissingPartError: the package tensorboard is not installed.
    """

    def __init__(self, folder: RunFolder) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingPartError(
                "engine.tensorboard needs the package tensorboard",
                field="engine.tensorboard",
                value=True,
                remedy="pip install 'maskfield[tensorboard]', or set engine.tensorboard=false",
            ) from error
        self._writer = SummaryWriter(folder.path / "tensorboard")

    def record(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """Write the numbers among the values."""
        for name, value in values.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                self._writer.add_scalar(f"{kind}/{name}", value, step)

    def close(self) -> None:
        """Flush and close the event file."""
        self._writer.close()


class Trackers:
    """Several trackers as one; a context manager that closes them."""

    def __init__(self, trackers: list[Tracker]) -> None:
        self._trackers = trackers

    def record(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """Give the record to each."""
        for tracker in self._trackers:
            tracker.record(kind, step, values)

    def close(self) -> None:
        """Close each."""
        for tracker in self._trackers:
            tracker.close()


def build_trackers(folder: RunFolder, *, tensorboard: bool, writing: bool) -> Trackers:
    """The trackers of this process; a process that does not write has none."""
    if not writing:
        return Trackers([])
    return Trackers([JsonLines(folder), *([TensorBoard(folder)] if tensorboard else [])])
