"""Networks: pretrain, finetune, evaluate, convert."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from maskfield.core.runs import run_name

if TYPE_CHECKING:
    from maskfield.core.files import StrPath
    from maskfield.data.config import DensityRule
    from maskfield.engine.loop import RunResult


def pretrain(
    recipe: str,
    *,
    out: StrPath | None = None,
    data: str | None = None,
    init: str | None = None,
    overrides: Sequence[str] = (),
    resume: str | None = None,
    figures: bool = False,
) -> RunResult:
    """Masked pre-training by a recipe.

    Args:
        recipe: ``METHOD:SIZE`` (``nerf-mae:tiny-cpu``), a ``config.yaml``, or a run folder.
        out: run folder; ``runs/METHOD-SIZE`` unless given.
        data: train on these data instead of the recipe's.
        init: start from these weights, ours or official.
        overrides: changes of the configuration, ``"engine.steps=500"``.
        resume: "auto" or a checkpoint, to go on with an interrupted run in ``out``.
        figures: also draw reconstructions and curves and write ``report.html``.

    Returns:
        run folder, metrics on held-out grids and the last step.

    Raises:
        ConfigError: unknown recipe or option. DataError, CheckpointError, StorageError: before
        time is spent. NumericsError: the loss became NaN or infinite.
    """
    from maskfield.verbs.pretrain import pretrain_by_recipe

    folder = Path(out or f"runs/{run_name(recipe)}")
    return pretrain_by_recipe(
        recipe, folder, data=data, init=init, overrides=overrides, resume=resume, figures=figures
    )


def finetune(
    recipe: str,
    *,
    out: StrPath | None = None,
    init: str = "pretrained",
    labels: str | None = None,
    data: str | None = None,
    overrides: Sequence[str] = (),
    resume: str | None = None,
    figures: bool = False,
) -> RunResult:
    """Train on labels: boxes, voxel classes or finer grids.

    Args:
        recipe: ``METHOD:SIZE`` (``nerf-mae-detect:tiny-cpu``), a ``config.yaml``, or a run folder.
        out: run folder; ``runs/METHOD-SIZE`` unless given.
        init: "pretrained" (the weights that come with the package), "scratch" (the paper's
            counterpart: no positional table), or a run, checkpoint or official ``.pt``.
        labels: share of the labelled training scenes, ``"10%"``; smaller shares lie within larger.
        data: train on these data instead of the recipe's.
        overrides: changes of the configuration, ``"engine.steps=500"``.
        resume: "auto" or a checkpoint, to go on with an interrupted run in ``out``.
        figures: also draw answers on held-out grids and curves and write ``report.html``.

    Returns:
        run folder, metrics on held-out grids and the last step.

    Raises:
        ConfigError: unknown recipe or option. DataError, CheckpointError, StorageError: before
        time is spent. NumericsError: the loss became NaN or infinite.
    """
    from maskfield.verbs.finetune import finetune_by_recipe

    return finetune_by_recipe(
        recipe,
        Path(out or f"runs/{run_name(recipe)}"),
        init=init,
        labels=labels,
        data=data,
        overrides=overrides,
        resume=resume,
        figures=figures,
    )


def evaluate(
    run: StrPath,
    *,
    checkpoint: Literal["best", "last"] = "last",
    overrides: Sequence[str] = (),
    figures: bool = False,
    answers: bool = False,
) -> dict[str, float]:
    """Measure a run's checkpoint on its held-out data.

    Args:
        run: a run folder of :func:`fit`, :func:`pretrain` or :func:`finetune`.
        checkpoint: which of its checkpoints.
        overrides: changes of the configuration, e.g. ``"data.path=..."`` for other data.
        figures: also draw pictures and curves and write ``report.html``.
        answers: also write every held-out answer in the official files, into ``answers``.

    Returns:
        the metrics, which are also in ``evaluation.json`` of the run folder; the run's own
        ``metrics.json`` stays as it is.

    Raises:
        DataError: not a run folder. CheckpointError: no such checkpoint. ConfigError.
    """
    from maskfield.verbs.evaluate import evaluate_run

    return evaluate_run(
        Path(run), checkpoint=checkpoint, overrides=overrides, figures=figures, answers=answers
    )


def convert(
    source: StrPath, out: StrPath, *, density: DensityRule = "auto", recipe: str | None = None
) -> str:
    """Official files to ours and back; the two suffixes say what is meant.

    ``.npz`` <-> ``.safetensors`` grids of NeRF-RPN and NeRF-MAE; official checkpoint ``.pt``
    (masked autoencoder, detector, semantic labelling, super-resolution) -> weights
    ``.safetensors``; our weights or run folder -> official ``.pt``. Strict: every tensor must find
    its place, else the error lists what differs.

    Args:
        source: the file (or run folder) to convert.
        out: the file to write.
        density: ``.npz``: what the fourth channel is; "auto" looks at the values.
        recipe: checkpoints: the recipe whose network it is, when the weights do not tell.

    Returns:
        one line saying what was converted.

    Raises:
        ConfigError: no such conversion. CheckpointError, GridError: the source does not fit.
    """
    from maskfield.verbs.convert import convert_file

    return convert_file(Path(source), Path(out), density=density, recipe=recipe)
