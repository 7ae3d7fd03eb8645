"""Official pixelNeRF files through ``maskfield convert`` and as recipes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from maskfield import api
from maskfield.core.config import from_dict, save_config
from maskfield.core.errors import CheckpointError
from maskfield.data.object_config import ObjectDataConfig
from maskfield.engine.checkpoint import load_weights
from maskfield.engine.config import RunConfig
from maskfield.methods.pixelnerf.config import MLPConfig, PixelNeRFConfig, ResNetEncoderConfig
from maskfield.methods.pixelnerf.convert import to_official
from maskfield.nn.resnet2d import ResNet2D
from maskfield.verbs.pretrain import recipe_config

MLP = MLPConfig(blocks=3, hidden=8, combine_layer=2)
SMALL = PixelNeRFConfig(
    encoder=ResNetEncoderConfig(backbone="resnet18", layers=2), mlp=MLP, mlp_fine=MLP
)


@pytest.fixture
def official(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "pixel_nerf_latest"
    torch.save(to_official(SMALL.build().state_dict()), path)
    return path


def test_there_and_back(official: Path, tmp_path: Path) -> None:
    line = api.convert(official, tmp_path / "ours.safetensors")
    assert "pixelNeRF, resnet encoder, 3 blocks of 8" in line
    _, header = load_weights(tmp_path / "ours.safetensors")
    config = from_dict(RunConfig, header["config"])
    assert config.method == SMALL
    assert config.data.official_centres
    (tmp_path / "back").mkdir()
    api.convert(tmp_path / "ours.safetensors", tmp_path / "back" / "pixel_nerf_latest")
    again = torch.load(tmp_path / "back" / "pixel_nerf_latest", weights_only=True)
    given = torch.load(official, weights_only=True)
    assert list(again) == list(given)
    assert all(torch.equal(again[k], given[k]) for k in given)


def test_another_recipe_is_refused_with_a_difference(official: Path, tmp_path: Path) -> None:
    other = replace(SMALL, mlp=replace(MLP, hidden=16))
    run = RunConfig(method=other, data=ObjectDataConfig())
    save_config(run, tmp_path / "other.yaml")
    with pytest.raises(CheckpointError, match="shape       mlp_coarse"):
        api.convert(official, tmp_path / "ours.safetensors", recipe=str(tmp_path / "other.yaml"))


def test_imagenet_weights_begin_a_network(tmp_path: Path) -> None:
    torch.manual_seed(0)
    backbone = ResNet2D("resnet18").state_dict()
    torch.save({**backbone, "fc.weight": torch.zeros(1000, 512)}, tmp_path / "resnet18.pth")
    out = tmp_path / "ours.safetensors"
    with pytest.raises(CheckpointError, match="one part"):
        api.convert(tmp_path / "resnet18.pth", out)
    save_config(RunConfig(method=SMALL, data=ObjectDataConfig()), tmp_path / "small.yaml")
    api.convert(tmp_path / "resnet18.pth", out, recipe=str(tmp_path / "small.yaml"))
    weights, _ = load_weights(out)
    assert torch.equal(weights["encoder.model.conv1.weight"], backbone["conv1.weight"])


def test_an_official_configuration_file_is_a_recipe(tmp_path: Path) -> None:
    (tmp_path / "mine.conf").write_text(
        "model {\n use_xyz = True\n mlp_coarse { type = resnet, d_hidden = 64 }\n"
        " mlp_fine { type = resnet }\n}\nrenderer { n_coarse = 7 }\ndata { format = dvr_dtu }\n"
    )
    config = recipe_config(str(tmp_path / "mine.conf"))
    assert config.method.mlp.hidden == 64
    assert config.method.sampling.coarse == 7
    assert config.data.format == "dvr_dtu"
    assert config.name == "mine"
