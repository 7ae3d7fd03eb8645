"""From a config to a session ready to train; whatever can be refused is refused here."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from maskfield.core.config import diff, to_dict, to_yaml
from maskfield.core.errors import CheckpointError, ConfigError
from maskfield.core.files import StrPath
from maskfield.core.registry import CONFIGS, TASKS, key_of, resolve
from maskfield.core.runs import RunFolder, probe
from maskfield.engine import checkpoint
from maskfield.engine.config import RunConfig
from maskfield.engine.distributed import Processes, join_processes
from maskfield.engine.ema import WeightEMA
from maskfield.engine.feed import Feed
from maskfield.engine.optim import build_optimiser
from maskfield.engine.precision import use_threads
from maskfield.engine.schedule import build_schedule
from maskfield.engine.seeding import mixed_seed, seed_everything
from maskfield.engine.session import Session, conventions_of
from maskfield.engine.task import Task
from maskfield.engine.trackers import build_trackers

_ADAM_COPIES = 4  # weights, two moments, and the raw weights beside an average


def setup(
    config: RunConfig,
    folder: StrPath,
    *,
    task: Task | None = None,
    resume: StrPath | None = None,
    init: StrPath | None = None,
) -> Session:
    """Prepare a run: folder, seeds, task, data, optimiser; then weights or a checkpoint.

    Raises:
        StorageError: the folder holds another run, cannot be written, or has no room.
        CheckpointError: ``resume`` or ``init`` does not fit this run.
        ConfigError: unknown method, device, or combination of settings.
    """
    processes = join_processes(config.engine.device)
    run_folder, start = RunFolder(folder), _resumed_from(resume, folder)
    threads = use_threads(config.engine.threads)
    seed_everything(config.seed)
    new = start is None or not run_folder.checkpoints.is_dir()
    if new:
        run_folder.refuse_other_run()
    with run_folder.claimed() if processes.rank == 0 else nullcontext():
        processes.wait()
        task = build_task(config) if task is None else task
        task.model.to(processes.device)
        if init is not None and start is None:
            initialise(task, config, init)
        session = _assemble(config, run_folder, task, processes)
        if start is not None:
            session.restore(start)
        if processes.rank == 0:
            _write_folder(session, new, _facts(processes, threads))
    if processes.rank > 0:  # equal weights from here on, different dropout
        torch.manual_seed(mixed_seed(config.seed, session.step, processes.rank))
    return session


def build_task(config: RunConfig) -> Task:
    """The task registered for the method of this config.

    Raises:
        ConfigError: the method has no task.
    """
    cls = type(config.method)
    key = key_of(CONFIGS, cls)
    if key is None:
        raise ConfigError(
            "no task is registered for this method config",
            field="method",
            value=cls.__name__,
            remedy="give run() the task itself, or register config and task as a plugin",
        )
    task_class = resolve(TASKS, key, field="method.type")
    return getattr(task_class, "build", task_class)(config)


def initialise(task: Task, config: RunConfig, path: StrPath) -> None:
    """Start from the weights in a file, checkpoint or run folder.

    The method's config must be the checkpoint's, but for the fields its class names in
    ``training_only`` (a set of names: masks, losses, whatever the network's function does not
    depend on). A task with its own ``initialise(weights, header)`` decides alone.

    Raises:
        CheckpointError: of another method, size or data convention.
    """
    weights, header = checkpoint.load_weights(path)
    own = getattr(task, "initialise", None)
    if own is not None:
        own(weights, header)
        return
    checkpoint.refuse_difference(_method_differences(header, task, config), path)
    checkpoint.load_into(task.model, weights, path)


def _method_differences(
    header: Mapping[str, Any], task: Task, config: RunConfig
) -> dict[str, tuple[Any, Any]]:
    """Where a checkpoint's method and data conventions differ from this run's."""
    stored = {
        "method": header.get("config", {}).get("method"),
        "conventions": header.get("conventions", {}),
    }
    wanted = {"method": to_dict(config)["method"], "conventions": conventions_of(task)}
    free = {f"method.{name}" for name in getattr(type(config.method), "training_only", ())}
    return {k: v for k, v in diff(stored, wanted).items() if k not in free}


def _assemble(config: RunConfig, folder: RunFolder, task: Task, processes: Processes) -> Session:
    engine = config.engine
    loaders = task.loaders()
    optimiser, schedule = _optimiser(task, config, processes)
    return Session(
        config=config,
        folder=folder,
        task=task,
        processes=processes,
        stepper=processes.prepare(task),
        feed=Feed(loaders.train, config.seed),
        validation=loaders.validation,
        optimiser=optimiser,
        schedule=schedule,
        ema=None if engine.ema_decay is None else WeightEMA(task.model, engine.ema_decay),
        trackers=build_trackers(
            folder, tensorboard=engine.tensorboard, writing=processes.rank == 0
        ),
        generator=torch.Generator(),
    )


def _optimiser(task: Task, config: RunConfig, processes: Processes) -> tuple[Any, Any]:
    if not hasattr(task, "optimise"):
        optimiser = build_optimiser(task.parameter_groups(), config.optim)
        return optimiser, build_schedule(optimiser, config.schedule, config.engine.steps)
    for name, differs in (
        ("several processes", processes.world > 1),
        ("engine.accumulate", config.engine.accumulate > 1),
        ("engine.clip_grad_norm", config.engine.clip_grad_norm is not None),
    ):
        if differs:
            raise ConfigError(
                "this task does its own updates and cannot be combined with that",
                field=name,
                value=type(task).__name__,
                remedy=f"run without {name}",
            )
    return None, None


def _resumed_from(resume: StrPath | None, folder: StrPath) -> Path | None:
    """The checkpoint folder to continue from; "auto" means this run's last one, if any."""
    if resume is None:
        return None
    if resume == "auto":
        return checkpoint.find_checkpoint(folder, "last")
    found = checkpoint.find_checkpoint(resume, "last")
    if found is None:
        raise CheckpointError(
            "no checkpoint to resume from",
            file=resume,
            remedy="give a run folder or a checkpoint folder (step-N), or use --resume auto",
        )
    return found


def _write_folder(session: Session, new: bool, facts: Mapping[str, object]) -> None:
    """What a run leaves before its first step; nothing before this can have been refused."""
    probe(session.folder.path, _bytes_needed(session))
    if new:
        session.folder.create("format_version: 1\n" + to_yaml(session.config))
    session.folder.write_environment(facts)
    if session.step > 0:
        session.folder.truncate_log(session.step)
        session.trackers.record("resume", session.step, {})


def _facts(processes: Processes, threads: int) -> dict[str, object]:
    facts: dict[str, object] = {
        "device": str(processes.device),
        "processes": processes.world,
        "threads": threads,
    }
    if processes.device.type == "cuda":
        facts["gpu"] = torch.cuda.get_device_name(processes.device)
    return facts


def _bytes_needed(session: Session) -> int:
    """Room for the checkpoints this run keeps, and the one being written."""
    one = getattr(session.task, "checkpoint_bytes", None)
    kept = session.config.engine.keep_checkpoints + 2
    return kept * (one() if one is not None else _ADAM_COPIES * _model_bytes(session.task))


def _model_bytes(task: Task) -> int:
    return sum(v.numel() * v.element_size() for v in task.model.state_dict().values())
