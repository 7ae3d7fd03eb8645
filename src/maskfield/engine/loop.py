"""The training loop: setup → fit (→ validate, save) → finish.

run(config, "runs/mae")                          # a new run
run(config, "runs/mae", resume="auto")           # continue it, or start it
run(config, "runs/fine", init="runs/mae")        # a new run from other weights
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from maskfield.core.files import StrPath, write_text
from maskfield.core.log import Progress, ProgressMode, get_logger, memory_gb
from maskfield.engine.checkpoint import prune
from maskfield.engine.config import RunConfig
from maskfield.engine.distributed import on_device
from maskfield.engine.precision import autocast
from maskfield.engine.session import Session
from maskfield.engine.setup import setup
from maskfield.engine.signals import StopSignals
from maskfield.engine.step import Update, update
from maskfield.engine.task import Task


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What a run left.

    Attributes:
        folder: the run folder.
        metrics: of the last validation.
        step: updates done.
        interrupted: the run was asked to stop before its last step; ``--resume auto`` continues it.
    """

    folder: Path
    metrics: dict[str, float]
    step: int
    interrupted: bool = False


def run(
    config: RunConfig,
    folder: StrPath,
    *,
    task: Task | None = None,
    resume: StrPath | None = None,
    init: StrPath | None = None,
    progress: ProgressMode = "auto",
) -> RunResult:
    """Train a task, leaving a run folder.

    Args:
        config: the whole run.
        folder: where to write; must not hold another run unless ``resume`` is given.
        task: what to train, with the weights it has; built from ``config.method`` (with weights
            drawn from ``config.seed``) unless given.
        resume: "auto" (this folder's last checkpoint if there is one), or a run or checkpoint
            folder; the run then goes on as if it had never stopped.
        init: file, checkpoint or run folder whose weights to start from.
        progress: how to show progress on standard error.

    Raises:
        StorageError, CheckpointError, ConfigError, DataError: before training, see ``setup``.
        NumericsError: loss or gradient became NaN or infinite; names step, part, last checkpoint.
    """
    session = setup(config, folder, task=task, resume=resume, init=init)
    mode: ProgressMode = progress if session.main else "off"
    label, steps = config.name or "train", config.engine.steps
    try:
        with StopSignals() as stop, Progress(steps, label, start=session.step, mode=mode) as bar:
            finished = fit(session, stop, bar)
        return finish(session) if finished else interrupt(session)
    finally:
        session.trackers.close()


def fit(session: Session, stop: StopSignals, progress: Progress) -> bool:
    """Train until the last step, or until asked to stop.

    Returns:
        Whether the last step was reached.
    """
    engine = session.config.engine
    clock = _Clock()
    while session.step < engine.steps:
        result = update(session, lambda: stop.requested)
        step, last = session.step, session.step == engine.steps
        session.meter.add({"loss": result.loss, **result.parts})
        clock.add(result)
        progress.update(step, _shown(session, result))
        if last or step % engine.log_every == 0:
            record(session, result, clock)
        improved = False
        if last or _due(step, engine.validate_every):
            improved = validate(session, progress)
        if last or improved or result.stop or _due(step, engine.checkpoint_every):
            save(session, best=improved)
        if result.stop and not last:
            return False
    return True


def validate(session: Session, progress: Progress | None = None) -> bool:
    """Measure on the validation data with the weights that checkpoints hold.

    Returns:
        Whether ``engine.best_metric`` is the best so far.
    """
    if session.validation is None or not session.main:
        return False
    with evaluating(session):
        batches = on_device(session.validation, session.processes.device)
        session.metrics = session.task.validate(batches)
    session.validated_at = session.step
    session.trackers.record("validate", session.step, session.metrics)
    name = session.config.engine.best_metric
    if progress is not None and name in session.metrics:
        progress.update(session.step, {f"val_{name}": session.metrics[name]})
    return _improved(session)


@contextmanager
def evaluating(session: Session) -> Iterator[None]:
    """Eval mode, no gradients, averaged weights; random generators are left as they were."""
    model, device = session.task.model, session.processes.device
    cuda = [device] if device.type == "cuda" else []
    averaged = session.ema.applied(model) if session.ema is not None else nullcontext()
    was_training = model.training
    with torch.random.fork_rng(devices=cuda), torch.no_grad(), averaged:
        model.eval()
        try:
            with autocast(device, session.config.engine.precision):
                yield
        finally:
            model.train(was_training)


def record(session: Session, result: Update, clock: _Clock) -> None:
    """One line of the log: means since the last one, and how fast it goes."""
    values: dict[str, Any] = session.meter.take()
    if session.optimiser is not None:
        values |= {"lr": result.lr, "grad_norm": result.grad_norm}
    values |= {"epoch": session.feed.epoch, **clock.take(), "memory_gb": memory_gb()}
    values |= _cuda_memory(session)
    session.trackers.record("train", session.step, values)


def save(session: Session, *, best: bool) -> None:
    """Write a checkpoint; ``best`` also makes it the best one."""
    if not session.main:
        return
    path = session.save()
    if best:
        write_text(path.parent / "best", path.name)
    prune(path.parent, session.config.engine.keep_checkpoints)


def finish(session: Session) -> RunResult:
    """Write what a finished run leaves beside its checkpoints."""
    if session.main:
        if session.validated_at != session.step:  # resumed after the last step
            validate(session)
        summary = {"step": session.step, **session.metrics}
        if session.best is not None:
            summary[f"best_{session.config.engine.best_metric}"] = session.best
        session.folder.write_metrics(summary)
        _draw(session)
    session.processes.wait()
    return _result(session, interrupted=False)


def interrupt(session: Session) -> RunResult:
    """The checkpoint is written; say where things stand."""
    session.trackers.record("interrupt", session.step, {})
    get_logger().warning(
        "stopped at step %d; continue with --resume auto in %s", session.step, session.folder.path
    )
    return _result(session, interrupted=True)


class _Clock:
    """Steps and counts per second since the last record."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._steps = 0
        self._counts: dict[str, int] = {}

    def add(self, result: Update) -> None:
        self._steps += 1
        for name, count in result.counts.items():
            self._counts[name] = self._counts.get(name, 0) + count

    def take(self) -> dict[str, float]:
        now = time.perf_counter()
        seconds = max(now - self._start, 1e-9)
        rates = {f"{k}_per_s": v / seconds for k, v in self._counts.items()}
        rates["steps_per_s"] = self._steps / seconds
        self._start, self._steps, self._counts = now, 0, {}
        return rates


def _shown(session: Session, result: Update) -> dict[str, float]:
    """What the progress line says beside speed, time left and the process's memory."""
    live = {name: float(value) for name, value in result.parts.items() if name == "psnr"}
    return {"loss": result.loss, **live, **_cuda_memory(session)}


def _cuda_memory(session: Session) -> dict[str, float]:
    device = session.processes.device
    if device.type != "cuda":
        return {}
    return {"cuda_gb": torch.cuda.max_memory_allocated(device) / 2**30}


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0


def _improved(session: Session) -> bool:
    engine = session.config.engine
    value = session.metrics.get(engine.best_metric)
    if value is None or not math.isfinite(value):
        names = ", ".join(session.metrics)
        get_logger().warning("no finite metric %r; there are: %s", engine.best_metric, names)
        return False
    sign = 1 if engine.best_mode == "max" else -1
    if session.best is not None and sign * value <= sign * session.best:
        return False
    session.best = value
    return True


def _draw(session: Session) -> None:
    figures = getattr(session.task, "figures", None)
    if figures is not None:
        session.folder.figures.mkdir(exist_ok=True)
        with evaluating(session):
            figures(session.folder.figures)


def _result(session: Session, *, interrupted: bool) -> RunResult:
    return RunResult(
        folder=session.folder.path,
        metrics=session.metrics,
        step=session.step,
        interrupted=interrupted,
    )
