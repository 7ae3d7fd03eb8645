from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from maskfield.core.errors import CheckpointError
from maskfield.methods.nerf_rpn.config import (
    BACKBONES,
    AnchorConfig,
    FCOSConfig,
    NerfRPNConfig,
    ObjectnessConfig,
    ResNetConfig,
    SwinConfig,
    VGGConfig,
)
from maskfield.methods.nerf_rpn.convert import (
    OfficialDetector,
    backbone_from_official,
    backbone_to_official,
    config_from_official,
    head_from_official,
    head_to_official,
    load_official,
    load_official_weights,
    read_official,
    write_official,
)
from maskfield.methods.nerf_rpn.model.region_head import RegionHead

SWIN = SwinConfig(embed_dim=8, depths=(1, 2, 1, 1), heads=(1, 2, 2, 4))
CONFIGS = [
    NerfRPNConfig(backbone=SWIN, head=FCOSConfig(convs=2), channels=32),
    NerfRPNConfig(
        backbone=replace(SWIN, embed_dim=12, table_resolution=32),
        head=FCOSConfig(convs=1),
        channels=32,
        resolution=32,
    ),
    NerfRPNConfig(
        backbone=VGGConfig(variant="AF", width=4), head=AnchorConfig(convs=1), channels=8
    ),
    NerfRPNConfig(
        backbone=VGGConfig(variant="DF", width=2, input_size=64, start_width=3),
        head=AnchorConfig(convs=2, rotated=False),
        channels=8,
    ),
    NerfRPNConfig(
        backbone=ResNetConfig(depths=(1, 2, 1, 1), width=4),
        head=FCOSConfig(convs=1, rotated=False),
        channels=32,
    ),
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: f"{c.backbone.kind}-{c.head.kind}")
def test_a_written_checkpoint_is_read_back_with_its_config(
    config: NerfRPNConfig, tmp_path: Path
) -> None:
    detector = config.build()
    path = write_official(detector, tmp_path / "model_best.pt", epoch=7)
    again = load_official(path)
    if isinstance(config.backbone, VGGConfig):  # which sizes below 160 is not in the weights
        assert again.config.backbone == config.backbone
    assert again.config == config
    assert read_official(path).epoch == 7
    for ours, theirs in zip(detector.state_dict().items(), again.state_dict().items(), strict=True):
        assert ours[0] == theirs[0]
        assert torch.equal(ours[1], theirs[1])


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: f"{c.backbone.kind}-{c.head.kind}")
def test_names_go_to_the_official_ones_and_back(config: NerfRPNConfig) -> None:
    detector = config.build()
    state, kind = detector.backbone.state_dict(), config.head.kind
    official = backbone_to_official(state)
    with_ddp = {f"module.{k}": v for k, v in official.items()}
    assert list(backbone_from_official(with_ddp)) == list(state)
    head = detector.head.state_dict()
    assert list(head_from_official(head_to_official(head, kind), kind)) == list(head)


def test_a_pretrained_backbone_keeps_the_official_prefix() -> None:
    official = backbone_to_official(CONFIGS[1].build().backbone.state_dict())
    assert "base.pos_embed" in official
    assert "fpn_neck.fpn_convs.0.weight" in official


def test_names_of_the_second_stage() -> None:
    state = RegionHead(ObjectnessConfig(channels=4)).state_dict()
    official = head_to_official(state, "objectness")
    assert {"layer.0.weight", "RCNN_bbox_pred.weight", "RCNN_cls_score.bias"} <= set(official)
    assert list(head_from_official(official, "objectness")) == list(state)


def test_a_checkpoint_of_another_head_is_refused(tmp_path: Path) -> None:
    path = write_official(CONFIGS[2].build(), tmp_path / "anchor.pt")
    with pytest.raises(CheckpointError, match="another kind of head"):
        load_official_weights(CONFIGS[0].build(), read_official(path), file=path)


def test_a_checkpoint_of_another_size_lists_the_difference(tmp_path: Path) -> None:
    path = write_official(CONFIGS[0].build(), tmp_path / "swin.pt")
    other = replace(CONFIGS[0], backbone=replace(SWIN, depths=(1, 1, 1, 1)))
    with pytest.raises(CheckpointError, match=r"unexpected  encoder\.stages\.1\.2"):
        load_official_weights(other.build(), read_official(path), file=path)


@pytest.mark.parametrize("content", [{"epoch": 1, "state_dict": {}}, [1, 2]])
def test_other_files_are_refused(content: object, tmp_path: Path) -> None:
    path = tmp_path / "mae.pt"
    torch.save(content, path)
    with pytest.raises(CheckpointError, match="not an official NeRF-RPN checkpoint"):
        read_official(path)


def test_missing_and_damaged_files(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="not found"):
        read_official(tmp_path / "none.pt")
    damaged = tmp_path / "damaged.pt"
    damaged.write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(CheckpointError, match="cannot read"):
        read_official(damaged)


def test_an_unknown_backbone_names_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "odd.pt"
    head = head_to_official(CONFIGS[0].build().head.state_dict(), "fcos")
    torch.save({"backbone_state_dict": {"x": torch.zeros(1)}, "fcos_state_dict": head}, path)
    with pytest.raises(CheckpointError, match="not a detector this package knows"):
        load_official(path)


def _released() -> dict[str, NerfRPNConfig]:
    """The sizes official programs train; the last is the form of front3d_obb_finetuned.pt."""
    swin = BACKBONES["swin_s"]
    assert isinstance(swin, SwinConfig)
    anchors = NerfRPNConfig(backbone=BACKBONES["vgg_EF"], head=AnchorConfig())
    table = NerfRPNConfig(backbone=replace(swin, table_resolution=160), resolution=160)
    plain = {name: NerfRPNConfig(backbone=size) for name, size in BACKBONES.items()}
    return {**plain, "vgg_EF anchors": anchors, "nerf_mae": table}


@pytest.mark.parametrize("name", sorted(_released()))
def test_full_sizes_are_read_from_their_shapes(name: str) -> None:
    config = _released()[name]
    with torch.device("meta"):
        detector = config.build()
    official = OfficialDetector(
        head_kind=config.head.kind,
        head=head_to_official(detector.head.state_dict(), config.head.kind),
        backbone=backbone_to_official(detector.backbone.state_dict()),
    )
    assert config_from_official(official) == config
