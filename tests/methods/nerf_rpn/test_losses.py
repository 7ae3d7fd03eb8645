from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from maskfield.methods.nerf_rpn.anchors import ANCHORS_PER_CELL
from maskfield.methods.nerf_rpn.coders.aligned import encode_aligned
from maskfield.methods.nerf_rpn.config import STRIDES, AnchorConfig, BoxLoss, FCOSConfig
from maskfield.methods.nerf_rpn.losses.anchor import anchor_losses, anchor_targets
from maskfield.methods.nerf_rpn.losses.fcos import (
    centerness_targets,
    fcos_losses,
    fcos_targets,
)
from maskfield.methods.nerf_rpn.losses.regions import region_losses
from maskfield.methods.nerf_rpn.model.outputs import AnchorOutput, FCOSOutput
from maskfield.methods.nerf_rpn.model.region_head import RegionOutput

GRID = (32, 32, 32)
CELLS = [(32 // s,) * 3 for s in STRIDES]
BOX = torch.tensor([[16.0, 14.0, 15.0, 12.0, 6.0, 8.0, 0.4]])
ALIGNED = torch.tensor([[10.0, 11.0, 11.0, 22.0, 17.0, 19.0]])
BOX_LOSSES: tuple[BoxLoss, ...] = ("iou", "linear_iou", "giou", "diou", "smooth_l1")


def fcos_outputs(width: int, fill: float = 0.0) -> list[FCOSOutput]:
    def maps(channels: int) -> list[Tensor]:
        return [torch.full((1, channels, *c), fill).requires_grad_() for c in CELLS]

    triples = zip(maps(1), maps(width), maps(1), strict=True)
    return [FCOSOutput(logits=a, regression=b, centerness=c) for a, b, c in triples]


def perfect(config: FCOSConfig, boxes: Tensor) -> list[FCOSOutput]:
    """Outputs that answer the targets exactly."""
    outputs = []
    for target, cells in zip(fcos_targets([boxes], CELLS, config), CELLS, strict=True):
        positive = target.labels.view(1, 1, *cells) > 0
        regression = target.regression.T.reshape(1, -1, *cells)
        wanted = centerness_targets(target.regression.clamp(min=1e-6)).view(1, 1, *cells)
        outputs.append(
            FCOSOutput(
                logits=torch.where(positive, 20.0, -20.0),
                regression=regression.clone().requires_grad_(),
                centerness=torch.logit(wanted, eps=1e-6),
            )
        )
    return outputs


def test_positives_lie_near_the_centre_of_the_box_on_one_level() -> None:
    targets = fcos_targets([BOX], CELLS, FCOSConfig())
    positive = [int(t.labels.sum()) for t in targets]
    assert positive[0] > 0
    assert positive[1:] == [0, 0, 0]  # the largest distance is below 16 voxels
    anywhere = fcos_targets([BOX], CELLS, FCOSConfig(radius=0.0))
    assert int(anywhere[0].labels.sum()) > positive[0]


def test_of_two_boxes_the_smaller_owns_a_location() -> None:
    inner = torch.tensor([[12.0, 12.0, 12.0, 20.0, 16.0, 18.0]])
    config = FCOSConfig(rotated=False, radius=0.0, norm_targets=False)
    both = fcos_targets([torch.cat([ALIGNED, inner])], CELLS, config)[0]
    alone = fcos_targets([inner], CELLS, config)[0]
    mine = alone.labels > 0
    assert torch.equal(both.regression[mine], alone.regression[mine])


@pytest.mark.parametrize("kind", BOX_LOSSES)
def test_a_perfect_answer_has_no_regression_loss(kind: BoxLoss) -> None:
    config = FCOSConfig(box_loss=kind, additional_l1=True, projection_weight=0.5)
    losses = fcos_losses(perfect(config, BOX), [BOX], config)
    assert abs(float(losses["loss_reg"].detach())) < 1e-3
    assert float(losses["loss_cls"]) < 1e-3


@pytest.mark.parametrize("boxes", [BOX[:0], BOX[:0].double()])
def test_an_empty_scene_has_losses_with_a_graph(boxes: Tensor) -> None:
    outputs = fcos_outputs(8)
    losses = fcos_losses(outputs, [boxes], FCOSConfig())
    torch.stack([v.float() for v in losses.values()]).sum().backward()
    assert losses["loss_reg"] == losses["loss_centerness"] == 0
    assert losses["loss_cls"] > 0
    assert outputs[0].regression.grad is not None


def test_locations_beyond_the_scene_take_no_part() -> None:
    inside = fcos_losses(
        fcos_outputs(8, 0.1), [BOX], FCOSConfig(), sizes=torch.tensor([[32, 32, 32]])
    )
    smaller = fcos_losses(
        fcos_outputs(8, 0.1), [BOX], FCOSConfig(), sizes=torch.tensor([[24, 32, 32]])
    )
    assert smaller["loss_cls"] < inside["loss_cls"]


def anchor_outputs(width: int) -> list[AnchorOutput]:
    n = ANCHORS_PER_CELL
    return [
        AnchorOutput(
            logits=torch.zeros(1, n, *c).requires_grad_(),
            deltas=torch.zeros(1, n * width, *c).requires_grad_(),
        )
        for c in CELLS
    ]


@pytest.mark.parametrize("kind", BOX_LOSSES)
def test_anchor_losses_reach_both_outputs(kind: BoxLoss, generator: torch.Generator) -> None:
    config = AnchorConfig(samples=32, box_loss=kind, projection_weight=0.1)
    targets = anchor_targets([BOX], GRID, CELLS, torch.tensor([GRID]), config)
    sample = targets.sample(config, lambda n: torch.randperm(n, generator=generator))
    outputs = anchor_outputs(8)
    losses = anchor_losses(outputs, targets, sample, config, 32.0)
    assert set(losses) == {"loss_objectness", "loss_rpn_box_reg", "loss_rpn_box_reg_2d"}
    torch.stack(list(losses.values())).sum().backward()
    grads = [g for o in outputs for g in (o.logits.grad, o.deltas.grad)]
    assert all(g is not None and torch.isfinite(g).all() for g in grads)
    assert any(g.abs().sum() > 0 for g in grads[1::2])


def test_anchor_losses_without_a_box_are_finite() -> None:
    config = AnchorConfig(samples=32, rotated=False, projection_weight=0.1)
    targets = anchor_targets([ALIGNED[:0]], GRID, CELLS, torch.tensor([GRID]), config)
    sample = targets.sample(config, torch.arange)
    losses = anchor_losses(anchor_outputs(6), targets, sample, config, 32.0)
    assert (targets.labels == 0).all()
    assert losses["loss_rpn_box_reg"] == 0
    assert losses["loss_rpn_box_reg_2d"] == 0
    torch.testing.assert_close(losses["loss_objectness"], torch.tensor(2.0).log())


def test_anchors_of_padding_are_ignored() -> None:
    config = replace(AnchorConfig(), rotated=False)
    targets = anchor_targets([ALIGNED], GRID, CELLS, torch.tensor([[16, 32, 32]]), config)
    assert (targets.labels[~targets.valid] == -1).all()
    assert (targets.labels == 1).any()


def test_region_losses_of_a_perfect_answer() -> None:
    boxes = torch.cat([ALIGNED, ALIGNED + 3])
    regions = boxes + torch.tensor([1.0, 0, 1, 0, 2, 0])
    outputs = RegionOutput(
        boxes=regions,
        logits=torch.tensor([[-20.0, 20.0], [20.0, -20.0]]),
        deltas=encode_aligned(boxes, regions),
    )
    losses = region_losses(outputs, torch.tensor([1, 0]), boxes)
    assert float(losses["loss_objectness"]) < 1e-6
    assert float(losses["loss_rpn_box_reg"]) < 1e-6
    torch.testing.assert_close(outputs.refined(), boxes)
