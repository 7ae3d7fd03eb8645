"""nerf_rpn: whole detectors, and the second stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from golden.adapters import nerf_rpn_anchor, nerf_rpn_fcos
from golden.adapters.nerf_rpn_fcos import numbered
from golden.adapters.nerf_rpn_networks import small_backbone
from golden.case import Case
from golden.comparators import ALIGN, Outputs
from golden.registry import golden
from golden.words import find, number
from maskfield.engine.config import OptimConfig, ScheduleConfig
from maskfield.engine.optim import build_optimiser, clip_gradients
from maskfield.engine.schedule import build_schedule
from maskfield.engine.strict import load_strictly
from maskfield.methods.nerf_rpn.config import AnchorConfig, NerfRPNConfig, ObjectnessConfig
from maskfield.methods.nerf_rpn.convert import (
    OfficialDetector,
    backbone_to_official,
    head_from_official,
    head_to_official,
    load_official_weights,
)
from maskfield.methods.nerf_rpn.losses.anchor import Sample, anchor_losses, anchor_targets
from maskfield.methods.nerf_rpn.losses.regions import region_losses
from maskfield.methods.nerf_rpn.matching import RegionTargets, permutation_from, uniform_from
from maskfield.methods.nerf_rpn.model.detector import Detector
from maskfield.methods.nerf_rpn.model.outputs import cells_of
from maskfield.methods.nerf_rpn.model.region_head import (
    RegionHead,
    RegionOutput,
    joined_regions,
)

STORED_WHOLE, GRADIENT_STRIDE = 4000, 13  # "tensors with >=4000 elements: every 13th element"
REGION_IOU, REGIONS_PER_SCENE = 0.25, 16
SAMPLED_REGIONS = ("train_sampled_rois", "train_sampled_gt", "train_sampled_labels")


def official_detector(case: Case, config: NerfRPNConfig, head: str) -> Detector:
    """A detector with the weights of a case; its head's names begin with ``head``."""
    detector = config.build()
    official = OfficialDetector(
        head_kind=config.head.kind, head=case.under(head), backbone=case.under("backbone")
    )
    load_official_weights(detector, official)
    return detector.eval()


def by_official_name(detector: Detector, head: str, values: Mapping[str, Tensor]) -> dict[str, Any]:
    """Values by our parameter names to the case's names."""
    backbone = {k.removeprefix("backbone."): v for k, v in values.items() if "backbone." in k}
    own = {k.removeprefix("head."): v for k, v in values.items() if k.startswith("head.")}
    return {
        **{f"backbone.{k}": v for k, v in backbone_to_official(backbone).items()},
        **{f"{head}.{k}": v for k, v in head_to_official(own, detector.config.head.kind).items()},
    }


def gradients(detector: Detector) -> dict[str, Tensor]:
    """Gradients by our parameter names."""
    named = detector.named_parameters()
    return {k: p.grad.clone() for k, p in named if p.grad is not None}


@golden("nerf_rpn/e2e_fcos")
def e2e_fcos(case: Case) -> dict[str, Any]:
    c = case.config["config"]
    backbone, channels = small_backbone(c["backbone"], case.under("backbone"))
    head = nerf_rpn_fcos.head_config(c["head"])
    config = NerfRPNConfig(backbone=backbone, head=head, channels=channels)
    detector = official_detector(case, config, "fcos_module")
    grids, boxes = numbered(case.inputs, "grid"), numbered(case.inputs, "target")
    answer: dict[str, Any] = {}
    with torch.no_grad():
        for i, found in enumerate(detector(grids)):
            answer.update(nerf_rpn_fcos.proposals(found, i))
    log, first = trained(case, detector.train(), grids, boxes)
    first = by_official_name(detector, "fcos_module", first)
    last = by_official_name(detector, "fcos_module", detector.state_dict())
    return {
        **answer,
        "train_log": log,
        **{f"grad0.{k}": v for k, v in first.items()},
        **{f"after.{k}": v for k, v in last.items()},
    }


def trained(
    case: Case, detector: Detector, grids: list[Tensor], boxes: list[Tensor]
) -> tuple[Tensor, dict[str, Tensor]]:
    """The log of some steps on one batch, and the unclipped gradients of the first."""
    lr, decay = number(case.config, "lr", "lr N"), number(case.config, "wd", "wd N")
    clip = number(case.config, "clip", "clipping N")
    steps = int(number(case.config, "steps", "then N training steps"))
    total = int(number(case.config, "total_steps", "total_steps=N"))
    parameters = list(detector.parameters())
    optimiser = build_optimiser([{"params": parameters}], OptimConfig(lr=lr, weight_decay=decay))
    schedule = build_schedule(optimiser, ScheduleConfig(), total)
    rows: list[list[float]] = []
    first: dict[str, Tensor] = {}
    for _ in range(steps):
        group = optimiser.param_groups[0]
        losses = detector.losses(grids, boxes)
        optimiser.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        first = first or gradients(detector)
        norm = clip_gradients(parameters, clip)
        parts = [float(losses[f"loss_{n}"].detach()) for n in ("cls", "reg", "centerness")]
        rows.append([*parts, float(norm), group["lr"], group["betas"][0]])
        optimiser.step()
        schedule.step()
    return torch.tensor(rows), first


@golden("nerf_rpn/e2e_rpn")
def e2e_rpn(case: Case) -> dict[str, Any]:
    """With anchors sampled here; the aligner repeats it with those given among the outputs."""
    detector = anchor_detector(case)
    answer: dict[str, Any] = {}
    batch = detector.batch(numbered(case.inputs, "grid"))
    with torch.no_grad():
        maps = detector.backbone(batch.grids)
        for i, found in enumerate(detector.head.proposals(detector.head(maps), batch)):
            answer.update(nerf_rpn_anchor.proposals(found, i))
    answer.update({f"feature_{i}": m for i, m in enumerate(maps)})
    return {**answer, **anchor_step(case, None)}


def anchor_detector(case: Case) -> Detector:
    """The detector of the case's words and weights."""
    c = case.config["config"]
    words = find({"what": c["backbone"], "case": case.name}, "cfg", r"(\w+) width_divisor (\d+)")
    size = {"cfg": words[1], "width_divisor": int(words[2]), "input_size": 160}
    backbone, channels = small_backbone(size, case.under("backbone"))
    head = AnchorConfig(
        rotated=case.config["obb"],
        convs=c["conv_depth"],
        foreground_iou=c["fg"],
        background_iou=c["bg"],
        samples=c["batch_size_per_mesh"],
        pre_nms_count=c["pre_nms"],
        post_nms_count=c["post_nms"],
        nms_threshold=c["nms"],
        projection_weight=1.0,  # so that the part is computed; the total leaves it out
        compat="official",
    )
    config = NerfRPNConfig(backbone=backbone, head=head, channels=channels)
    return official_detector(case, config, "rpn_head")


def anchor_step(case: Case, sample: Sample | None) -> dict[str, Any]:
    """Losses of a training-mode forward and gradients of objectness and regression."""
    detector = anchor_detector(case).train()
    config = detector.config.head
    assert isinstance(config, AnchorConfig)
    batch = detector.batch(numbered(case.inputs, "grid"))
    outputs = detector.head(detector.backbone(batch.grids))
    cells = cells_of([out.logits for out in outputs])
    boxes = numbered(case.inputs, "target")
    targets = anchor_targets(boxes, batch.shape, cells, batch.sizes, config)
    drawn = targets.sample(config, permutation_from(torch.Generator().manual_seed(0)))
    if sample is not None:
        labels = targets.labels.flatten()
        allowed = (labels[sample[0]] == 1).all() and (labels[sample[1]] == 0).all()
        same = [len(a) for a in sample] == [len(b) for b in drawn]
        drawn = sample if allowed and same else drawn
    parts = anchor_losses(outputs, targets, drawn, config, max(batch.shape))
    total = parts["loss_objectness"] + config.box_weight * parts["loss_rpn_box_reg"]
    total.backward()
    named = by_official_name(detector, "rpn_head", gradients(detector))
    return {
        "sampled_pos": drawn[0],
        "sampled_neg": drawn[1],
        **parts,
        **{f"grad.{k.removeprefix('backbone.')}": v for k, v in named.items()},
    }


def with_given_anchors(case: Case, stored: Outputs, found: Outputs) -> Outputs:
    """ "one training-mode forward with the sampled anchors given"."""
    answer = anchor_step(case, (stored["sampled_pos"], stored["sampled_neg"]))
    return {**found, **{name: v.detach() for name, v in answer.items()}}


ALIGN["nerf_rpn/e2e_rpn"] = with_given_anchors


@golden("nerf_rpn/objectness_head")
def objectness_head(case: Case) -> dict[str, Any]:
    """With regions sampled here; the aligner repeats it with those given among the outputs."""
    head = region_head(case)
    answer: dict[str, Any] = {}
    whole: list[RegionOutput] = []
    with torch.no_grad():
        for i, rois in enumerate(numbered(case.inputs, "rois")):
            found = head(maps_of(case, i), rois[:, 1:], rois[:, 0].long())
            whole.append(found)
            targets = RegionTargets.of(rois[:, 1:], case.inputs[f"gt_{i}"])
            answer[f"eval_labels_{i}"] = (targets.overlap >= REGION_IOU).float()
            answer[f"eval_prob_{i}"] = found.probabilities
            answer[f"eval_boxes_obj_only_{i}"] = found.boxes
            answer[f"eval_boxes_reg_{i}"] = found.refined()
    joined = joined_regions(whole)
    answer.update(eval_scores=joined.logits, eval_deltas=joined.deltas)
    return {**answer, **region_step(case, sampled_regions(case))}


def region_head(case: Case) -> RegionHead:
    """The head in official words, with the case's weights."""
    c = case.config["config"]
    config = ObjectnessConfig(
        rotated=case.inputs["rois_0"].shape[1] == 8,
        channels=case.inputs["feature_0_0"].shape[0],
        output_size=tuple(c["output_size"]),
        extra_layers=c["is_add_layer"],
        flatten=c["is_flatten"],
        classes=c["n_classes"],
        enlarge=c["enlarge_scale"],
        compat="official",
    )
    head = RegionHead(config)
    load_strictly(head, head_from_official(case.weights, "objectness"), part="head")
    return head


def maps_of(case: Case, scene: int) -> list[Tensor]:
    """Feature maps of one scene."""
    return numbered(case.inputs, f"feature_{scene}")


def sampled_regions(case: Case) -> tuple[Tensor, Tensor, Tensor]:
    """Regions, ground truth and labels as our own sampler draws them."""
    generator = torch.Generator().manual_seed(0)
    permute, uniform = permutation_from(generator), uniform_from(generator)
    drawn: list[tuple[Tensor, ...]] = []
    for i, rois in enumerate(numbered(case.inputs, "rois")):
        targets = RegionTargets.of(rois[:, 1:], case.inputs[f"gt_{i}"])
        count = REGIONS_PER_SCENE
        rows, labels = targets.sample(count, REGION_IOU, REGION_IOU, 0.5, permute, uniform)
        drawn.append((rois[rows], targets.boxes[rows], labels.float()))
    rois, boxes, labels = (torch.stack(t) for t in zip(*drawn, strict=True))
    return rois, boxes, labels


def region_step(case: Case, sample: tuple[Tensor, Tensor, Tensor]) -> dict[str, Any]:
    """Losses and gradients of one training step on sampled regions."""
    head = region_head(case)
    rois, boxes, labels = sample
    outputs = [head(maps_of(case, i), r[:, 1:], r[:, 0].long()) for i, r in enumerate(rois)]
    parts = region_losses(joined_regions(outputs), labels.flatten().long(), boxes.flatten(0, 1))
    total = parts["loss_objectness"] + head.config.box_weight * parts["loss_rpn_box_reg"]
    total.backward()
    grads = {k: p.grad for k, p in head.named_parameters() if p.grad is not None}
    named = head_to_official(grads, "objectness")
    return {
        **dict(zip(SAMPLED_REGIONS, sample, strict=True)),
        **parts,
        **{f"grad.{k}": as_stored(v) for k, v in named.items()},
        **{f"train_prob_{i}": out.probabilities for i, out in enumerate(outputs)},
        **{f"train_proposals_{i}": out.refined() for i, out in enumerate(outputs)},
    }


def as_stored(gradient: Tensor) -> Tensor:
    """Big gradients are stored flat and thinned."""
    big = gradient.numel() >= STORED_WHOLE
    return gradient.flatten()[::GRADIENT_STRIDE] if big else gradient


def with_given_regions(case: Case, stored: Outputs, found: Outputs) -> Outputs:
    """ "training with the sampled rois given".

    Refused unless each is a region of its scene, with the label and ground truth we give it.
    """
    rois, boxes, labels = (stored[name] for name in SAMPLED_REGIONS)
    for i, every in enumerate(numbered(case.inputs, "rois")):
        targets = RegionTargets.of(rois[i][:, 1:], case.inputs[f"gt_{i}"])
        known = (rois[i][:, None] == every).all(-1).any(-1).all()
        if not (known and torch.equal((targets.overlap >= REGION_IOU).float(), labels[i])):
            return found
        if not torch.equal(targets.boxes, boxes[i]):
            return found
    answer = region_step(case, (rois, boxes, labels))
    return {**found, **{name: v.detach() for name, v in answer.items() if name in stored}}


ALIGN["nerf_rpn/objectness_head"] = with_given_regions
