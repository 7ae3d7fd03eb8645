"""Measuring a finished run on its held-out data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from maskfield.core.errors import CheckpointError, ConfigError

if TYPE_CHECKING:
    from maskfield.core.runs import RunFolder
    from maskfield.engine.config import RunConfig
    from maskfield.engine.task import Task


def evaluate_run(
    folder: Path,
    *,
    checkpoint: Literal["best", "last"],
    overrides: Sequence[str],
    figures: bool,
    answers: bool,
) -> dict[str, float]:
    """See :func:`maskfield.api.evaluate`."""
    from maskfield.core.config import load_config, override
    from maskfield.core.runs import RunFolder
    from maskfield.engine.checkpoint import find_checkpoint
    from maskfield.engine.restore import evaluate
    from maskfield.engine.setup import build_task
    from maskfield.verbs.report import write_run_report

    run = RunFolder.open(folder)
    found = find_checkpoint(folder, checkpoint)
    if found is None:
        raise CheckpointError(
            f"the run has no {checkpoint} checkpoint yet",
            file=run.checkpoints,
            remedy="let the run reach its first checkpoint, or choose --checkpoint last",
        )
    config = override(load_config(folder), overrides)
    task = build_task(config)
    if answers:
        _require_answers(task, config)
    metrics = evaluate(found, task=task, device=config.engine.device)
    run.write_evaluation({"checkpoint": found.name, "overrides": list(overrides), **metrics})
    if answers:
        _answer(run, task, config)
    if figures:
        _draw(run, task, config)
        write_run_report(folder)
    return metrics


def _require_answers(task: Task, config: RunConfig) -> None:
    if not hasattr(task, "answers"):
        raise ConfigError(
            "this method has no answers to write",
            field="answers",
            value=type(config.method).__name__,
            remedy="leave out --answers; detectors, semantic networks and pixelNeRF have them",
        )


def _answer(run: RunFolder, task: Task, config: RunConfig) -> None:
    """Every held-out answer, in the official files, computed as during training."""
    from maskfield.engine.precision import autocast

    device = next(task.model.parameters()).device
    with autocast(device, config.engine.precision):
        task.answers(run.path / "answers")  # pyright: ignore[reportAttributeAccessIssue]


def _draw(run: RunFolder, task: Task, config: RunConfig) -> None:
    """The pictures that the run itself would have drawn."""
    from maskfield.data.config import SceneDataConfig
    from maskfield.verbs.fit import draw_fit

    draw = getattr(task, "figures", None)
    if draw is not None:
        run.figures.mkdir(exist_ok=True)
        draw(run.figures)
    elif isinstance(config.data, SceneDataConfig):
        draw_fit(run.path, config.data.build())
