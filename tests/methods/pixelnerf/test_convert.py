"""Official checkpoints: sizes from keys and shapes, old buffers, differences, the way back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from maskfield.core.errors import CheckpointError
from maskfield.methods.pixelnerf.config import (
    CodeConfig,
    GlobalEncoderConfig,
    MLPConfig,
    PixelNeRFConfig,
    ResNetEncoderConfig,
    UNetEncoderConfig,
)
from maskfield.methods.pixelnerf.convert import (
    config_from_official,
    from_official,
    load_backbone_weights,
    load_official,
    load_official_weights,
    read_official,
    to_official,
    write_official,
)
from maskfield.nn.resnet2d import ResNet2D

MLP = MLPConfig(blocks=3, hidden=8, combine_layer=2)
SMALL = PixelNeRFConfig(
    encoder=ResNetEncoderConfig(backbone="resnet18", layers=2), mlp=MLP, mlp_fine=MLP
)
OTHERS = {
    "official": PixelNeRFConfig(),
    "small": SMALL,
    "custom": replace(SMALL, encoder=UNetEncoderConfig()),
    "global": replace(SMALL, global_encoder=GlobalEncoderConfig(latent_size=32)),
    "wide global": replace(
        SMALL, global_encoder=GlobalEncoderConfig(backbone="resnet18", latent_size=512)
    ),
    "spade": replace(SMALL, mlp=replace(MLP, spade=True)),
    "late": replace(SMALL, mlp=replace(MLP, combine_layer=1000)),
    "one network": replace(SMALL, mlp_fine=None),
    "coded directions": replace(SMALL, code=CodeConfig(directions=True)),
    "depth only": replace(SMALL, xyz=False, code=CodeConfig(frequencies=4, include_input=False)),
    "no code": replace(SMALL, code=None),
    "no directions": replace(SMALL, directions=False),
    "resnet34": replace(SMALL, encoder=ResNetEncoderConfig(layers=5)),
}


@pytest.mark.parametrize("config", OTHERS.values(), ids=list(OTHERS))
def test_the_config_is_read_from_the_weights(config: PixelNeRFConfig) -> None:
    with torch.device("meta"):
        weights = config.build().state_dict()
    for name in ("code._freqs", "code._phases"):
        if name in weights:  # their values are read
            assert config.code is not None
            octaves = config.code.factor * 2.0 ** torch.arange(config.code.frequencies)
            weights[name] = octaves.repeat_interleave(2)[None, :, None]
    assert config_from_official(weights) == config


def test_there_and_back(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = SMALL.build()
    path = write_official(network, tmp_path / "pixel_nerf_latest")
    again = load_official(path)
    assert again.config == SMALL
    stored = torch.load(path, weights_only=True)
    assert list(stored) == list(network.state_dict())
    for name, value in again.state_dict().items():
        assert torch.equal(value, network.state_dict()[name]), name


def test_buffers_of_old_versions_and_a_prefix_are_dropped() -> None:
    given = {
        "module.mlp_coarse.lin_in.weight": torch.zeros(1),
        "poses": torch.zeros(1, 3, 4),
        "encoder.latent": torch.zeros(1),
        "module.focal": torch.zeros(1),
    }
    assert list(from_official(given)) == ["mlp_coarse.lin_in.weight"]


def test_differences_are_listed() -> None:
    network = SMALL.build()
    weights = to_official(network.state_dict())
    del weights["mlp_fine.lin_out.bias"]
    weights["mlp_coarse.lin_out.bias"] = torch.zeros(5)
    weights["extra"] = torch.zeros(2)
    with pytest.raises(CheckpointError) as error:
        load_official_weights(network, weights, file="some_file")
    for words in ("missing     mlp_fine.lin_out.bias", "checkpoint (5,)", "unexpected  extra"):
        assert words in str(error.value)


def test_other_files(tmp_path: Path) -> None:
    torch.save({"iter": 3}, tmp_path / "_iter")
    with pytest.raises(CheckpointError, match="not an official pixelNeRF"):
        read_official(tmp_path / "_iter")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(CheckpointError):
        read_official(tmp_path / "text")
    with pytest.raises(CheckpointError):
        read_official(tmp_path / "nowhere")


def test_networks_the_official_code_cannot_build(tmp_path: Path, small: SimpleNamespace) -> None:
    with pytest.raises(CheckpointError) as error:
        write_official(small.built(), tmp_path / "out")
    assert error.value.field == "encoder"
    with pytest.raises(CheckpointError) as error:
        write_official(replace(SMALL, mlp_fine=None).build(), tmp_path / "out")
    assert error.value.field == "mlp_fine"
    assert not (tmp_path / "out").exists()


def test_imagenet_weights() -> None:
    torch.manual_seed(0)
    backbone, network = ResNet2D("resnet18"), SMALL.build()
    weights = {**backbone.state_dict(), "fc.weight": torch.zeros(1000, 512)}
    load_backbone_weights(network, weights)
    assert network.encoder is not None
    for name, value in network.encoder.model.state_dict().items():
        assert torch.equal(value, weights[name]), name
    del weights["conv1.weight"]
    with pytest.raises(CheckpointError, match=r"missing     conv1\.weight"):
        load_backbone_weights(network, weights, file="resnet18.pth")


def test_sizes_that_fit_nothing() -> None:
    with torch.device("meta"):
        weights = replace(SMALL, code=None).build().state_dict()
    weights["mlp_coarse.lin_in.weight"] = torch.zeros(8, 11)
    with pytest.raises(CheckpointError, match="no combination"):
        config_from_official(weights)
    with pytest.raises(CheckpointError, match="is missing"):
        config_from_official({"mlp_coarse.lin_in.weight": torch.zeros(8, 42)})
