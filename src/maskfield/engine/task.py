"""What a method gives the loop. A task holds the model, the data, the losses and the metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class StepOutput:
    """Result of one training step.

    Attributes:
        loss: scalar to differentiate.
        parts: named scalar tensors (detached) that make up or accompany the loss; logged.
        counts: how much work the step did, e.g. ``{"rays": 4096}``; the loop logs them per second.
    """

    loss: Tensor
    parts: Mapping[str, Tensor] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Loaders:
    """Training batches (re-iterable, one pass = one epoch) and validation batches."""

    train: Iterable[Any]
    validation: Iterable[Any] | None = None


@runtime_checkable
class Task(Protocol):
    """A method as the loop sees it; every tensor that learns is a parameter of ``model``.

    The class is built with ``build(config: RunConfig)`` if it has that class method, else with
    ``Class(config)``. ``training_step`` gets the batch on the run's device, the number of updates
    done, and a CPU generator seeded for this very batch, so nothing drawn from it needs saving.
    ``validate`` runs without gradients, in eval mode, with the averaged weights if there are any.

    Optional, looked for by the loop:

    - ``after_step(step)``: after each update (e.g. a target network's EMA).
    - ``optimise(batch, step) -> StepOutput``: the task does its own backward and update; the loop
      then touches neither gradients nor optimiser. Single process only.
    - ``state_dict()`` / ``load_state_dict(state)``: state beyond the model's weights, kept in
      state.pt: tensors, dicts, lists, numbers.
    - ``checkpoint_bytes() -> int``: room that the largest checkpoint of the run takes, for models
      that grow on the way; asked before the first step, so that a full disk is known then. Without
      it: the model as it is at the start, with AdamW's state.
    - ``conventions() -> dict``: data conventions (axes, density rule, resolution ...) stored in
      checkpoints and compared when one is loaded.
    - ``initialise(weights, header)``: take over foreign weights for ``--init``; without it the
      checkpoint's method config must be this run's, but for the fields that the config class
      names in ``training_only``.
    - ``share(batch, rank, world)``: one process's part of a batch, where
      ``engine.distributed.own_slice`` does not do.
    - ``figures(directory) -> list[Path]``: pictures, drawn when the run ends.
    - ``answers(directory) -> list[Path]``: files with every held-out answer, for `evaluate`.

    Optional on the train loader: ``set_epoch(epoch)`` and ``seek(batch)``, see engine.feed.
    """

    @property
    def model(self) -> nn.Module: ...

    def loaders(self) -> Loaders: ...

    def training_step(self, batch: Any, step: int, generator: torch.Generator) -> StepOutput: ...

    def validate(self, loader: Iterable[Any]) -> dict[str, float]: ...

    def parameter_groups(self) -> list[dict[str, Any]]: ...


class HasFigures(Protocol):
    """A task that can draw its state into a folder."""

    def figures(self, directory: Path) -> list[Path]: ...
