"""A trained model, or its task, from a run folder or a checkpoint; validation metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from maskfield.core.config import from_dict
from maskfield.core.errors import CheckpointError, DataError
from maskfield.core.files import StrPath
from maskfield.core.zoo import is_zoo
from maskfield.engine import checkpoint
from maskfield.engine.config import RunConfig
from maskfield.engine.distributed import on_device
from maskfield.engine.precision import autocast, choose_device
from maskfield.engine.seeding import seed_everything
from maskfield.engine.setup import build_task
from maskfield.engine.task import Task

FORMULA_TABLE = "pos_embed"


@dataclass(frozen=True, kw_only=True)
class Restored:
    """A task with the weights of a checkpoint, in eval mode.

    Attributes:
        header: what the checkpoint says about itself: config, conventions, step.
    """

    task: Task
    config: RunConfig
    header: dict[str, Any]
    device: torch.device


@dataclass(frozen=True, kw_only=True)
class RestoredModel:
    """A network with the weights of a checkpoint, in eval mode; no data were opened.

    Attributes:
        header: what the checkpoint says about itself: config, conventions, step.
    """

    model: nn.Module
    config: RunConfig
    header: dict[str, Any]
    device: torch.device


def restore_model(path: StrPath, device: str = "auto") -> RestoredModel:
    """Build the network a checkpoint belongs to and give it the weights.

    Torch's global generator is left as it was.

    Args:
        path: run folder (its best checkpoint, else its last), checkpoint folder, weights file, or
            ``zoo:NAME``.

    Raises:
        CheckpointError: missing, damaged, or weights that do not say which network they are of.
        ConfigError: the stored config cannot be read by this version.
    """
    weights, header = checkpoint.load_weights(path)
    file = checkpoint.weights_path(path)
    stored = header.get("config")
    config = from_dict(RunConfig, stored) if stored else None
    build = getattr(config.method, "build", None) if config else None
    if config is None or build is None:
        raise CheckpointError(
            "these weights do not say which network they belong to",
            file=file,
            field="config.method",
            value=type(config.method).__name__ if config else None,
            remedy="give the run folder of a training, or weights written by one",
        )
    chosen = choose_device(device)
    with torch.random.fork_rng(devices=[]):
        model = build()
    if is_zoo(path):  # which leaves out tables that a formula gives
        tables = {k: v for k, v in model.state_dict().items() if k.endswith(FORMULA_TABLE)}
        weights = {**tables, **weights}
    checkpoint.load_into(model, weights, file)
    return RestoredModel(model=model.to(chosen).eval(), config=config, header=header, device=chosen)


def restore_task(path: StrPath, *, task: Task | None = None, device: str = "auto") -> Restored:
    """Build the task a checkpoint belongs to and give it the weights.

    Args:
        path: run folder (its best checkpoint, else its last), checkpoint folder, or weights file.
        task: use this task instead of building one.

    Raises:
        CheckpointError: missing, damaged, or other weights than the config describes.
        ConfigError: the stored config cannot be read by this version.
    """
    weights, header = checkpoint.load_weights(path)
    config = from_dict(RunConfig, header.get("config", {}))
    seed_everything(config.seed)
    task = build_task(config) if task is None else task
    checkpoint.load_into(task.model, weights, checkpoint.weights_path(path))
    chosen = choose_device(device)
    task.model.to(chosen).eval()
    return Restored(task=task, config=config, header=header, device=chosen)


def evaluate(path: StrPath, *, task: Task | None = None, device: str = "auto") -> dict[str, float]:
    """Validation metrics of a checkpoint, computed as during training.

    Raises:
        CheckpointError: see :func:`restore_task`.
        DataError: the task has no validation data.
    """
    restored = restore_task(path, task=task, device=device)
    loader = restored.task.loaders().validation
    if loader is None:
        raise DataError(
            "this run has no validation data",
            file=path,
            remedy="set a validation split in the data config",
        )
    with torch.no_grad(), autocast(restored.device, restored.config.engine.precision):
        return restored.task.validate(on_device(loader, restored.device))
