"""What the library says: a logger for messages, and a progress display for long work.

Nothing else in the package writes to the terminal. The logger is silent until a program (the
command line does) gives it a handler.
"""

from __future__ import annotations

import logging
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Literal, Protocol, TextIO

ProgressMode = Literal["auto", "rich", "plain", "off"]
Value = float | int | str

_RATE_WINDOW_S = 30.0  # the rate forgets what is older than this
_KIB_PER_GIB = 1024**2


def get_logger() -> logging.Logger:
    """The package's logger, ``maskfield``."""
    logger = logging.getLogger("maskfield")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    return logger


def memory_gb() -> float:
    """Resident memory of this process in GiB; 0.0 where the system does not say."""
    try:
        with open("/proc/self/status", encoding="ascii") as stream:
            for line in stream:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) / _KIB_PER_GIB
    except OSError:
        return _peak_memory_gb()
    return 0.0


def _peak_memory_gb() -> float:
    try:
        import resource  # absent on Windows
    except ImportError:
        return 0.0
    unit = _KIB_PER_GIB * (1024 if sys.platform == "darwin" else 1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


class Display(Protocol):
    """Where a progress state goes."""

    def show(self, progress: Progress, *, final: bool) -> None: ...

    def note(self, text: str) -> None: ...

    def close(self) -> None: ...


class Progress:
    """Progress of counted work, as a context manager.

    ``with Progress(1000, "pretrain") as bar: bar.update(step, {"loss": 0.3})`` shows the step,
    steps per second, time left, memory, and the metrics given. A terminal gets one live line
    (rich), anything else plain lines every few seconds.

    Args:
        total: number of steps.
        label: what is being done.
        start: steps done before (a resumed run).
        mode: "auto", "rich", "plain" or "off".
        stream: where to write; standard error by default.
        interval_s: seconds between plain lines.
        clock: source of seconds.
    """

    def __init__(
        self,
        total: int,
        label: str = "",
        *,
        start: int = 0,
        mode: ProgressMode = "auto",
        stream: TextIO | None = None,
        interval_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.total = total
        self.label = label
        self.step = start
        self.metrics: dict[str, Value] = {}
        self._clock = clock
        self._seen: deque[tuple[float, int]] = deque([(clock(), start)])
        self._display = _display(mode, stream or sys.stderr, interval_s, clock)

    def __enter__(self) -> Progress:
        self._seen = deque([(self._clock(), self.step)])
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._display.show(self, final=True)
        self._display.close()

    def update(self, step: int, metrics: Mapping[str, Value] | None = None) -> None:
        """Say how many steps are done, and the newest values worth showing."""
        self.step = step
        self.metrics.update(metrics or {})
        now = self._clock()
        self._seen.append((now, step))
        while len(self._seen) > 2 and now - self._seen[0][0] > _RATE_WINDOW_S:
            self._seen.popleft()
        self._display.show(self, final=False)

    def note(self, text: str) -> None:
        """One line that stays."""
        self._display.note(text)

    @property
    def rate(self) -> float:
        """Steps per second over the last half minute."""
        (t0, s0), (t1, s1) = self._seen[0], self._seen[-1]
        return (s1 - s0) / (t1 - t0) if t1 > t0 else 0.0

    @property
    def eta_s(self) -> float | None:
        """Seconds left at the present rate, or None while there is no rate."""
        return (self.total - self.step) / self.rate if self.rate > 0 else None

    def text(self) -> str:
        """The state on one line."""
        parts = [f"{self.label} {self.step}/{self.total}".strip(), f"{self.rate:.3g} steps/s"]
        parts.append(f"ETA {_duration(self.eta_s)}")
        parts.append(f"{memory_gb():.2f} GB")
        parts += [f"{k} {_short(v)}" for k, v in self.metrics.items()]
        return "  ".join(parts)


class _Silent:
    def show(self, progress: Progress, *, final: bool) -> None:
        """Show nothing."""

    def note(self, text: str) -> None:
        """Say nothing."""

    def close(self) -> None:
        """Nothing to close."""


class _Plain:
    """A line every ``interval_s`` seconds, and one at the end."""

    def __init__(self, stream: TextIO, interval_s: float, clock: Callable[[], float]) -> None:
        self._stream = stream
        self._interval_s = interval_s
        self._clock = clock
        self._last = clock()

    def show(self, progress: Progress, *, final: bool) -> None:
        now = self._clock()
        if final or now - self._last >= self._interval_s:
            self._last = now
            self.note(progress.text())

    def note(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()

    def close(self) -> None:
        self._stream.flush()


class _Rich:
    """One live line with a bar."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as RichProgress

        self._bar = RichProgress(
            BarColumn(bar_width=24), TextColumn("{task.description}"), console=Console(file=stream)
        )
        self._task = self._bar.add_task("", total=None)
        self._bar.start()

    def show(self, progress: Progress, *, final: bool) -> None:
        self._bar.update(
            self._task,
            total=progress.total,
            completed=progress.step,
            description=progress.text(),
            refresh=final,
        )

    def note(self, text: str) -> None:
        self._bar.console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        self._bar.stop()


def _display(
    mode: ProgressMode, stream: TextIO, interval_s: float, clock: Callable[[], float]
) -> Display:
    if mode == "off":
        return _Silent()
    if mode == "rich" or (mode == "auto" and stream.isatty()):
        return _Rich(stream)
    return _Plain(stream, interval_s, clock)


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "--:--"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes:02d}:{rest:02d}"


def _short(value: Value) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
