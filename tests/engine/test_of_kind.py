"""A part of a run's configuration is what its task works with, or the message says which."""

from __future__ import annotations

import pytest

from maskfield.core.errors import ConfigError
from maskfield.data.config import GridDataConfig, SceneDataConfig
from maskfield.engine.config import OptimConfig, of_kind


def test_the_right_kind_comes_back_as_it_is() -> None:
    data = GridDataConfig(resolution=32)
    assert of_kind(data, GridDataConfig, what="it", field="data", recipe="a:b") is data


@pytest.mark.parametrize("given", [None, SceneDataConfig(), OptimConfig()])
def test_another_kind_is_named_with_a_recipe_that_has_it_right(given: object) -> None:
    with pytest.raises(ConfigError, match="detection needs a config of type grids") as caught:
        of_kind(given, GridDataConfig, what="detection", field="data", recipe="nerf-rpn:tiny-cpu")
    assert caught.value.field == "data"
    assert caught.value.value == type(given).__name__
    assert "nerf-rpn:tiny-cpu" in caught.value.remedy
