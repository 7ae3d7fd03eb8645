"""Everything a run has in hand while it runs, and how that is saved and taken up again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from maskfield.core.config import diff, from_dict, to_dict
from maskfield.core.errors import ConfigError
from maskfield.core.runs import RunFolder
from maskfield.engine import checkpoint
from maskfield.engine.config import RunConfig
from maskfield.engine.distributed import Processes, Stepper
from maskfield.engine.ema import WeightEMA
from maskfield.engine.feed import Feed
from maskfield.engine.meter import Meter
from maskfield.engine.seeding import capture_rng, restore_rng
from maskfield.engine.task import Task
from maskfield.engine.trackers import Trackers

# Settings that do not change what the remaining steps compute.
FREE_ON_RESUME = frozenset(
    {
        "name",
        "data.cache",
        "data.workers",
        "engine.log_every",
        "engine.validate_every",
        "engine.checkpoint_every",
        "engine.keep_checkpoints",
        "engine.threads",
        "engine.device",
        "engine.tensorboard",
        "engine.best_metric",
        "engine.best_mode",
    }
)


@dataclass(kw_only=True)
class Session:
    """A run in progress. Built by :func:`maskfield.engine.setup.setup`.

    Attributes:
        optimiser, schedule: None if the task updates itself.
        generator: handed to the task, seeded anew for every batch.
        step: updates done.
        best: best value of ``engine.best_metric`` so far.
        metrics: those of the latest validation, with the step they belong to.
    """

    config: RunConfig
    folder: RunFolder
    task: Task
    processes: Processes
    stepper: Stepper
    feed: Feed
    validation: Iterable[Any] | None
    optimiser: Optimizer | None
    schedule: LRScheduler | None
    ema: WeightEMA | None
    trackers: Trackers
    generator: torch.Generator
    meter: Meter = field(default_factory=Meter)
    step: int = 0
    best: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    validated_at: int | None = None

    @property
    def main(self) -> bool:
        """Whether this process writes files and validates."""
        return self.processes.rank == 0

    @property
    def last_checkpoint(self) -> Path | None:
        """The newest checkpoint of this run."""
        return checkpoint.find_checkpoint(self.folder.checkpoints, "last")

    def save(self) -> Path:
        """Write a checkpoint of this moment."""
        weights = self.ema.state_dict() if self.ema is not None else self.task.model.state_dict()
        return checkpoint.save_checkpoint(
            self.folder.checkpoints, self.step, weights, self._state(), header_of(self)
        )

    def _state(self) -> dict[str, Any]:
        own = getattr(self.task, "state_dict", None)
        return {
            "step": self.step,
            "best": self.best,
            "metrics": self.metrics,
            "validated_at": self.validated_at,
            "feed": self.feed.state_dict(),
            "meter": self.meter.state_dict(),
            "model": None if self.ema is None else dict(self.task.model.state_dict()),
            "optimiser": None if self.optimiser is None else self.optimiser.state_dict(),
            "schedule": None if self.schedule is None else self.schedule.state_dict(),
            "task": None if own is None else own(),
            "rng": capture_rng(),
        }

    def restore(self, path: Path) -> None:
        """Continue from a checkpoint folder.

        Raises:
            CheckpointError: damaged, or of another config or data convention.
        """
        weights, header = checkpoint.load_weights(path)
        checkpoint.refuse_difference(_differences(header, self), path)
        state = checkpoint.load_state(path)
        model = state["model"] if state["model"] is not None else weights
        checkpoint.load_into(self.task.model, model, path)
        if self.ema is not None:
            self.ema.load_state_dict(weights)
        self._restore_counters(state)
        self._restore_parts(state)

    def _restore_counters(self, state: Mapping[str, Any]) -> None:
        self.step = state["step"]
        self.best = state["best"]
        self.metrics = state["metrics"]
        self.validated_at = state["validated_at"]

    def _restore_parts(self, state: Mapping[str, Any]) -> None:
        self.meter.load_state_dict(state["meter"])
        if self.optimiser is not None and self.schedule is not None:
            self.optimiser.load_state_dict(state["optimiser"])
            self.schedule.load_state_dict(state["schedule"])
        if state["task"] is not None:
            self.task.load_state_dict(state["task"])  # type: ignore[attr-defined]
        self.feed.load_state_dict(state["feed"])
        restore_rng(state["rng"])  # last: skipping batches may draw from the generators


def header_of(session: Session) -> dict[str, Any]:
    """What a checkpoint says about itself."""
    return {
        "config": to_dict(session.config),
        "conventions": conventions_of(session.task),
        "averaged": session.ema is not None,
    }


def conventions_of(task: Task) -> dict[str, Any]:
    """The task's data conventions, if it states any."""
    stated = getattr(task, "conventions", None)
    return {} if stated is None else dict(stated())


def _differences(header: Mapping[str, Any], session: Session) -> dict[str, tuple[Any, Any]]:
    """Where a checkpoint and this run differ in what decides the remaining steps."""
    config = diff(_completed(header.get("config", {})), to_dict(session.config))
    found = {k: v for k, v in config.items() if k not in FREE_ON_RESUME}
    stored = header.get("conventions", {})
    return found | diff({"conventions": stored}, {"conventions": conventions_of(session.task)})


def _completed(stored: Mapping[str, Any]) -> Mapping[str, Any]:
    """A stored config with the defaults of options that are younger than it."""
    try:
        return to_dict(from_dict(RunConfig, stored))
    except ConfigError:
        return stored
