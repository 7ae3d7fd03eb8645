"""Pre-training by a recipe: recipe, data and changes to one configuration, then the loop."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maskfield.engine.config import RunConfig
    from maskfield.engine.loop import RunResult


def pretrain_by_recipe(
    recipe: str,
    folder: Path,
    *,
    data: str | None,
    init: str | None,
    overrides: Sequence[str],
    resume: str | None,
    figures: bool,
) -> RunResult:
    """See :func:`maskfield.api.pretrain`."""
    from maskfield.core.config import override
    from maskfield.engine.loop import run
    from maskfield.verbs.report import write_run_report

    changes = [] if data is None else [f"data.path={absolute(data)}"]
    config = override(recipe_config(recipe), [*changes, *overrides])
    with tempfile.TemporaryDirectory() as scratch:
        weights = ours(init, Path(scratch), config)
        result = run(config, folder, resume=resume, init=weights)
    if figures and not result.interrupted:
        write_run_report(result.folder)
    return result


def recipe_config(recipe: str) -> RunConfig:
    """The configuration behind a recipe id, a config file or a run folder.

    Raises:
        ConfigError: none of these; the message names the nearest recipe.
    """
    from maskfield.core.config import load_config
    from maskfield.core.registry import RECIPES, resolve

    if Path(recipe).exists():
        return load_config(recipe)
    return resolve(RECIPES, recipe, field="recipe")()


def absolute(data: str) -> str:
    """A path that stays true when the run is taken up from another folder; ids stay as they are."""
    return str(Path(data).resolve()) if Path(data).exists() else data


def ours(init: str | None, scratch: Path, config: RunConfig) -> str | None:
    """Official weights become a file of ours that fits this run's network."""
    from maskfield.verbs.weights import OFFICIAL_WEIGHTS, import_weights

    if init is None or Path(init).suffix.lower() not in OFFICIAL_WEIGHTS:
        return init
    import_weights(Path(init), scratch / "init.safetensors", config)
    return str(scratch / "init.safetensors")
