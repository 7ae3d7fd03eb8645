"""Fine-tuning by a recipe, from pre-trained weights or from scratch, on all or some labels.

Recipes of NeRF-MAE and NeRF-RPN are written for it. pixelNeRF's are written for training anew: from
trained weights they become short ones, with smaller steps, on the objects given.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskfield.core.errors import ConfigError

if TYPE_CHECKING:
    from maskfield.engine.config import RunConfig
    from maskfield.engine.loop import RunResult

PRETRAINED, SCRATCH = "pretrained", "scratch"
ZOO_ENCODER, ZOO_VIEWS = "zoo:nerf-mae-tiny", "zoo:pixelnerf-tiny"
_WANTED = (
    "give --init PATH (a run of `maskfield pretrain`, or the official nerf_mae_pretrained.pt), or "
    "--init scratch"
)
_WANTED_DETECTOR = (
    "give --init PATH (a run of the same recipe, or an official detector of this architecture), "
    "or --init scratch"
)
_WANTED_VIEWS = (
    "give --init PATH (a run of `maskfield pretrain pixelnerf:SIZE`, or the official "
    "pixel_nerf_latest), or --init scratch"
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
        ConfigError: unknown recipe or option, a share of labels outside (0 %, 100 %] or of data
            without labels.
    """
    from maskfield.core.config import override
    from maskfield.recipes.finetune import from_scratch, with_labels
    from maskfield.verbs.pretrain import absolute, recipe_config

    config = recipe_config(recipe)
    if init == SCRATCH and hasattr(config.method, "base"):
        config = from_scratch(config)
    if init != SCRATCH and _by_name(recipe):
        config = _continued(config)
    if labels is not None:
        _require_labels(config, labels)
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


def _by_name(recipe: str) -> bool:
    """A recipe id: config files, and runs, say themselves how long and how fast they train."""
    return not Path(recipe).exists() and Path(recipe).suffix.lower() != ".conf"


def _continued(config: RunConfig) -> RunConfig:
    from maskfield.methods.pixelnerf.config import PixelNeRFConfig
    from maskfield.recipes.pixelnerf import continued

    return continued(config) if isinstance(config.method, PixelNeRFConfig) else config


def _require_labels(config: RunConfig, labels: str) -> None:
    if not hasattr(config.data, "percent_train"):
        raise ConfigError(
            "these data have no labels, of which a share could be taken",
            field="labels",
            value=labels,
            remedy="leave out --labels; --set data.train_count=N trains on N objects",
        )


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
    """The trained network that comes with the package, if this is the same one."""
    from maskfield.methods.nerf_mae.config import SIZES, NerfMAEConfig
    from maskfield.methods.pixelnerf.config import PixelNeRFConfig
    from maskfield.recipes.pixelnerf import tiny_cpu

    method = config.method
    base = getattr(method, "base", None)
    if isinstance(base, NerfMAEConfig):
        if _alike(base, SIZES["tiny"], NerfMAEConfig.training_only):
            return ZOO_ENCODER
        raise _not_packaged(_WANTED)
    if isinstance(method, PixelNeRFConfig):
        if _alike(method, tiny_cpu().method, {"sampling", "loss", *PixelNeRFConfig.training_only}):
            return ZOO_VIEWS
        raise _not_packaged(_WANTED_VIEWS)
    raise _not_packaged(_WANTED_DETECTOR)


def _alike(ours: Any, packaged: Any, free: Collection[str]) -> bool:
    """The same network; ``free`` options do not change what its weights are."""
    names = [f.name for f in fields(ours) if f.name not in free]
    return all(getattr(ours, name) == getattr(packaged, name) for name in names)


def _not_packaged(wanted: str) -> ConfigError:
    return ConfigError(
        "no pre-trained weights of this size come with the package",
        field="init",
        value=PRETRAINED,
        remedy=wanted,
    )
