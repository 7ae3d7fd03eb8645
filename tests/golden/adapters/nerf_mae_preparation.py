"""nerf_mae: preparing data sets: labels, box conversions, poses."""

from __future__ import annotations

import torch
from torch import Tensor

from golden.case import Case
from golden.registry import golden
from golden.words import find, number, triple
from maskfield.data.preparation.depth_points import backproject_depth, points_by_label
from maskfield.data.preparation.ngp_boxes import (
    NerfBoxes,
    NgpFrame,
    grid_aabb_from_nerf,
    grid_obb_from_nerf,
    hm3d_scene_valid,
    label_kept,
    nerf_boxes_from_grid,
    nerf_from_ngp,
    ngp_from_nerf,
)
from maskfield.data.preparation.principal_axes import principal_axes_poses
from maskfield.data.preparation.scannet import (
    grid_boxes,
    instance_bounds,
    kept_boxes,
    min_area_box,
)
from maskfield.data.preparation.voxel_labels import voxelize_labels


@golden("nerf_mae/voxelize_labels")
def voxelize(case: Case) -> dict[str, Tensor]:
    x = case.inputs
    shape = tuple(case.config["shape"])
    return {"voxels": voxelize_labels(x["points"], x["ids"], x["room_bbox"], shape)}


@golden("nerf_mae/depth_backprojection")
def depth_backprojection(case: Case) -> dict[str, Tensor]:
    c, x = case.config, case.inputs
    points, valid = backproject_depth(
        x["depth"],
        x["c2w"],
        (c["fl_x"], c["fl_y"]),
        (c["cx"], c["cy"]),
        max_depth=number(c, "max_depth", "depth<N"),
    )
    split = points_by_label(points, x["labels"], valid)
    return {f"points_label{label}": p for label, p in split.items()}


@golden("nerf_mae/pca_poses")
def pca_poses(case: Case) -> dict[str, Tensor]:
    poses, transform = principal_axes_poses(case.inputs["poses"])
    return {"poses_out": poses, "transform": transform}


@golden("nerf_mae/scannet_boxes")
def scannet_boxes(case: Case) -> dict[str, Tensor]:
    c = case.config
    count = sum(name.startswith("vertices") for name in case.inputs)
    instances = [case.inputs[f"vertices{i}"] for i in range(count)]
    boxes = torch.stack([min_area_box(v) for v in instances])
    words = find(c, "labels", r"labels (.+?) with (.+?) excluded")
    resolution = triple(c, "resolution", "resolution T")
    rows = grid_boxes(boxes, instance_bounds(instances), resolution)
    kept = kept_boxes(
        rows,
        words.group(1).split("/"),
        set(words.group(2).split("/")),
        min_side=number(c, "min_side", "side < N voxels"),
    )
    return {**{f"obb{i}": b for i, b in enumerate(boxes)}, "kept_grid_obb": rows[kept]}


@golden("nerf_mae/grid_boxes")
def ngp_boxes(case: Case) -> dict[str, Tensor]:
    c, x, frame = case.config, case.inputs, _frame(case)
    boxes = NerfBoxes(orientation=x["orientation"], position=x["position"], extents=x["extents"])
    wanted = boxes[label_kept(x["label"], x["manual"].bool())]
    hm3d = grid_obb_from_nerf(boxes, frame, drop_outside=False, resolution_is_z_up=True)
    least_obb = number(c, "min_size_obb", "min_size N for OBB")
    least_aabb = number(c, "min_size_aabb", "N for AABB")
    return {
        "hypersim_obb": grid_obb_from_nerf(boxes, frame),
        "hypersim_obb_filtered": grid_obb_from_nerf(wanted, frame, min_size=least_obb),
        "hypersim_aabb": grid_aabb_from_nerf(boxes, frame),
        "hypersim_aabb_filtered": grid_aabb_from_nerf(wanted, frame, min_size=least_aabb),
        "hm3d_obb": hm3d,
        "hm3d_flags": _hm3d_flags(len(hm3d), frame.resolution),
        **_proposals(x["proposals_obb"], frame),
        **_matrices(boxes, case),
    }


def _frame(case: Case, from_mitsuba: bool | None = None) -> NgpFrame:
    c, x = case.config, case.inputs
    rx, ry, rz = x["resolution"].tolist()
    return NgpFrame(
        resolution=(rx, ry, rz),
        bbox_min=x["bbox_min"],
        bbox_max=x["bbox_max"],
        scale=c["scale"],
        offset=x["offset"],
        from_mitsuba=c["from_mitsuba"] if from_mitsuba is None else from_mitsuba,
    )


def _hm3d_flags(boxes: int, resolution: tuple[int, int, int]) -> Tensor:
    """[more than 2 boxes, some dimension below 100], from the two halves of the product's rule."""
    many = hm3d_scene_valid(boxes, (100, 100, 100))
    small = not hm3d_scene_valid(3, resolution)
    return torch.tensor([many, small])


def _proposals(obb: Tensor, frame: NgpFrame) -> dict[str, Tensor]:
    outputs = {}
    for name, y_up in (("front3d", False), ("hm3d", True)):
        made = nerf_boxes_from_grid(obb, frame, resolution_is_y_up=y_up)
        outputs[f"{name}_boxes_extents"] = made.extents
        outputs[f"{name}_boxes_orientation"] = made.orientation
        outputs[f"{name}_boxes_position"] = made.position
    return outputs


def _matrices(boxes: NerfBoxes, case: Case) -> dict[str, Tensor]:
    first, outputs = boxes.matrix[0], {}
    for flag in (False, True):
        frame = _frame(case, from_mitsuba=flag)
        outputs[f"nerf_to_ngp_mitsuba_{flag}"] = ngp_from_nerf(first, frame)
        outputs[f"ngp_to_nerf_mitsuba_{flag}"] = nerf_from_ngp(first, frame)
    return outputs
