"""Every shipped recipe is a complete config that survives YAML; the small one runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from maskfield.core.config import from_dict, load_config, save_config, to_dict
from maskfield.core.errors import ConfigError
from maskfield.core.registry import CONFIGS, RECIPES, TASKS, key_of, resolve
from maskfield.engine.config import RunConfig
from maskfield.engine.loop import run
from maskfield.recipes.nerf_mae import tiny_cpu


@pytest.mark.parametrize("name", sorted(RECIPES.rows))
def test_recipe_survives_yaml(name: str, tmp_path: Path) -> None:
    config = resolve(RECIPES, name)()
    assert isinstance(config, RunConfig)
    assert config.name == name
    save_config(config, tmp_path / "config.yaml")
    assert load_config(tmp_path / "config.yaml") == config
    assert from_dict(RunConfig, to_dict(config)) == config


@pytest.mark.parametrize("name", sorted(RECIPES.rows))
def test_recipe_has_a_task(name: str) -> None:
    config = resolve(RECIPES, name)()
    assert callable(resolve(TASKS, key_of(CONFIGS, type(config.method))))


def test_unknown_recipe_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="nerf-mae:tiny-cpu"):
        resolve(RECIPES, "nerf-mae:tiny-cpus")


def test_tiny_recipe_runs(tmp_path: Path) -> None:
    recipe = tiny_cpu()
    config = replace(
        recipe,
        method=replace(recipe.method, resolution=32, embed_dim=12, block_size=2),
        data=replace(
            recipe.data,
            resolution=32,
            batch_size=2,
            train_count=4,
            validation_count=2,
            cache=str(tmp_path / "cache"),
        ),
        engine=replace(recipe.engine, steps=2, validate_every=0, checkpoint_every=0),
    )
    result = run(config, tmp_path / "run", progress="off")
    assert result.step == 2
    assert 0 < result.metrics["hidden_colour_psnr"] < 40
    assert (tmp_path / "run" / "figures" / "reconstructions.png").is_file()
