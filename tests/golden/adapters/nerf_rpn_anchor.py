"""nerf_rpn: targets, losses and proposals of the anchor-based head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from golden.adapters.nerf_rpn_fcos import batch_of, numbered
from golden.by_name import ByName
from golden.case import Case
from golden.comparators import ALIGN, Outputs
from golden.registry import golden
from golden.words import find
from maskfield.engine.strict import load_strictly
from maskfield.methods.nerf_rpn.coders.aligned import decode_aligned, encode_aligned
from maskfield.methods.nerf_rpn.coders.midpoint import decode_midpoint, encode_midpoint
from maskfield.methods.nerf_rpn.config import AnchorConfig, BoxLoss
from maskfield.methods.nerf_rpn.convert import head_from_official
from maskfield.methods.nerf_rpn.losses.anchor import (
    AnchorTargets,
    Sample,
    anchor_losses,
    anchor_targets,
    flat_rows,
)
from maskfield.methods.nerf_rpn.matching import permutation_from
from maskfield.methods.nerf_rpn.model.anchor_head import AnchorHead
from maskfield.methods.nerf_rpn.model.outputs import AnchorOutput, Proposals, cells_of

LOSSES = r"(smooth_l1|iou|linear_iou|giou|diou)"
SAMPLED = ("sampled_pos", "sampled_neg")


@golden("nerf_rpn/rpn_infer")
@torch.no_grad()
def rpn_infer(case: Case) -> dict[str, Tensor]:
    c = case.config["config"]
    config = AnchorConfig(
        rotated=case.config["obb"],
        convs=c["conv_depth"],
        pre_nms_count=c["pre_nms_top_n"],
        post_nms_count=c["post_nms_top_n"],
        nms_threshold=c["nms_thresh"],
        score_threshold=c["score_thresh"],
        compat="official",
    )
    head = AnchorHead(config, c["in_channels"])
    load_strictly(head, head_from_official(case.weights, "anchor"), part="head")
    outputs = head(numbered(case.inputs, "feature"))
    answer = {f"objectness_{i}": out.logits for i, out in enumerate(outputs)}
    answer.update({f"deltas_{i}": out.deltas for i, out in enumerate(outputs)})
    for i, found in enumerate(head.proposals(outputs, batch_of(case))):
        answer.update(proposals(found, i))
    return answer


def proposals(found: Proposals, scene: int) -> dict[str, Tensor]:
    """Boxes, scores and levels (as float) of one scene."""
    return {
        f"boxes_{scene}": found.boxes,
        f"scores_{scene}": found.scores,
        f"levels_{scene}": found.levels.float(),
    }


@golden("nerf_rpn/rpn_loss")
def rpn_loss(case: Case) -> Mapping[str, Any]:
    """With anchors sampled here; the aligner repeats it with those given among the outputs."""
    targets, config = targets_of(case)
    generator = torch.Generator().manual_seed(0)
    return losses_with(case, targets.sample(config, permutation_from(generator)))


def targets_of(case: Case) -> tuple[AnchorTargets, AnchorConfig]:
    """Targets of the case's ground truth, and its head."""
    c = case.config["config"]
    config = AnchorConfig(
        rotated=case.config["obb"],
        foreground_iou=c["fg_iou"],
        background_iou=c["bg_iou"],
        samples=c["batch_size_per_mesh"],
        positive_fraction=c["positive_fraction"],
    )
    x, y, z = case.config["padded_grid"]
    cells = cells_of(numbered(case.inputs, "objectness"))
    boxes = numbered(case.inputs, "target")
    sizes = case.inputs["original_sizes"]
    return anchor_targets(boxes, (x, y, z), cells, sizes, config), config


def losses_with(case: Case, sample: Sample) -> ByName:
    """Targets, losses and gradients for the anchors that take part."""
    targets, config = targets_of(case)
    words = r"loss_objectness \+ ([\d.]+)\*loss_rpn_box_reg \+ ([\d.]*\d)\*loss_rpn_box_reg_2d"
    box, projection = (float(n) for n in find(case.config, "weights", words).groups())
    config = replace(config, box_weight=box, projection_weight=projection)
    positive = sample[0]
    anchors = targets.anchors_of(positive)
    matched = targets.matched.flatten(0, 1)[positive]
    deltas = flat_rows(given_outputs(case), config)[1][positive]
    encode = encode_midpoint if config.rotated else encode_aligned
    decode = decode_midpoint if config.rotated else decode_aligned
    runs: dict[str, dict[str, Any]] = {}

    def run(kind: BoxLoss) -> dict[str, Any]:
        if kind not in runs:
            runs[kind] = _run(case, targets, sample, replace(config, box_loss=kind))
        return runs[kind]

    return ByName(
        {
            "sampled_pos": positive,
            "sampled_neg": sample[1],
            "labels": targets.labels.to(torch.int8),
            "padding_mask": targets.valid,
            "anchors_pos": anchors,
            "matched_gt_pos": matched,
            "regression_targets_pos": encode(matched, anchors),
            "decoded_pos": decode(deltas, anchors).detach(),
        },
        {
            rf"{LOSSES}_(loss_\w+|grad_deltas_pos)": lambda kind, name: run(kind)[name],
            r"(grad_objectness_sampled)": lambda name: run("smooth_l1")[name],
        },
    )


def given_outputs(case: Case) -> list[AnchorOutput]:
    """Head outputs of the case, as leaves of a graph."""
    logits, deltas = (
        [m.clone().requires_grad_() for m in numbered(case.inputs, stem)]
        for stem in ("objectness", "deltas")
    )
    return [AnchorOutput(logits=a, deltas=b) for a, b in zip(logits, deltas, strict=True)]


def _run(
    case: Case, targets: AnchorTargets, sample: Sample, config: AnchorConfig
) -> dict[str, Any]:
    outputs = given_outputs(case)
    parts = anchor_losses(outputs, targets, sample, config, case.config["max_mesh_dim"])
    head = AnchorHead(config, 1)
    torch.stack([head.weight(name) * part for name, part in parts.items()]).sum().backward()
    grads = [AnchorOutput(logits=_grad(o.logits), deltas=_grad(o.deltas)) for o in outputs]
    logits, deltas = flat_rows(grads, config)
    return {
        **{name: part.detach() for name, part in parts.items()},
        "grad_deltas_pos": deltas[sample[0]],
        "grad_objectness_sampled": logits[torch.cat(sample)],
    }


def _grad(maps: Tensor) -> Tensor:
    return torch.zeros_like(maps) if maps.grad is None else maps.grad


def with_given_sample(case: Case, stored: Outputs, found: Outputs) -> Outputs:
    """ "sampled_pos / sampled_neg are the sampled flat indices (the only randomness)".

    Refused unless they are a sample our own targets allow, of the size our own sampler draws.
    """
    targets, _ = targets_of(case)
    labels = targets.labels.flatten()
    positive, negative = (stored[name] for name in SAMPLED)
    allowed = (labels[positive] == 1).all() and (labels[negative] == 0).all()
    if not allowed or any(stored[name].shape != found[name].shape for name in SAMPLED):
        return found
    answer = losses_with(case, (positive, negative))
    return {name: answer[name] for name in stored}


ALIGN["nerf_rpn/rpn_loss"] = with_given_sample
