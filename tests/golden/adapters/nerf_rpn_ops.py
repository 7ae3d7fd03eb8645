"""nerf_rpn: IoU and its losses, non-maximum suppression, RoI pooling."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from golden.by_name import ByName
from golden.case import Case
from golden.registry import golden
from golden.words import NUMBER, find, number, words_of
from maskfield.ops.box_iou import aabb_iou, footprint, rotated_iou, rotated_overlap
from maskfield.ops.box_iou_enclosing import Enclosing, enclosing_rectangle
from maskfield.ops.box_iou_losses import diou_loss, enclosing_height, giou, giou_loss
from maskfield.ops.nms import centre_inside, clip_aabb, nms, remove_small
from maskfield.ops.polygon_clip import rectangle_corners
from maskfield.ops.roi_pool import (
    aabb_roi_pool,
    enlarged,
    enlarged_aabb_official,
    fpn_levels,
    rotated_roi_pool,
)
from maskfield.ops.roi_pool_blocks import Triple

ENCLOSING: dict[str, Enclosing] = {"smallest": "smallest", "aligned": "aligned"}
ENCLOSING["pca"] = "pca_official"


@golden("nerf_rpn/aabb_iou")
def aabb_iou_matrix(case: Case) -> Mapping[str, Tensor]:
    a, b = case.inputs["boxes1"], case.inputs["boxes2"]
    return ByName({}, {r"iou(?:_batched_\d+)?": lambda: aabb_iou(a, b)})


@golden("nerf_rpn/rotated_iou")
def rotated_iou_family(case: Case) -> Mapping[str, Tensor]:
    a, b = case.inputs["boxes1"], case.inputs["boxes2"]
    flat_a, flat_b = footprint(a), footprint(b)
    corners = rectangle_corners(flat_a), rectangle_corners(flat_b)
    found, exact = rotated_overlap(a, b), rotated_overlap(a.double(), b.double())
    slope = {"giou": giou_loss, "diou": diou_loss}
    flat, deep = (flat_a, flat_b), (a, b)
    names = "(smallest|aligned|pca)"
    return ByName(
        {},
        {
            r"corners([12])": lambda k: corners[int(k) - 1],
            r"inter_area_2d": lambda: found.area_2d,
            r"union_2d": lambda: found.union_2d,
            r"iou_2d": lambda: found.iou_2d,
            r"union_3d": lambda: found.union,
            r"iou_3d": lambda: found.iou,
            r"inter_area_2d_exact_f64": lambda: exact.area_2d,
            r"iou_3d_exact_f64": lambda: exact.iou,
            r"matrix_iou_(\d+)x(\d+)": lambda n, m: _matrix(a, b, int(n), int(m)),
            r"z_range": lambda: enclosing_height(a, b),
            rf"enclosing_w_{names}": lambda k: enclosing_rectangle(*corners, ENCLOSING[k])[0],
            rf"enclosing_h_{names}": lambda k: enclosing_rectangle(*corners, ENCLOSING[k])[1],
            rf"giou3d_{names}": lambda k: giou(a, b, enclosing=ENCLOSING[k]),
            rf"giou3d_loss_{names}": lambda k: giou_loss(*deep, enclosing=ENCLOSING[k]),
            rf"diou3d_loss_{names}": lambda k: diou_loss(*deep, enclosing=ENCLOSING[k]),
            rf"giou2d_loss_{names}": lambda k: giou_loss(*flat, enclosing=ENCLOSING[k]),
            rf"diou2d_loss_{names}": lambda k: diou_loss(*flat, enclosing=ENCLOSING[k]),
            r"grad_iou3d_box([12])": lambda k: _gradient(_iou, a, b, int(k)),
            r"grad_([gd]iou)3d_loss_box([12])": lambda n, k: _gradient(slope[n], a, b, int(k)),
        },
    )


def _matrix(a: Tensor, b: Tensor, n: int, m: int) -> Tensor:
    """The first n boxes of one set against m of the other, which the cases take from row 10 on."""
    return rotated_iou(a[:n], b[10 : 10 + m])


def _iou(a: Tensor, b: Tensor) -> Tensor:
    return rotated_overlap(a, b).iou


def _gradient(function: Callable[..., Tensor], a: Tensor, b: Tensor, which: int) -> Tensor:
    pair = [a.clone().requires_grad_(), b.clone().requires_grad_()]
    return torch.autograd.grad(function(*pair).sum(), pair[which - 1])[0]


@golden("nerf_rpn/nms")
def suppression(case: Case) -> dict[str, Tensor]:
    boxes, scores = case.inputs["boxes"], case.inputs["scores"]
    threshold = float(case.config["iou_threshold"])
    rotated = bool(case.config["obb"])
    size = _grid_size(case)
    smallest = number(case.config, "min_size", r"remove_small_boxes\(N\)")
    iou = rotated_iou if rotated else aabb_iou
    return {
        "keep": nms(boxes, scores, threshold),
        "keep_batched": nms(boxes, scores, threshold, groups=case.inputs["levels"]),
        f"keep_min_size_{smallest:g}": remove_small(boxes, smallest),
        "clipped": boxes[centre_inside(boxes, size)] if rotated else clip_aabb(boxes, size),
        "iou_row_0": iou(boxes[:1], boxes)[0],
    }


def _grid_size(case: Case) -> tuple[float, float, float]:
    pattern = rf"size \({NUMBER}, ?{NUMBER}, ?{NUMBER}\)"
    x, y, z = (float(v) for v in find(case.config, "size", pattern).groups())
    return x, y, z


@golden("nerf_rpn/roi_pool")
def roi_pool(case: Case) -> Mapping[str, Tensor]:
    rois = [v for k, v in case.inputs.items() if k.startswith("rois_")]
    return _rotated_pool(case) if rois[0].shape[1] == 8 else _aabb_pool(case)


def _rotated_pool(case: Case) -> ByName:
    share, output = float(case.config["enlarge_scale"]), _output(case)
    canonical = number(case.config, "canonical_scale", r"canonical scale N")
    lowest, highest = (int(v) for v in find(case.config, "k", r"k in \[(\d+),(\d+)\]").groups())
    at = int(number(case.config, "canonical_level", r"canonical level N"))

    def levels(boxes: Tensor) -> Tensor:
        options: dict[str, Any] = {"lowest": lowest, "highest": highest, "canonical_level": at}
        return fpn_levels(boxes, canonical_size=canonical, **options)

    def pool(kind: str, size: str | None, more: str | None, remap: str | None, n: str) -> Tensor:
        level, boxes = _rois(case, n)
        return rotated_roi_pool(
            _maps(case, n),
            enlarged(boxes, share if more is None else float(more)),
            levels(boxes) if remap else level,
            output=output if size is None else _triple(size),
            strides=case.config["spatial_scale"],
            mode="max" if kind == "pooling" else "interpolate",
        )

    def after(n: str) -> Tensor:
        rois = case.inputs[f"rois_{n}"]
        return torch.cat([rois[:, :1], enlarged(rois[:, 1:], share)], dim=1)

    options = rf"(?:_(\d+x\d+x\d+))?(?:_enlarge{NUMBER})?(_remap)?"
    return ByName(
        {},
        {
            rf"(pooling|interpolation){options}_(\d+)": pool,
            r"rois_after_(\d+)": after,
            r"level_mapper_(\d+)": lambda n: levels(_rois(case, n)[1]),
            r"level_mapper_out": lambda: levels(case.inputs["level_mapper_boxes"]),
        },
    )


def _aabb_pool(case: Case) -> ByName:
    share, output = float(case.config["enlarge_scale"]), _output(case)

    def pool(n: str) -> Tensor:
        level, boxes = _rois(case, n)
        boxes = enlarged_aabb_official(boxes, share)
        strides = case.config["spatial_scale"]
        return aabb_roi_pool(_maps(case, n), boxes, level, output=output, strides=strides)

    def grown(n: str | None) -> Tensor:
        return enlarged_aabb_official(_rois(case, n or "0")[1], share)

    return ByName({}, {r"pooled_(\d+)": pool, r"enlarged(?:_(\d+))?": grown})


def _output(case: Case) -> Triple:
    """The output size, where the case says it; the AABB case does not, and has 2 x 2 x 2."""
    if "output_size" in case.config:
        x, y, z = case.config["output_size"]
        return x, y, z
    match = re.search(r"\(n,C,(\d+),(\d+),(\d+)\)", words_of(case.config))
    return _triple("x".join(match.groups())) if match else (2, 2, 2)


def _triple(text: str) -> Triple:
    x, y, z = (int(v) for v in text.split("x"))
    return x, y, z


def _rois(case: Case, scene: str) -> tuple[Tensor, Tensor]:
    rois = case.inputs[f"rois_{scene}"]
    return rois[:, 0].long(), rois[:, 1:]


def _maps(case: Case, scene: str) -> list[Tensor]:
    count = len(case.config["spatial_scale"])
    return [case.inputs[f"feature_{scene}_{level}"] for level in range(count)]
