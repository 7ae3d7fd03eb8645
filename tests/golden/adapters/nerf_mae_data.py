"""nerf_mae: loading and augmenting grids, metrics, heat maps."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor

from golden.case import Case
from golden.registry import golden
from golden.words import find, number, triple
from maskfield.data.augment import Decisions, augment, rotate_and_scale
from maskfield.data.preparation.ngp_boxes import boxes3d_from_grid
from maskfield.data.radiance_grid import Activation, RadianceGrid
from maskfield.data.readers.nerf_rpn import read_boxes
from maskfield.geometry.grids import voxel_centres
from maskfield.methods.nerf_mae.grids import load_network_grid
from maskfield.methods.nerf_mae.heatmap import (
    enclosing_aabb,
    gaussian_stamp,
    grid_from_world_isotropic,
    integer_boxes,
    official_corners,
    proposal_heatmap,
    world_from_grid_isotropic,
)
from maskfield.methods.nerf_mae.metrics import official_metrics
from maskfield.metrics.segmentation import (
    class_counts,
    class_weights,
    cross_entropy,
    soft_iou,
    voxel_accuracy,
)


@golden("nerf_mae/density_to_alpha")
def density_to_alpha(case: Case) -> dict[str, Tensor]:
    return {f"alpha_{rule}": _alpha(case.inputs["density"], rule) for rule in ("exp", "relu")}


def _alpha(density: Tensor, activation: Activation) -> Tensor:
    column = density.reshape(1, -1, 1, 1)
    grid = RadianceGrid(
        rgb=torch.zeros(3, *column.shape[1:]),
        density=column,
        box=torch.tensor([[0.0, 0, 0], [1, 1, 1]]),
        density_kind="raw",
        activation=activation,
    )
    return grid.to_alpha().view_as(density)


@golden("nerf_mae/load_scene")
def load_scene(case: Case) -> dict[str, Tensor]:
    with TemporaryDirectory() as folder:
        raw = _features(Path(folder, "raw.npz"), case.inputs["raw"])
        eight_bit = _features(Path(folder, "u8.npz"), case.inputs["u8"])
        table = Path(folder, "boxes.npy")
        np.save(table, case.inputs["boxes"].numpy())
        boxes = read_boxes(table)
        return {
            "raw.norm_False": load_network_grid(raw, "alpha", compat="official"),
            "raw.norm_True": load_network_grid(raw, "exp"),
            "raw.scannet": load_network_grid(raw, "relu"),
            "u8.norm_False": load_network_grid(eight_bit, "alpha"),
            "u8.norm_True": load_network_grid(eight_bit, "exp", compat="official"),
            "boxes": torch.cat([boxes.centre, boxes.size, boxes.yaw[:, None]], dim=1),
        }


def _features(path: Path, rgbsigma: Tensor) -> Path:
    np.savez(path, rgbsigma=rgbsigma.numpy(), resolution=np.array(rgbsigma.shape[:3]))
    return path


@golden("nerf_mae/voxel_centres")
def centres(case: Case) -> dict[str, Tensor]:
    x, y, z = case.inputs["resolution"].tolist()
    corner = torch.tensor([x, y, z], dtype=torch.float64) / max(x, y, z)
    box = torch.stack([torch.zeros_like(corner), corner])
    return {"grid": voxel_centres(box, (x, y, z)).reshape(-1, 3)}


@golden("nerf_mae/augment")
def augmentation(case: Case) -> dict[str, Tensor]:
    outputs = {}
    for c in case.config["cases"]:
        key = c["key"]
        grid, boxes = augment(
            case.inputs[f"{key}.x"],
            case.inputs.get(f"{key}.boxes"),
            Decisions(**c["decisions"]),
            z_up=c["z_up"],
        )
        outputs[f"{key}.y"] = grid
        outputs |= {} if boxes is None else {f"{key}.boxes": boxes}
    return outputs


@golden("nerf_mae/rotate_and_scale")
def rotation(case: Case) -> dict[str, Tensor]:
    outputs = {}
    for c in case.config["cases"]:
        key = c["index"]
        outputs[f"{key}.y"], outputs[f"{key}.boxes"] = rotate_and_scale(
            case.inputs[f"{key}.x"], case.inputs[f"{key}.boxes"], c["angle"], c["scale"]
        )
    return outputs


@golden("nerf_mae/metrics")
def metrics(case: Case) -> dict[str, Tensor]:
    x, classes = case.inputs, case.config["num_classes"]
    logits, target = x["logits"].movedim(-1, 1), x["target"][..., 0].long()
    guessed = logits.argmax(1)
    counts = class_counts(guessed, target, classes)
    soft = soft_iou(logits, target)
    labels = [v for k, v in sorted(x.items()) if k.startswith("weight_labels")]
    error = official_metrics(*_as_cubes(x["a"], x["b"], x["valid"]))
    return {
        "mse": error["mse"],
        "psnr": error["psnr"],
        "soft_iou": soft,
        "soft_iou_mean": soft.mean(),
        "masked_ce_unweighted": cross_entropy(logits, target),
        "masked_ce_weighted": cross_entropy(logits, target, x["class_weights_in"]),
        "intersection": counts.intersection,
        "union": counts.union,
        "target": counts.target,
        "pixel_accuracy": voxel_accuracy(guessed, target),
        "class_weights": class_weights(labels, classes),
    }


def _as_cubes(a: Tensor, b: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Rows [batch, n, 3] and their validity as cubes [batch, 4, n, 1, 1] with alpha = validity."""
    alpha = valid.to(a.dtype)
    return tuple(torch.cat([v, alpha], -1).movedim(-1, 1)[..., None, None] for v in (a, b))


@golden("nerf_mae/box_heatmap")
def box_heatmap(case: Case) -> dict[str, Tensor]:
    c, x = case.config, case.inputs
    side = int(number(c, "side", r"over an N\^3 grid"))
    boxes = boxes3d_from_grid(x["obb"])
    whole = integer_boxes(enclosing_aabb(boxes), (side, side, side))
    sigma, step = number(c, "sigma", "sigma N"), int(number(c, "stored_stride", "every N[a-z]"))
    heat = {s: proposal_heatmap(whole, (side,) * 3, stamp=s, sigma=sigma) for s in STAMPS}
    kernel = find(c, "kernel", r"w=(\d+),l=(\d+),h=(\d+)").groups()
    room, resolution = x["room_bbox"].view(2, 3), triple(c, "resolution", "resolution T")
    shrink = number(c, "downsample", "downsample N")
    return {
        "corners": official_corners(boxes),
        "enclosing_aabb": enclosing_aabb(boxes),
        "boxes_int": whole,
        "kernel": gaussian_stamp((int(kernel[0]), int(kernel[1]), int(kernel[2]))),
        **{f"heat_{s}": h[::step, ::step, ::step] for s, h in heat.items()},
        "grid_pts": grid_from_world_isotropic(x["points"], room, resolution, downsample=shrink),
        "world_pts": world_from_grid_isotropic(x["points"], room, resolution),
    }


STAMPS = ("gaussian", "box")
