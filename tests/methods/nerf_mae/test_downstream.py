from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskfield.core.errors import CheckpointError
from maskfield.methods.nerf_mae.config import NerfMAEConfig
from maskfield.methods.nerf_mae.convert_downstream import (
    downstream_from_official,
    downstream_to_official,
    load_official_downstream,
)
from maskfield.methods.nerf_mae.downstream import (
    DetectorBackbone,
    PlainSuperResolution,
    SemanticNetwork,
    SuperResolution,
    scratch,
    super_resolution_loss,
)

TINY = NerfMAEConfig(
    resolution=32, embed_dim=6, depths=(1, 1, 1, 1), heads=(1, 2, 3, 4), stochastic_depth=0.0
)


def networks(config: NerfMAEConfig) -> list[nn.Module]:
    return [
        DetectorBackbone(config, 8),
        SemanticNetwork(config, 5),
        SuperResolution(config, 1.6),
        PlainSuperResolution(config, 1.6),
    ]


@pytest.fixture
def cubes(generator: torch.Generator) -> Tensor:
    return torch.rand(1, 4, 32, 32, 32, generator=generator)


@pytest.mark.parametrize("config", [TINY, scratch(TINY)], ids=["pretrained", "scratch"])
def test_names_go_to_the_official_ones_and_back(config: NerfMAEConfig) -> None:
    for network in networks(config):
        ours = network.state_dict()
        official = downstream_to_official(ours)
        assert len(official) == len(ours)
        assert any(k.startswith("base.") for k in official) == config.positional_table
        assert list(downstream_from_official(official)) == list(ours)
        load_official_downstream(network, {f"module.{k}": v for k, v in official.items()})


def test_a_scratch_checkpoint_does_not_fit_a_pretrained_network() -> None:
    given = downstream_to_official(DetectorBackbone(scratch(TINY), 8).state_dict())
    with pytest.raises(CheckpointError, match=r"missing     encoder\.pos_embed"):
        load_official_downstream(DetectorBackbone(TINY, 8), given)


def test_scratch_backbone_takes_any_size(generator: torch.Generator) -> None:
    backbone = DetectorBackbone(scratch(TINY), 8)
    levels = backbone(torch.rand(2, 4, 28, 20, 12, generator=generator))
    assert [tuple(y.shape[2:]) for y in levels] == [(7, 5, 3), (4, 3, 2), (2, 2, 1), (1, 1, 1)]


def test_voxel_networks_answer_for_every_voxel_and_train(cubes: Tensor) -> None:
    labels = torch.randint(0, 5, (1, 32, 32, 32))
    semantic = SemanticNetwork(TINY, 5, torch.tensor([0.0, 1, 2, 3, 4]))
    logits = semantic(cubes)
    assert logits.shape == (1, 5, 32, 32, 32)
    semantic.loss(logits, labels).backward()
    unused = [n for n, p in semantic.named_parameters() if p.requires_grad and p.grad is None]
    assert unused == []


@pytest.mark.parametrize(("scale", "side"), [(1.6, 51), (2.4, 76), (2.0, 64)])
def test_super_resolution_equals_upsampling_first(cubes: Tensor, scale: float, side: int) -> None:
    network = SuperResolution(TINY, scale).eval()
    with torch.no_grad():
        found = network(cubes)
        maps = [f.permute(0, 4, 1, 2, 3) for f in network.encoder(cubes)]
        wide = F.interpolate(
            network.decoder.answer(maps, cubes), scale_factor=scale, mode="nearest"
        )
        expected = network.voxel_out(wide)
    assert found.shape == (1, 4, side, side, side)
    torch.testing.assert_close(found, expected)


def test_plain_super_resolution_regroups_its_patches(generator: torch.Generator) -> None:
    # 64: an instance norm of one voxel, at 32, has no statistics
    cubes = torch.rand(1, 4, 64, 64, 64, generator=generator)
    network = PlainSuperResolution(replace(TINY, resolution=64), 1.6).eval()
    with torch.no_grad():
        patches, grid = network.patches(cubes), network(cubes)
    p = patches.shape[1]
    assert grid.shape == (1, 4, 4 * p, 4 * p, 4 * p)
    # voxel (5, 2, 7) is offset (1, 2, 3) of patch (1, 0, 1); channels are last
    at = 4 * (16 * 1 + 4 * 2 + 3)
    torch.testing.assert_close(grid[0, :, 5, 2, 7], patches[0, 1, 0, 1, at : at + 4])


def test_loss_is_three_times_the_mse_of_occupied_voxels() -> None:
    target = torch.zeros(1, 4, 2, 2, 2)
    target[0, 3, 0, 0, 0] = 0.5
    prediction = torch.ones(1, 4, 2, 2, 2)
    assert float(super_resolution_loss(prediction, target)) == pytest.approx(3)


def test_scratch_changes_nothing_else() -> None:
    assert replace(scratch(TINY), positional_table=True) == TINY
