"""Shared by all benchmarks: description of the machine, timer, peak memory, JSON results."""

from __future__ import annotations

import datetime
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from maskfield.core.files import write_json

RESULTS = Path(__file__).resolve().parent / "results"


def environment() -> dict[str, Any]:
    """Date, hardware, library versions and commit: what a figure means nothing without."""
    found: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "commit": _commit(),
    }
    if torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name()
    return found


def environment_line() -> str:
    """:func:`environment` on one line, for the head of a printed table."""
    return " | ".join(f"{key} {value}" for key, value in environment().items())


def time_alternating(
    calls: Mapping[str, Callable[[], object]], repeats: int = 5, warm: int = 1, lead: int = 0
) -> dict[str, list[float]]:
    """Seconds of each call, ``repeats`` warm runs of all of them in turn (drift hits all alike).

    ``lead`` untimed calls of the same kind before each timed one, as in a loop of equal steps:
    caches hold its data, and no threads of another call spin on.
    """
    for call in calls.values():
        for _ in range(warm):
            call()
    _synchronise()
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            for _ in range(lead):
                call()
            start = time.perf_counter()
            call()
            _synchronise()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def medians(seconds: Mapping[str, list[float]]) -> dict[str, float]:
    """Median of each list of :func:`time_alternating`."""
    return {name: statistics.median(values) for name, values in seconds.items()}


def gemm_rate(dtype: torch.dtype = torch.float32, n: int = 2048, repeats: int = 5) -> float:
    """Floating point operations per second of an n x n x n ``torch.mm``, all cores, median."""
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(n, n, generator=generator).to(dtype)
    b = torch.randn(n, n, generator=generator).to(dtype)
    seconds = time_alternating({"mm": lambda: torch.mm(a, b)}, repeats)["mm"]
    return 2.0 * n**3 / statistics.median(seconds)


def peak_memory_mb() -> float:
    """Highest resident memory of this process so far, MiB (never falls: one process per figure)."""
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage would count the parent's memory in a child process
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
        return int(line.split()[1]) / 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def save_result(name: str, result: Mapping[str, Any]) -> Path:
    """Write ``benchmarks/results/NAME.json``: the result with the environment beside it."""
    path = RESULTS / f"{name}.json"
    write_json(path, {"environment": environment(), **result})
    return path


def _synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    done = subprocess.run(
        command, cwd=RESULTS.parent, capture_output=True, text=True, check=False, timeout=10
    )
    return done.stdout.strip() or "unknown"
