"""Fine-tuning by a recipe, from pre-trained weights or from scratch, on all or some labels."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from maskfield.core.errors import ConfigError

if TYPE_CHECKING:
    from maskfield.engine.config import RunConfig
    from maskfield.engine.loop import RunResult

PRETRAINED, SCRATCH = "pretrained", "scratch"
ZOO_ENCODER = "zoo:nerf-mae-tiny"
_WANTED = (
    "give --init PATH (a run of `maskfield pretrain`, or the official nerf_mae_pretrained.pt), or "
    "--init scratch"
)
_WANTED_DETECTOR = (
    "give --init PATH (a run of the same recipe, or an official detector of this architecture), "
    "or --init scratch"
)


def finetune_by_recipe(
    recipe: str,
    folder: Path,
    *,
    init: str,
    labels: str | None,
    data: str | None,
    overrides: Sequence[str],
    resume: str | None,
    figures: bool,
) -> RunResult:
    """See :func:`maskfield.api.finetune`."""
    from maskfield.engine.loop import run
    from maskfield.verbs.report import write_run_report

    config = finetune_config(recipe, init=init, labels=labels, data=data, overrides=overrides)
    with tempfile.TemporaryDirectory() as scratch:
        result = run(config, folder, resume=resume, init=_weights(init, Path(scratch), config))
    if figures and not result.interrupted:
        write_run_report(result.folder)
    return result


def finetune_config(
    recipe: str,
    *,
    init: str = PRETRAINED,
    labels: str | None = None,
    data: str | None = None,
    overrides: Sequence[str] = (),
) -> RunConfig:
    """The complete configuration of a fine-tuning run.

    Raises:
        ConfigError: unknown recipe or option, a share of labels outside (0 %, 100 %].
    """
    from maskfield.core.config import override
    from maskfield.recipes.finetune import from_scratch, with_labels
    from maskfield.verbs.pretrain import absolute, recipe_config

    config = recipe_config(recipe)
    if init == SCRATCH and hasattr(config.method, "base"):
        config = from_scratch(config)
    if labels is not None:
        config = with_labels(config, share(labels))
    changes = [] if data is None else [f"data.path={absolute(data)}"]
    return override(config, [*changes, *overrides])


def share(labels: str) -> float:
    """``"10%"`` -> 0.1.

    Raises:
        ConfigError: not a percentage above 0 and at most 100.
    """
    number = labels.removesuffix("%")
    try:
        percent = float(number)
    except ValueError:
        percent = -1.0
    if not labels.endswith("%") or not 0 < percent <= 100:
        raise ConfigError(
            "not a share of the labelled scenes",
            field="labels",
            value=labels,
            remedy="write e.g. 10%, 25%, 50% or 100%",
        )
    return percent / 100


def _weights(init: str, scratch: Path, config: RunConfig) -> str | None:
    """The file to start from: ours as it is, official weights converted, the package's own."""
    from maskfield.verbs.pretrain import ours

    if init == SCRATCH:
        return None
    return _packaged(config) if init == PRETRAINED else ours(init, scratch, _source(config))


def _source(config: RunConfig) -> RunConfig:
    """The run whose weights this one starts from: a masked autoencoder's, or one like itself.

    An autoencoder always has its positional table, whether or not the new network takes it.
    """
    base = getattr(config.method, "base", None)
    if base is None:
        return config
    return replace(config, method=replace(base, positional_table=True))


def _packaged(config: RunConfig) -> str:
    """The pre-trained encoder that comes with the package, if it is this network's."""
    from maskfield.methods.nerf_mae.config import SIZES, NerfMAEConfig

    base = getattr(config.method, "base", None)
    free = NerfMAEConfig.training_only
    same = isinstance(base, NerfMAEConfig) and all(
        getattr(base, f) == getattr(SIZES["tiny"], f)
        for f in NerfMAEConfig.__dataclass_fields__
        if f not in free
    )
    if not same:
        raise ConfigError(
            "no pre-trained weights of this size come with the package",
            field="init",
            value=PRETRAINED,
            remedy=_WANTED if isinstance(base, NerfMAEConfig) else _WANTED_DETECTOR,
        )
    return ZOO_ENCODER
