"""Configs of the fine-tuned networks: what they build, what they refuse."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from maskfield.core.config import from_dict, to_dict
from maskfield.core.errors import ConfigError
from maskfield.methods.nerf_mae.config import NerfMAEConfig
from maskfield.methods.nerf_mae.downstream import (
    PlainSuperResolution,
    SemanticNetwork,
    SuperResolution,
)
from maskfield.methods.nerf_mae.downstream_config import SemanticConfig, SuperResolutionConfig

TINY = NerfMAEConfig(
    resolution=32, embed_dim=8, depths=(1, 1, 1, 1), heads=(1, 1, 2, 2), stochastic_depth=0.0
)


def test_semantic_config_builds_one_output_per_class() -> None:
    model = SemanticConfig(base=TINY, class_names=("void", "wall", "chair")).build()

    assert isinstance(model, SemanticNetwork)
    assert model.class_weights.tolist() == [1, 1, 1]
    assert model(torch.rand(1, 4, 32, 32, 32)).shape == (1, 3, 32, 32, 32)


@pytest.mark.parametrize(
    ("variant", "kind", "side", "expected"),
    [("skip", SuperResolution, 32, 51), ("plain", PlainSuperResolution, 64, 100)],
)
def test_super_resolution_config_knows_the_side_of_the_answer(
    variant: Any, kind: type, side: int, expected: int
) -> None:
    base = replace(TINY, resolution=side)
    config = SuperResolutionConfig(base=base, scale=1.6, variant=variant)
    model = config.build()

    assert isinstance(model, kind)
    assert config.fine_resolution == expected
    with torch.no_grad():
        answer = model(torch.rand(1, 4, side, side, side))
    assert answer.shape == (1, 4, expected, expected, expected)


def test_plain_variant_needs_two_cells_in_the_coarsest_map() -> None:
    with pytest.raises(ConfigError, match="coarsest") as caught:
        SuperResolutionConfig(base=TINY, scale=1.6, variant="plain")
    assert "64" in caught.value.remedy


def test_configs_survive_plain_data() -> None:
    for config in (
        SemanticConfig(base=TINY, class_names=("void", "wall")),
        SuperResolutionConfig(base=TINY, scale=2.4),
    ):
        assert from_dict(type(config), to_dict(config)) == config


@pytest.mark.parametrize("names", [(), ("void",), ("void", "wall", "wall"), ("void", " ")])
def test_class_names_must_be_distinct_and_at_least_two(names: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="class names") as caught:
        SemanticConfig(base=TINY, class_names=names)
    assert caught.value.field == "class_names"


@pytest.mark.parametrize("scale", [1.0, 0.5, -2.0, 9.0, float("nan"), float("inf")])
def test_scale_must_make_the_grid_finer(scale: float) -> None:
    with pytest.raises(ConfigError, match="scale") as caught:
        SuperResolutionConfig(base=TINY, scale=scale)
    assert caught.value.field == "scale"
