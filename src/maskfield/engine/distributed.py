"""One process or several: the only place that knows. Several need ``accelerate`` and ``torchrun``.

Every process reads the same data order and keeps its slice of each batch, so a run does not depend
on how many processes share it. Gradients are averaged during backward (DDP).
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import torch
from torch import Tensor, distributed, nn

from maskfield.core.errors import DataError, MissingPartError
from maskfield.engine.precision import choose_device
from maskfield.engine.task import StepOutput, Task


class Processes(Protocol):
    """What the loop asks of its process group."""

    @property
    def rank(self) -> int: ...

    @property
    def world(self) -> int: ...

    @property
    def device(self) -> torch.device: ...

    def prepare(self, task: Task) -> Stepper: ...

    def backward(self, loss: Tensor) -> None: ...

    def accumulating(self, stepper: Stepper) -> AbstractContextManager[None]: ...

    def mean(self, values: Tensor) -> Tensor: ...

    def wait(self) -> None: ...


class Stepper(nn.Module):
    """A task's training step as a module, so that a wrapper of modules can follow it."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.model = task.model
        self._step = task.training_step

    def forward(self, batch: Any, step: int, generator: torch.Generator) -> StepOutput:
        return self._step(batch, step, generator)


class SingleProcess:
    """This process alone; needs nothing beyond torch."""

    rank = 0
    world = 1

    def __init__(self, device: str) -> None:
        self.device = choose_device(device)

    def prepare(self, task: Task) -> Stepper:
        """The task's step."""
        return Stepper(task)

    def backward(self, loss: Tensor) -> None:
        """Gradients of ``loss``, added to those there are."""
        loss.backward()

    def accumulating(self, stepper: Stepper) -> AbstractContextManager[None]:
        """Nothing to put off."""
        return nullcontext()

    def mean(self, values: Tensor) -> Tensor:
        """The values themselves."""
        return values

    def wait(self) -> None:
        """Nobody to wait for."""


class ManyProcesses:
    """One of several processes started by ``torchrun`` or ``accelerate launch``.

    Raises:
        MissingPartError: accelerate is not installed.
    """

    def __init__(self, device: str) -> None:
        try:
            from accelerate import Accelerator
        except ImportError as error:
            raise MissingPartError(
                "training in several processes needs accelerate",
                value=error.name,
                remedy="pip install 'maskfield[distributed]'",
            ) from error
        self._accelerator = Accelerator(cpu=choose_device(device).type == "cpu")
        atexit.register(_leave)  # the group's threads must not outlive the interpreter
        self.rank: int = self._accelerator.process_index
        self.world: int = self._accelerator.num_processes
        self.device: torch.device = self._accelerator.device

    def prepare(self, task: Task) -> Stepper:
        """The task's step, with its gradients averaged over the processes."""
        return self._accelerator.prepare(Stepper(task))

    def backward(self, loss: Tensor) -> None:
        """Gradients of ``loss``, averaged over the processes, added to those there are."""
        self._accelerator.backward(loss)

    def accumulating(self, stepper: Stepper) -> AbstractContextManager[None]:
        """Within the block gradients stay in this process."""
        return self._accelerator.no_sync(stepper)

    def mean(self, values: Tensor) -> Tensor:
        """Mean over the processes; NaN if it is NaN in any."""
        reduced = self._accelerator.reduce(values, reduction="mean")
        assert isinstance(reduced, Tensor)
        return reduced

    def wait(self) -> None:
        """Until every process is here."""
        self._accelerator.wait_for_everyone()


def _leave() -> None:
    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


def join_processes(device: str) -> Processes:
    """The process group this program was started in (``WORLD_SIZE`` says how many)."""
    many = int(os.environ.get("WORLD_SIZE", "1")) > 1
    return ManyProcesses(device) if many else SingleProcess(device)


def own_slice(batch: Any, rank: int, world: int) -> Any:
    """This process's part of a batch: an equal share of the first axis of everything in it.

    Tuples and dicts are fields; so is a list that is the batch itself (what ``DataLoader`` makes of
    tuples). A list inside them is one entry per sample. Single numbers and texts stay whole.

    Raises:
        DataError: the batch cannot be shared equally.
    """
    if world == 1:
        return batch
    if isinstance(batch, list):
        return [_part(v, rank, world) for v in batch]
    return _part(batch, rank, world)


def _part(value: Any, rank: int, world: int) -> Any:
    if isinstance(value, Mapping):
        return {k: _part(v, rank, world) for k, v in value.items()}
    if isinstance(value, tuple):
        return tuple(_part(v, rank, world) for v in value)
    if isinstance(value, list) or (isinstance(value, Tensor) and value.ndim > 0):
        return value[equal_share(len(value), rank, world)]
    return value


def equal_share(size: int, rank: int, world: int) -> slice:
    """A process's part of ``size`` entries.

    Raises:
        DataError: they cannot be shared equally.
    """
    if size % world:
        raise DataError(
            "a batch cannot be shared equally among the processes",
            field="batch_size",
            value=size,
            remedy=f"choose a batch size divisible by {world}",
        )
    part = size // world
    return slice(rank * part, (rank + 1) * part)


def to_device(batch: Any, device: torch.device) -> Any:
    """A batch with its tensors (and objects that have ``.to``) on the device."""
    if isinstance(batch, Mapping):
        return {k: to_device(v, device) for k, v in batch.items()}
    if isinstance(batch, list | tuple):
        return type(batch)(to_device(v, device) for v in batch)
    return batch.to(device, non_blocking=True) if hasattr(batch, "to") else batch


def on_device(loader: Iterable[Any], device: torch.device) -> Iterable[Any]:
    """A loader whose batches are moved to the device as they come."""
    return loader if device.type == "cpu" else _OnDevice(loader, device)


class _OnDevice:
    """A loader whose batches are moved to the device as they come."""

    def __init__(self, loader: Iterable[Any], device: torch.device) -> None:
        self._loader = loader
        self._device = device

    def __iter__(self) -> Iterator[Any]:
        return (to_device(batch, self._device) for batch in self._loader)
