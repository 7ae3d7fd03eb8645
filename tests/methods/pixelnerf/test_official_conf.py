"""What the original's configuration trees mean."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from maskfield.core.errors import ConfigError
from maskfield.methods.pixelnerf.config import (
    GlobalEncoderConfig,
    LossConfig,
    MLPConfig,
    PixelNeRFConfig,
    ResNetEncoderConfig,
    UNetEncoderConfig,
)
from maskfield.methods.pixelnerf.official_conf import (
    DEFAULT,
    EXPERIMENTS,
    config_of_tree,
    data_format,
    model_config,
)

RESNET = {"type": "resnet"}
MLPS = {"mlp_coarse": RESNET, "mlp_fine": RESNET}


def test_our_defaults_are_the_srn_experiment() -> None:
    assert config_of_tree(EXPERIMENTS["srn"]) == PixelNeRFConfig()
    assert data_format(EXPERIMENTS["srn"]) == "srn"


@pytest.mark.parametrize("name", list(EXPERIMENTS))
def test_every_experiment_is_understood(name: str) -> None:
    config = config_of_tree(EXPERIMENTS[name])
    assert config.mlp.blocks == (3 if name == "default" else 5)
    assert (config.background is None) == (name == "dtu")
    assert isinstance(config.encoder, ResNetEncoderConfig)
    assert config.encoder.first_pool is not name.startswith("sn64")


def test_what_is_absent_has_the_default_of_the_code() -> None:
    config = model_config(MLPS)
    assert not config.xyz
    assert not config.directions
    assert config.code is None
    assert config.background is None
    assert config.mlp == MLPConfig(hidden=128, combine_layer=1000)
    assert (config.sampling.coarse, config.sampling.fine) == (128, 0)
    coded = model_config({**MLPS, "use_code": True, "use_viewdirs": True}).code
    assert coded is not None
    assert coded.factor == math.pi
    assert coded.directions


def test_options_that_no_experiment_uses() -> None:
    config = model_config(
        {
            **MLPS,
            "encoder": {"backbone": "custom", "index_padding": "zeros"},
            "use_global_encoder": True,
            "global_encoder": {"latent_size": 64},
            "mlp_fine": {"type": "empty"},
            "stop_encoder_grad": True,
        },
        renderer={"sched": [[10, 25], [16, 32], [8, 16]], "white_bkgd": 1.0},
        loss={"rgb_fine": {"use_l1": True}, "alpha": {"lambda_alpha": 0.1}},
    )
    assert config.encoder == UNetEncoderConfig(padding="zeros")
    assert config.global_encoder == GlobalEncoderConfig(latent_size=64)
    assert config.mlp_fine is None
    assert config.freeze_encoder
    assert config.sampling.schedule == ((10, 16, 8), (25, 32, 16))
    assert config.loss == replace(LossConfig(), fine_l1=True, opacity=0.1)


def test_a_global_encoder_in_the_place_of_the_spatial_one() -> None:
    config = model_config({**MLPS, "encoder": {"type": "global", "latent_size": 32}})
    assert config.encoder == GlobalEncoderConfig(latent_size=32)


@pytest.mark.parametrize(
    ("model", "field"),
    [
        ({"use_xzy": True}, "model.use_xzy"),
        ({"type": "nerf"}, "model.type"),
        ({"mlp_coarse": {"type": "mlp"}}, "model.mlp_coarse.type"),
        ({"mlp_coarse": {"type": "empty"}}, "model.mlp_coarse.type"),
        ({"encoder": {"typ": "spatial"}}, "model.encoder.typ"),
        ({"encoder": {"type": "spherical"}}, "model.encoder.type"),
    ],
)
def test_what_is_refused(model: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigError) as error:
        model_config({**MLPS, **model})
    assert error.value.field == field


def test_an_unknown_data_format() -> None:
    with pytest.raises(ConfigError, match="cannot be used") as error:
        data_format({"data": {"format": "srm"}})
    assert "srn" in error.value.remedy
    assert data_format(DEFAULT) == "dvr"
