"""Box operations: rotated IoU against a loop over pairs, NMS, RoI pooling.

    python benchmarks/bench_boxes.py [--proposals 2500] [--truths 300] [--rois 256]

Writes benchmarks/results/boxes.json. The loop over pairs calls the product's own matched IoU and,
as a second yardstick, shapely, on a sample of the pairs; its time for all pairs is scaled up.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from _common import environment_line, medians, save_result, time_alternating
from shapely import affinity
from shapely.geometry import Polygon, box
from torch import Tensor

from maskfield.ops.box_iou import rotated_iou, rotated_iou_matched
from maskfield.ops.nms import nms
from maskfield.ops.roi_pool import rotated_roi_pool

STRIDES = (4, 8, 16, 32)


def boxes(count: int, generator: torch.Generator, side: float = 160.0) -> Tensor:
    """Boxes of 5 to 45 voxels in a room of side x side x side / 2, as a detector proposes them."""
    centre = torch.rand(count, 3, generator=generator) * torch.tensor([side, side, side / 2])
    size = torch.rand(count, 3, generator=generator) * 40 + 5
    theta = (torch.rand(count, 1, generator=generator) - 0.5) * torch.pi
    return torch.cat([centre, size, theta], dim=1)


def proposals(count: int, generator: torch.Generator) -> Tensor:
    """Boxes that crowd around 40 objects."""
    objects = boxes(40, generator)[torch.randint(0, 40, (count,), generator=generator)]
    noise = torch.randn(count, 7, generator=generator)
    scale = torch.tensor([3.0, 3, 3, 2, 2, 2, 0.15])
    moved = objects + noise * scale
    return torch.cat([moved[:, :3], moved[:, 3:6].clamp_min(2), moved[:, 6:]], dim=1)


def loop(function: Callable[[Tensor, Tensor], object], a: Tensor, b: Tensor) -> None:
    """One call per pair."""
    for p in a:
        for q in b:
            function(p, q)


def shapely_iou(a: Tensor, b: Tensor) -> float:
    """IoU of two OBBs the way a script would do it."""
    (outline_a, za, ha, va), (outline_b, zb, hb, vb) = _outline(a), _outline(b)
    height = max(0.0, min(za + ha / 2, zb + hb / 2) - max(za - ha / 2, zb - hb / 2))
    shared = outline_a.intersection(outline_b).area * height
    return shared / (va + vb - shared)


def _outline(row: Tensor) -> tuple[Polygon, float, float, float]:
    x, y, z, w, d, h, theta = row.tolist()
    flat = box(x - w / 2, y - d / 2, x + w / 2, y + d / 2)
    turned = affinity.rotate(flat, theta, origin=(x, y), use_radians=True)
    return turned, z, h, w * d * h


def iou_rows(n: int, m: int, generator: torch.Generator, repeats: int) -> dict[str, float]:
    """Seconds for n x m boxes; the torch path on n / 10 rows, loops on 4 x 25 pairs, scaled."""
    a, b = proposals(n, generator), boxes(m, generator)
    small = a[:4], b[:25]
    tenth = a[: max(1, n // 10)]
    scale = {"torch": n / len(tenth), "loop_torch": n * m / 100, "loop_shapely": n * m / 100}
    seconds = medians(
        time_alternating(
            {
                "numba": lambda: rotated_iou(a, b, backend="numba"),
                "torch": lambda: rotated_iou(tenth, b, backend="torch"),
                "loop_torch": lambda: loop(rotated_iou_matched, *small),
                "loop_shapely": lambda: loop(shapely_iou, *small),
            },
            repeats,
        )
    )
    return {k: v * scale.get(k, 1) for k, v in seconds.items()}


def nms_rows(n: int, generator: torch.Generator, repeats: int) -> dict[str, float]:
    """Seconds of NMS at 0.3: proposals around objects, and scattered ones, of which more stay."""
    crowd, apart = proposals(n, generator), boxes(n, generator)
    scores = torch.rand(n, generator=generator)
    calls = {
        "crowded": lambda: nms(crowd, scores, 0.3, backend="numba"),
        "scattered": lambda: nms(apart, scores, 0.3, backend="numba"),
    }
    return medians(time_alternating(calls, repeats))


def pool_rows(n: int, generator: torch.Generator, repeats: int) -> dict[str, float]:
    """Seconds of rotated RoI pooling of n RoIs: 256 channels, maps of a 160 x 160 x 80 grid."""
    features = [torch.randn(256, 160 // s, 160 // s, 80 // s, generator=generator) for s in STRIDES]
    rois, levels = boxes(n, generator), torch.randint(0, 4, (n,), generator=generator)
    options = {"output": (3, 3, 3), "strides": STRIDES}
    calls = {
        "max": lambda: rotated_roi_pool(features, rois, levels, mode="max", **options),
        "interpolate": lambda: rotated_roi_pool(
            features, rois, levels, mode="interpolate", **options
        ),
    }
    return medians(time_alternating(calls, repeats))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--proposals", type=int, default=2500)
    parser.add_argument("--truths", type=int, default=300)
    parser.add_argument("--rois", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    generator = torch.Generator().manual_seed(0)
    iou = iou_rows(args.proposals, args.truths, generator, args.repeats)
    suppression = nms_rows(args.proposals, generator, args.repeats)
    pooling = pool_rows(args.rois, generator, args.repeats)
    print(environment_line())
    rows = {
        f"rotated IoU {args.proposals} x {args.truths}": iou,
        f"NMS of {args.proposals} OBBs": suppression,
        f"rotated RoI pooling of {args.rois}": pooling,
    }
    for title, seconds in rows.items():
        print(title)
        for name, value in seconds.items():
            print(f"  {name:16} {value * 1e3:12.2f} ms")
    ratios = {k: iou[k] / iou["numba"] for k in ("loop_torch", "loop_shapely", "torch")}
    print("numba IoU is faster by", {k: round(v) for k, v in ratios.items()})
    measured = {"iou_s": iou, "iou_ratio": ratios, "nms_s": suppression, "roi_pool_s": pooling}
    save_result("boxes", {"options": vars(args), **measured})


if __name__ == "__main__":
    main()
