"""nerf_rpn: loading, augmenting and preparing data."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor

from golden.adapters.nerf_mae_data import density_to_alpha
from golden.adapters.nerf_rpn_boxes import equivalent_rectangles
from golden.by_name import ByName
from golden.case import Case
from golden.comparators import ALIGN, Outputs
from golden.registry import golden
from golden.words import NUMBER, find
from maskfield.data.augment import (
    MAX_ANGLE,
    MAX_STRETCH,
    Probabilities,
    augment,
    decide_from,
    rotate_and_scale,
)
from maskfield.data.preparation.ngp_boxes import (
    NerfBoxes,
    NgpFrame,
    boxes3d_from_grid,
    grid_aabb_from_nerf,
    grid_obb_from_nerf,
    label_kept,
    nerf_boxes_from_grid,
    nerf_from_ngp,
    ngp_from_nerf,
)
from maskfield.data.preparation.scannet import grid_boxes, kept_boxes, min_area_box
from maskfield.data.readers.nerf_rpn import read_grid
from maskfield.methods.nerf_mae.grids import load_network_grid
from maskfield.methods.nerf_mae.heatmap import (
    enclosing_aabb,
    gaussian_stamp,
    grid_from_world_isotropic,
    official_corners,
    proposal_heatmap,
    world_from_grid_isotropic,
)
from maskfield.methods.nerf_rpn.batches import pad_grids
from maskfield.methods.nerf_rpn.scenes import detection_scenes
from maskfield.methods.nerf_rpn.wireframes import aligned_corners, posed_corners, voxel_points

HEATMAP_GRID, HEATMAP_DOWNSAMPLE = (160, 160, 160), 2  # of the official rendering program
ANGLE_THEN_SCALE = ((0.0, MAX_ANGLE), (1.0, MAX_STRETCH))  # middle and half width


@golden("nerf_rpn/augmentation")
def augmentation(case: Case) -> dict[str, Tensor]:
    x, answer = case.inputs, density_to_alpha(case)
    for run in case.config["augmentations"]:
        name = run["name"]
        flip, turn, free = run["probs_flip_rot90_rotscale"]
        boxes = x.get(name.split("_")[0])
        decisions = decide_from(
            in_unit_interval(run["draws"]),
            Probabilities(rotate=turn, flip=flip, rotate_and_scale=free),
            oriented_boxes=boxes is not None and boxes.shape[1] == 7,
        )
        grid, moved = augment(x["grid"], boxes, decisions)
        answer[f"{name}_grid"] = grid
        answer |= {} if moved is None else {f"{name}_boxes": moved}
    for i, (angle, scale) in enumerate(
        re.findall(rf"\({NUMBER},{NUMBER}\)", case.config["describes"])
    ):
        turned = rotate_and_scale(x["grid"], x["obb"], float(angle), float(scale))
        answer[f"rotscale{i}_grid"], answer[f"rotscale{i}_boxes"] = turned
    return answer


def in_unit_interval(draws: list[tuple[str, float]]) -> Callable[[], float]:
    """Listed draws one after the other; "uniform" ones (angle, then scale) back in [0, 1)."""
    spans, values = iter(ANGLE_THEN_SCALE), []
    for kind, value in draws:
        if kind == "uniform":
            middle, half = next(spans)
            value = ((value - middle) / half + 1) / 2
        values.append(value)
    left = iter(values)
    return lambda: next(left)


@golden("nerf_rpn/dataset_loading")
def dataset_loading(case: Case) -> Mapping[str, Any]:
    x = case.inputs
    names = sorted(k.removesuffix(".rgbsigma") for k in x if k.endswith(".rgbsigma"))
    answer: dict[str, Any] = {}
    with TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "features").mkdir()
        (root / "obb").mkdir()
        for name in names:
            np.savez(root / f"features/{name}.npz", rgbsigma=x[f"{name}.rgbsigma"].numpy())
            np.save(root / f"obb/{name}.npy", x[f"{name}.boxes"].numpy())
        present = detection_scenes(root, [*names, "no_features"])
        for i, scene in enumerate(present):
            boxes = scene.boxes
            rows = torch.cat([boxes.centre, boxes.size, boxes.yaw[:, None]], dim=1)
            answer[f"front3d_{scene.name}_boxes"] = rows
            answer[f"front3d_{scene.name}_grid"] = load_network_grid(scene.features, "exp")
            answer[f"front3d_raw_grid_{i}"] = stored_grid(scene.features)
        np.savez(root / "u8.npz", rgbsigma=x["u8"].numpy())
        answer["u8_grid"] = load_network_grid(root / "u8.npz", "alpha")
    pads = [x[k] for k in sorted(x) if k.startswith("pad_")]
    return {**answer, "front3d_len": len(present), "padded": pad_grids(pads).grids}


def stored_grid(path: Path) -> Tensor:
    """Colour and raw density as stored: what the official loader gives without its flag."""
    grid = read_grid(path, density="exp")
    return torch.cat([grid.rgb, grid.density])


@golden("nerf_rpn/ngp_conversion")
def ngp_conversion(case: Case) -> dict[str, Tensor]:
    least = find(case.config, "size filter", r"size filter (\d+)").group(1)
    answer: dict[str, Tensor] = {}
    for scene in case.config["scenes"]:
        n, frame = scene["scene"], frame_of(scene)
        boxes, wanted = nerf_boxes(scene["bounding_boxes"])
        matrix = case.inputs[f"{n}_matrix"].double()
        forth = ngp_from_nerf(matrix, frame)
        answer[f"{n}_nerf_matrix_to_ngp"] = forth.float()
        answer[f"{n}_back"] = nerf_from_ngp(forth, frame).float()
        for flag, chosen in ((0, boxes), (1, boxes[wanted])):
            obb = grid_obb_from_nerf(chosen, frame, min_size=float(least))
            aabb = grid_aabb_from_nerf(chosen, frame, min_size=float(least))
            answer[f"{n}_obb_filter{flag}"], answer[f"{n}_aabb_filter{flag}"] = obb.float(), aabb
        obb = case.inputs[f"{n}_proposals_obb"].double()
        aabb = case.inputs[f"{n}_proposals_aabb"].double()
        centred = [(aabb[:, :3] + aabb[:, 3:]) / 2, aabb[:, 3:] - aabb[:, :3], aabb[:, :1] * 0]
        for kind, rows in (("obb", obb), ("aabb", torch.cat(centred, dim=1))):
            made = nerf_boxes_from_grid(rows, frame)
            for part in ("extents", "orientation", "position"):
                answer[f"{n}_{kind}2ngp_{part}"] = getattr(made, part).float()
    return answer


def frame_of(scene: Mapping[str, Any]) -> NgpFrame:
    """How the grid of a scene lies."""
    x, y, z = scene["resolution"]
    return NgpFrame(
        resolution=(x, y, z),
        bbox_min=torch.tensor(scene["bbox_min"], dtype=torch.float64),
        bbox_max=torch.tensor(scene["bbox_max"], dtype=torch.float64),
        scale=scene["scale"],
        offset=torch.tensor(scene["offset"], dtype=torch.float64),
        from_mitsuba=scene["from_mitsuba"],
    )


def nerf_boxes(rows: list[Mapping[str, Any]]) -> tuple[NerfBoxes, Tensor]:
    """Boxes of transforms.json and which of them the label filter keeps."""
    parts = {
        part: torch.tensor([row[part] for row in rows], dtype=torch.float64)
        for part in ("orientation", "position", "extents")
    }
    labels = torch.tensor([row["label"] for row in rows])
    manual = torch.tensor([row["manually_filtered"] for row in rows])
    return NerfBoxes(**parts), label_kept(labels, manual)


@golden("nerf_rpn/scannet_boxes")
def scannet_boxes(case: Case) -> Mapping[str, Any]:
    c = case.config
    answer: dict[str, Any] = {}
    count = sum(name.startswith("vertices_") for name in case.inputs)
    for i in range(count):
        box = min_area_box(case.inputs[f"vertices_{i}"].double())
        answer[f"obb_{i}"] = box.float()
        answer[f"area_{i}"] = (box[3] * box[4]).float()
    rows, labels, ids = instances(c)

    def kept(least: str) -> list[int]:
        return kept_boxes(rows, labels, set(c["excluded_labels"]), min_side=float(least))

    return ByName(
        answer,
        {
            r"filtered_min(\d+)": lambda least: rows[kept(least)].float(),
            r"filtered_ids_min(\d+)": lambda least: ids[kept(least)],
        },
    )


def align_rectangles(case: Case, stored: Outputs, found: Outputs) -> Outputs:
    """ "Compare rectangles up to the 90-degree ambiguity if hull edges tie"."""
    whole = torch.ones(1, dtype=torch.bool)
    return {
        name: equivalent_rectangles(stored[name][None], value[None], whole)[0]
        if re.fullmatch(r"obb_\d+", name)
        else value
        for name, value in found.items()
    }


ALIGN["nerf_rpn/scannet_boxes"] = align_rectangles


def instances(config: Mapping[str, Any]) -> tuple[Tensor, list[str], Tensor]:
    """Grid boxes, labels and ids of the annotated instances."""
    found = config["instances"]
    resolution = find(config, "resolution", r"resolution \((\d+),(\d+),(\d+)\)").groups()
    x, y, z = (int(n) for n in resolution)
    low = torch.tensor([i["min_pt"] for i in found], dtype=torch.float64).amin(0)
    high = torch.tensor([i["max_pt"] for i in found], dtype=torch.float64).amax(0)
    boxes = torch.tensor([i["obb"] for i in found], dtype=torch.float64)
    rows = grid_boxes(boxes, torch.stack([low, high]), (x, y, z))
    ids = torch.tensor([i["obj_id"] for i in found])
    return rows, [i["label"] for i in found], ids


@golden("nerf_rpn/visualisation")
def visualisation(case: Case) -> Mapping[str, Any]:
    x, boxes = case.inputs, boxes3d_from_grid(case.inputs["obb"])
    words = r"heatmap accumulation \((\d+)\^3, gaussian sigma ([\d.]*\d)"
    side, sigma = find(case.config, "heatmap", words).groups()
    extents = find(case.config, "extents", rf"extents \({NUMBER},{NUMBER},{NUMBER}\)").groups()
    room, cells = x["room_bbox"].view(2, 3), (int(side),) * 3
    a, b, c = x["objectness_1"].shape[1:]

    def heatmap(stamp: Any) -> Tensor:
        return proposal_heatmap(x["boxes_int"], cells, stamp=stamp, sigma=float(sigma))

    return ByName(
        {
            "aabb2point8": aligned_corners(enclosing_aabb(boxes)),
            "construct_grid": voxel_points((a, b, c)),
            "get_obb_corners": posed_corners(
                x["xform"], torch.tensor([float(e) for e in extents])
            ).T,
            "obb2hbb": enclosing_aabb(boxes),
            "obb2point8": official_corners(boxes),
            "world2grid": grid_from_world_isotropic(
                x["points"], room, HEATMAP_GRID, downsample=HEATMAP_DOWNSAMPLE
            ),
            "grid2world": world_from_grid_isotropic(x["points"], room, HEATMAP_GRID),
        },
        {
            r"gkern_(\d+)x(\d+)x(\d+)": lambda *n: gaussian_stamp(
                (int(n[0]), int(n[1]), int(n[2]))
            ),
            r"heatmap_(gaussian|box)": heatmap,
        },
    )
