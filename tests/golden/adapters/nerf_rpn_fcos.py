"""nerf_rpn: targets, losses and proposals of the anchor-free head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from golden.adapters.nerf_rpn_networks import fcos_outputs, official_fcos
from golden.by_name import ByName
from golden.case import Case
from golden.registry import golden
from maskfield.methods.nerf_rpn.batches import GridBatch
from maskfield.methods.nerf_rpn.config import BoxLoss, FCOSConfig
from maskfield.methods.nerf_rpn.locations import level_locations, level_validity
from maskfield.methods.nerf_rpn.losses.fcos import centerness_targets, fcos_losses, fcos_targets
from maskfield.methods.nerf_rpn.model.fcos_proposals import fcos_candidates, suppressed
from maskfield.methods.nerf_rpn.model.outputs import FCOSOutput, Proposals, cells_of, rows_of

LOSSES = r"(smooth_l1|iou|linear_iou|giou|diou)(_addl1)?(?:_proj2d([\d.]+))?"


def head_config(config: Mapping[str, Any]) -> FCOSConfig:
    """The head in official words."""
    return FCOSConfig(
        rotated=config["rotated_bbox"],
        convs=config["num_convs"],
        norm_targets=config["norm_reg_targets"],
        centerness_on_reg=config["centerness_on_reg"],
        radius=config["center_sampling_radius"],
        box_loss=config["iou_loss_type"],
        additional_l1=config["use_additional_l1_loss"],
        projection_weight=config["proj2d_loss_weight"],
        pre_nms_score=config["pre_nms_thresh"],
        pre_nms_count=config["pre_nms_top_n"],
        nms_threshold=config["nms_thresh"],
        post_nms_count=config["fpn_post_nms_top_n"],
        min_size=config["min_size"],
    )


def numbered(inputs: Mapping[str, Tensor], stem: str) -> list[Tensor]:
    """``stem_0``, ``stem_1``, ... as a list."""
    count = sum(k.startswith(f"{stem}_") and k[len(stem) + 1 :].isdigit() for k in inputs)
    return [inputs[f"{stem}_{i}"] for i in range(count)]


def batch_of(case: Case) -> GridBatch:
    """Sizes of a case that gives feature maps instead of grids."""
    sizes = case.inputs["original_sizes"]
    empty = torch.zeros(len(sizes), 0, *case.config["padded_grid"])
    masked = case.config.get("padding_masks_used", len(sizes) > 1)
    return GridBatch(grids=empty, sizes=sizes, masked=masked)


@golden("nerf_rpn/fcos_infer")
@torch.no_grad()
def fcos_infer(case: Case) -> dict[str, Tensor]:
    config = head_config(case.config["config"])
    head = official_fcos(case, config, case.config["in_channels"])
    maps, batch = numbered(case.inputs, "feature"), batch_of(case)
    outputs = head(maps)
    candidates = fcos_candidates(outputs, head.in_voxels(outputs), batch, config)
    answer = fcos_outputs(head, maps)
    answer.update({f"bbox_reg_train_{i}": out.regression for i, out in enumerate(outputs)})
    for i, found in enumerate(candidates):
        ordered = found[found.scores.argsort(descending=True, stable=True)]
        answer[f"pre_nms_boxes_{i}"] = ordered.boxes
        answer[f"pre_nms_scores_{i}"] = ordered.scores
        answer.update(proposals(suppressed(found, config), i))
    return answer


def proposals(found: Proposals, scene: int) -> dict[str, Tensor]:
    """Rows (level, box) and scores of one scene."""
    rows = torch.cat([found.levels[:, None].to(found.boxes), found.boxes], dim=1)
    return {f"boxes_{scene}": rows, f"scores_{scene}": found.scores}


@golden("nerf_rpn/fcos_loss")
def fcos_loss(case: Case) -> Mapping[str, Any]:
    c = case.config
    config = FCOSConfig(
        rotated=c["obb"], radius=c["center_sampling_radius"], norm_targets=c["norm_reg_targets"]
    )
    outputs = given_outputs(case)
    cells = cells_of([out.logits for out in outputs])
    boxes, batch = numbered(case.inputs, "target"), batch_of(case)
    targets = fcos_targets(boxes, cells, config)
    positive = torch.cat([t.labels for t in targets]) > 0
    wanted = torch.cat([t.regression for t in targets])[positive]
    valid = level_validity(level_locations(cells), batch.sizes)
    runs = LossRuns(case, config, positive)
    return ByName(
        {
            **{f"labels_{i}": t.labels.to(torch.int8) for i, t in enumerate(targets)},
            "num_positive_before_mask": positive.sum(),
            "reg_targets_positive": wanted,
            "centerness_targets_positive": centerness_targets(wanted),
            "valid_mask": torch.cat([v.flatten() for v in valid]),
        },
        {
            rf"{LOSSES}_(loss_\w+)": lambda *a: runs.of(*a[:3])[a[3]],
            rf"{LOSSES}_(grad_reg_\w+)": lambda *a: runs.of(*a[:3])[a[3]],
            r"(grad_(?:cls|ctr)_\d+)": lambda name: runs.of("iou", None, None)[name],
        },
    )


def given_outputs(case: Case) -> list[FCOSOutput]:
    """Head outputs of the case, as leaves of a graph."""
    maps = [
        [m.clone().requires_grad_() for m in numbered(case.inputs, stem)]
        for stem in ("cls", "reg", "ctr")
    ]
    return [
        FCOSOutput(logits=cls, regression=reg, centerness=ctr)
        for cls, reg, ctr in zip(*maps, strict=True)
    ]


class LossRuns:
    """Losses and gradients of a case by kind of regression loss, each computed once."""

    def __init__(self, case: Case, config: FCOSConfig, positive: Tensor) -> None:
        self.case, self.config, self.positive = case, config, positive
        self.done: dict[tuple[str | None, ...], dict[str, Tensor]] = {}

    def of(self, kind: BoxLoss, l1: str | None, projection: str | None) -> dict[str, Tensor]:
        """Losses, and gradients of their sum."""
        key = (kind, l1, projection)
        if key not in self.done:
            self.done[key] = self._run(
                replace(
                    self.config,
                    box_loss=kind,
                    additional_l1=l1 is not None,
                    projection_weight=float(projection or 0),
                )
            )
        return self.done[key]

    def _run(self, config: FCOSConfig) -> dict[str, Tensor]:
        outputs, batch = given_outputs(self.case), batch_of(self.case)
        boxes = numbered(self.case.inputs, "target")
        losses = fcos_losses(outputs, boxes, config, batch.sizes if batch.masked else None)
        torch.stack([v.float() for v in losses.values()]).sum().backward()
        rows = torch.cat([_gradient(o.regression) for o in outputs])
        answer: dict[str, Any] = {
            "grad_reg_positive": rows[self.positive],
            "grad_reg_abs_sum_elsewhere": rows[~self.positive].abs().sum(),
        }
        for i, out in enumerate(outputs):
            answer[f"grad_cls_{i}"], answer[f"grad_ctr_{i}"] = out.logits.grad, out.centerness.grad
        return {**answer, **losses}


def _gradient(maps: Tensor) -> Tensor:
    grad = torch.zeros_like(maps) if maps.grad is None else maps.grad
    return rows_of(grad, maps.shape[1]).flatten(0, 1)
