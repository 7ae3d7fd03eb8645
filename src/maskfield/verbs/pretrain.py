"""Pre-training by a recipe: recipe, data and changes to one configuration, then the loop."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
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
    """The configuration behind a recipe id, a config file (or pixelNeRF's .conf) or a run folder.

    Raises:
        ConfigError: none of these; the message names the nearest recipe.
    """
    from maskfield.core.config import load_config
    from maskfield.core.registry import RECIPES, resolve

    if Path(recipe).suffix.lower() == ".conf":
        return _official_config(recipe)
    if Path(recipe).exists():
        return load_config(recipe)
    return resolve(RECIPES, recipe, field="recipe")()


def _official_config(file: str) -> RunConfig:
    """A configuration file of the original pixelNeRF, on top of the recipe of its size."""
    from maskfield.core.registry import RECIPES, resolve
    from maskfield.methods.pixelnerf.hocon import read_conf
    from maskfield.methods.pixelnerf.official_conf import config_of_tree, data_format

    tree = read_conf(file)
    base: RunConfig = resolve(RECIPES, "pixelnerf:paper")()
    data = replace(base.data, format=data_format(tree), official_centres=True)
    method = replace(config_of_tree(tree), boxed_steps=base.method.boxed_steps)
    return replace(base, method=method, data=data, name=Path(file).stem)


def absolute(data: str) -> str:
    """A path that stays true when the run is taken up from another folder; ids stay as they are."""
    return str(Path(data).resolve()) if Path(data).exists() else data


def ours(init: str | None, scratch: Path, config: RunConfig) -> str | None:
    """Official weights become a file of ours that fits this run's network."""
    from maskfield.verbs.weights import has_official_name, import_weights

    if init is None or not has_official_name(Path(init)):
        return init
    import_weights(Path(init), scratch / "init.safetensors", config)
    return str(scratch / "init.safetensors")
