"""The verb `finetune`: recipes, shares of labels, where weights come from."""

from __future__ import annotations

import pytest

from maskfield.core.errors import ConfigError
from maskfield.verbs.finetune import finetune_config, share


def test_shares_of_labels() -> None:
    assert share("10%") == pytest.approx(0.1)
    assert share("100%") == 1.0
    for wrong in ("10", "0%", "101%", "ten%", "-5%"):
        with pytest.raises(ConfigError, match="labelled scenes"):
            share(wrong)


@pytest.mark.parametrize("method", ["detect", "segment", "superres"])
def test_scratch_drops_what_only_pretraining_brings(method: str) -> None:
    recipe = f"nerf-mae-{method}:paper"
    pretrained = finetune_config(recipe, labels="25%")
    scratch = finetune_config(recipe, init="scratch", labels="25%")
    assert pretrained.method.base.positional_table
    assert not scratch.method.base.positional_table
    assert scratch.method.base.stochastic_depth == 0
    assert scratch.data == pretrained.data
    assert pretrained.data.percent_train == 0.25


def test_the_package_has_weights_for_the_tiny_size_only() -> None:
    import maskfield

    with pytest.raises(ConfigError, match="no pre-trained weights of this size"):
        maskfield.finetune("nerf-mae-detect:paper", out="nowhere")
    with pytest.raises(ConfigError, match="no pre-trained weights of this size"):
        maskfield.finetune("nerf-rpn:tiny-cpu", out="nowhere")
