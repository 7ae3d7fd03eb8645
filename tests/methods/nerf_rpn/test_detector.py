from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from maskfield.core.config import from_dict, to_dict
from maskfield.core.errors import ConfigError, GridError
from maskfield.methods.nerf_rpn.batches import GridBatch, pad_grids
from maskfield.methods.nerf_rpn.config import (
    BACKBONES,
    AnchorConfig,
    FCOSConfig,
    NerfRPNConfig,
    ResNetConfig,
    SwinConfig,
    VGGConfig,
)
from maskfield.methods.nerf_rpn.model.anchor_proposals import anchor_proposals
from maskfield.methods.nerf_rpn.model.detector import Detector
from maskfield.methods.nerf_rpn.model.outputs import AnchorOutput

SWIN = SwinConfig(embed_dim=8, depths=(1, 1, 1, 1), heads=(1, 2, 2, 2), stochastic_depth=0.1)
SMALL = [SWIN, VGGConfig(variant="AF", width=4), ResNetConfig(depths=(1, 1, 1, 1), width=4)]
HEADS = [
    FCOSConfig(convs=1),
    FCOSConfig(convs=1, rotated=False),
    AnchorConfig(convs=1),
    AnchorConfig(convs=1, rotated=False),
]
BOX = torch.tensor([[12.0, 12.0, 10.0, 10.0, 6.0, 8.0, 0.3]])
ALIGNED = torch.tensor([[7.0, 9.0, 6.0, 17.0, 15.0, 14.0]])


def detector(backbone=SWIN, head=HEADS[0], **changes) -> Detector:
    torch.manual_seed(0)
    return NerfRPNConfig(backbone=backbone, head=head, channels=32, **changes).build()


@pytest.fixture
def grids(generator: torch.Generator) -> list[Tensor]:
    return [torch.rand(4, *s, generator=generator) for s in ((24, 20, 28), (32, 24, 16))]


@pytest.mark.parametrize("backbone", SMALL, ids=lambda c: c.kind)
def test_backbones_put_out_four_levels(backbone, grids: list[Tensor]) -> None:
    found = detector(backbone).eval().backbone(pad_grids(grids).grids)
    assert [tuple(m.shape) for m in found] == [
        (2, 32, 8, 6, 7),
        (2, 32, 4, 3, 4),
        (2, 32, 2, 2, 2),
        (2, 32, 1, 1, 1),
    ]


@pytest.mark.parametrize("head", HEADS, ids=lambda c: f"{c.kind}-{c.rotated}")
def test_proposals_are_sorted_boxes_of_their_scene(head, grids: list[Tensor]) -> None:
    with torch.no_grad():
        found = detector(head=replace(head, pre_nms_count=40, post_nms_count=20)).eval()(grids)
    assert len(found) == 2
    for scene in found:
        assert scene.boxes.shape[1] == (7 if head.rotated else 6)
        assert 0 < len(scene) <= 20
        assert (scene.scores.diff() <= 0).all()
        assert torch.isfinite(scene.boxes).all()
        assert ((scene.levels >= 0) & (scene.levels < 4)).all()


@pytest.mark.parametrize("head", HEADS, ids=lambda c: f"{c.kind}-{c.rotated}")
def test_training_lowers_the_loss(head, grids: list[Tensor]) -> None:
    network = detector(head=head).train()
    boxes = [BOX if head.rotated else ALIGNED] * 2
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
    history = []
    for _ in range(6):
        losses = network.losses(grids, boxes, torch.Generator().manual_seed(0))
        total = torch.stack(list(losses.values())).sum()
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        history.append(float(total.detach()))
    assert history[-1] < 0.9 * history[0]


def test_stochastic_depth_follows_the_generator(grids: list[Tensor]) -> None:
    network = detector(replace(SWIN, stochastic_depth=0.6)).train()
    x = pad_grids(grids).grids

    def top(seed: int | None) -> Tensor:
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        return network.backbone(x, generator)[0].detach()

    assert torch.equal(top(1), top(1))
    assert not torch.equal(top(None), top(1))


def test_a_cube_detector_pads_and_masks_a_single_grid(grids: list[Tensor]) -> None:
    batch = detector(resolution=32).batch(grids[:1])
    assert batch.shape == (32, 32, 32)
    assert batch.masked
    assert not pad_grids(grids[:1]).masked
    assert torch.equal(batch.grids[0, :, :24, :20, :28], grids[0])
    assert batch.grids[0, :, 24:].abs().sum() == 0


def test_a_grid_larger_than_the_cube_is_an_error(grids: list[Tensor]) -> None:
    with pytest.raises(GridError, match="larger than the cube"):
        pad_grids(grids, 24)


def test_a_config_goes_to_plain_data_and_back() -> None:
    for backbone in BACKBONES.values():
        for head in HEADS:
            config = NerfRPNConfig(backbone=backbone, head=head)
            assert from_dict(NerfRPNConfig, to_dict(config)) == config


@pytest.mark.parametrize(
    "build",
    [
        lambda: FCOSConfig(norm_targets=False),
        lambda: FCOSConfig(rotated=False, box_loss="diou"),
        lambda: AnchorConfig(rotated=False, box_loss="iou"),
        lambda: SwinConfig(embed_dim=128),
    ],
)
def test_impossible_configs_are_refused(build) -> None:
    with pytest.raises(ConfigError):
        build()


def one_anchor_outputs() -> tuple[list[AnchorOutput], GridBatch]:
    """Two good anchors at the low corner, whose boxes reach outside; the rest is poor."""
    cells = [(4, 4, 4), (2, 2, 2), (1, 1, 1), (1, 1, 1)]
    outputs = [
        AnchorOutput(logits=torch.full((1, 13, *c), -9.0), deltas=torch.zeros(1, 104, *c))
        for c in cells
    ]
    outputs[0].logits[0, 0, 0, 0, 0] = 3.0
    outputs[0].deltas[0, 0, 0, 0, 0] = -0.5  # its centre leaves the grid
    outputs[0].logits[0, 0, 2, 2, 2] = 2.0
    batch = GridBatch(
        grids=torch.zeros(1, 0, 16, 16, 16), sizes=torch.tensor([[16, 16, 16]]), masked=False
    )
    return outputs, batch


def test_scores_stay_with_their_boxes_unless_official() -> None:
    outputs, batch = one_anchor_outputs()
    ours = anchor_proposals(outputs, batch, AnchorConfig(pre_nms_count=5))[0]
    official = anchor_proposals(outputs, batch, AnchorConfig(pre_nms_count=5, compat="official"))[0]
    torch.testing.assert_close(ours.scores[0], torch.tensor(2.0).sigmoid())
    torch.testing.assert_close(official.scores[0], torch.tensor(3.0).sigmoid())
    assert torch.equal(ours.boxes[0], official.boxes[0])


def test_padded_anchors_are_left_out_unless_official() -> None:
    outputs, batch = one_anchor_outputs()
    batch = replace(batch, sizes=torch.tensor([[4, 4, 4]]), masked=True)
    ours = anchor_proposals(outputs, batch, AnchorConfig())[0]
    official = anchor_proposals(outputs, batch, AnchorConfig(compat="official"))[0]
    assert (ours.scores > 0).all()
    assert (official.scores == 0).any()


@pytest.mark.parametrize(
    "head", [FCOSConfig(convs=1, pre_nms_score=1.0), AnchorConfig(convs=1, score_threshold=1.1)]
)
@pytest.mark.parametrize("rotated", [True, False])
def test_nothing_found_is_an_empty_answer(head, rotated: bool, grids: list[Tensor]) -> None:
    network = detector(head=replace(head, rotated=rotated, pre_nms_count=30)).eval()
    with torch.no_grad():
        found = network(grids)
    assert [len(scene) for scene in found] == [0, 0]
    assert found[0].boxes.shape == (0, 7 if rotated else 6)


def test_normalised_maps_do_not_drown_each_other() -> None:
    """A pre-trained encoder's maps differ in size; normalised ones reach the pyramid alike."""
    from maskfield.methods.nerf_rpn.config import SwinConfig
    from maskfield.methods.nerf_rpn.model.backbones import build_backbone

    swin = SwinConfig(embed_dim=12, depths=(1, 1, 1, 1), heads=(1, 1, 2, 2), norm_outputs=True)
    backbone = build_backbone(swin, 8)
    maps = backbone.encode(torch.rand(1, 4, 32, 32, 32))
    for level in maps:
        spread = level.detach().std(dim=1, unbiased=False)
        assert float(spread.mean()) == pytest.approx(1.0, abs=0.01)
