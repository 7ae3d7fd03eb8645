"""nerf_rpn: anchors, coders, matching and sampling."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from golden.by_name import ByName
from golden.case import Case
from golden.comparators import ALIGN, Outputs
from golden.registry import golden
from golden.words import find
from maskfield.methods.nerf_rpn import anchors, matching
from maskfield.methods.nerf_rpn.coders import aligned, fcos, midpoint, regions
from maskfield.methods.nerf_rpn.geometry import diagonal_points
from maskfield.methods.nerf_rpn.projection import camera_from_grid, project

Coder = Callable[[Tensor, Tensor], Tensor]
SPECIAL_ANGLES = 17  # "rows 0..16"


@golden("nerf_rpn/anchors")
def anchor_grids(case: Case) -> dict[str, Tensor]:
    answer: dict[str, Tensor] = {}
    for i, (size,) in enumerate(case.config["sizes"]):
        answer[f"cell_anchors_{i}"] = anchors.cell_anchors(size)
        answer[f"cell_anchors_normalized_{i}"] = anchors.cell_anchors(size, equal_volume=True)
    names = {k.split("_")[0] for k in case.inputs}
    shortest = [size for (size,) in case.config["sizes"]]
    for name in names:
        x, y, z = case.inputs[f"{name}_grid"].tolist()
        cells = [(a, b, c) for a, b, c in case.inputs[f"{name}_feature_shapes"].tolist()]
        found = anchors.all_anchors((x, y, z), cells, sizes=shortest)
        sizes = case.inputs[f"{name}_original_sizes"]
        answer[f"{name}_anchors"] = torch.cat(found)
        answer[f"{name}_num_per_level"] = torch.tensor([len(a) for a in found])
        answer[f"{name}_strides"] = torch.tensor(anchors.level_strides((x, y, z), cells))
        valid = anchors.anchor_validity((x, y, z), cells, sizes)
        answer[f"{name}_padding_mask"] = torch.cat(valid, dim=1)
    return answer


@golden("nerf_rpn/projection_2d")
def projection_2d(case: Case) -> Mapping[str, Any]:
    points = diagonal_points(case.inputs["boxes"]).flatten(0, 1)

    def pixels(side: str) -> Tensor:
        return project(points, camera_from_grid(float(side)))

    def cameras(side: str) -> Tensor:
        return camera_from_grid(float(side))

    return ByName({"points": points}, {r"projected_(\d+)": pixels, r"w2c_(\d+)": cameras})


@golden("nerf_rpn/coder_aabb")
def coder_aabb(case: Case) -> Mapping[str, Any]:
    return coded(case, "anchors", aligned.encode_aligned, aligned.decode_aligned)


@golden("nerf_rpn/coder_rotated")
def coder_rotated(case: Case) -> Mapping[str, Any]:
    return coded(case, "rois", regions.encode_in_region, regions.decode_in_region)


@golden("nerf_rpn/coder_fcos_obb")
def coder_fcos_obb(case: Case) -> Mapping[str, Any]:
    def encode(boxes: Tensor, points: Tensor) -> Tensor:
        return fcos.encode_oriented(points, boxes)

    def decode(given: Tensor, points: Tensor) -> Tensor:
        return fcos.decode_oriented(points, given)

    answer = coded(case, "locations", encode, decode)
    return answer.also({"theta_well_defined": ~fcos.collapses(answer["decoded_pred"])})


@golden("nerf_rpn/coder_midpoint")
def coder_midpoint(case: Case) -> Mapping[str, Any]:
    boxes = case.inputs["boxes"]
    polygon = midpoint.mirrored_polygon(boxes)
    answer = coded(case, "anchors", midpoint.encode_midpoint, midpoint.decode_midpoint)
    return answer.also(
        {
            "obb2hbb_3d": midpoint.outer_box(boxes),
            "obb2points_3d": diagonal_points(boxes).flatten(0, 1),
            "obb2poly_2d": polygon.flatten(1),
            "obb2poly_3d": midpoint.mirrored_prism(boxes).flatten(1),
            "rectpoly2obb": midpoint.rectangle_of(polygon),
        }
    )


def coded(case: Case, reference: str, encode: Coder, decode: Coder) -> ByName:
    """Encoding, round trip, decoded predictions, and gradients of the weighted decoded rows."""
    boxes, ref = case.inputs["boxes"], case.inputs[reference]
    given = case.inputs["pred"].clone().requires_grad_()
    encoded, decoded = encode(boxes, ref), decode(given, ref)

    def gradient(first: str) -> Tensor:
        weighted = (case.inputs["grad_weight"] * decoded)[int(first) :].sum()
        return torch.autograd.grad(weighted, given, retain_graph=True)[0]

    return ByName(
        {
            "encoded": encoded,
            "roundtrip": decode(encoded, ref),
            "decoded_pred": decoded.detach(),
        },
        {r"grad_pred_rows_(\d+)_on": gradient},
    )


def equivalent_rectangles(stored: Tensor, found: Tensor, special: Tensor) -> Tensor:
    """ "compare as polygons": special rows in the equivalent form nearest to the stored one.

    (w, l, theta), (l, w, theta + pi / 2) and every further half turn are one rectangle.
    """
    theta, w = found.shape[1] - 1, 2 if found.shape[1] == 5 else 3
    forms = []
    for quarter in range(-4, 5):
        form = found.clone()
        form[:, theta] += quarter * math.pi / 2
        if quarter % 2:
            form[:, [w, w + 1]] = form[:, [w + 1, w]]
        forms.append(form)
    stack = torch.stack(forms)
    best = (stack - stored).abs().sum(-1).nan_to_num(torch.inf).argmin(0)
    nearest = stack[best, torch.arange(len(found))]
    return torch.where(special[:, None], nearest, found)


def align_coder(case: Case, stored: Outputs, found: Outputs) -> Outputs:
    """ "rows 0..16 special angles: compare decoded boxes as polygons"; no noise is compared.

    Where the official description says so (or the polygon collapses, spec 7.2) theta and gradient
    are rounding noise.
    """
    aligned_outputs = dict(found)
    special = torch.arange(len(stored["roundtrip"])) < SPECIAL_ANGLES
    for name in ("roundtrip", "rectpoly2obb"):
        if name in stored:
            aligned_outputs[name] = equivalent_rectangles(stored[name], found[name], special)
    if "theta_well_defined" in stored:
        noise = ~stored["theta_well_defined"]
    else:
        noise = midpoint.collapses(case.inputs["pred"])
    decoded = found["decoded_pred"].clone()
    decoded[noise, -1] = stored["decoded_pred"][noise, -1]
    aligned_outputs["decoded_pred"] = decoded
    for name in stored:
        if name.startswith("grad_"):
            aligned_outputs[name] = torch.where(noise[:, None], stored[name], found[name])
    return aligned_outputs


ALIGN["nerf_rpn/coder_fcos_obb"] = ALIGN["nerf_rpn/coder_midpoint"] = align_coder


@golden("nerf_rpn/matcher_sampler")
def matcher_sampler(case: Case) -> Mapping[str, Any]:
    """The labels and permutations of the sampler are given among the outputs: see the aligner."""

    def matches(foreground: str, background: str, rescue: str) -> Tensor:
        quality, low = case.inputs["quality"], rescue == "True"
        return matching.match(quality, float(foreground), float(background), rescue=low)

    drawn = torch.zeros(0)
    return ByName(
        {}, {r"matches_(.+)_(.+)_(True|False)": matches, r"sampler_(.+)": lambda _: drawn}
    )


def sampled_as_given(case: Case, stored: Outputs, found: Outputs) -> Outputs:
    """What "the random permutations given explicitly" choose: indices[perm[:k]]."""
    words = find(case.config, "batch", r"batch (\d+), fraction ([\d.]*\d)")
    answer = dict(found)
    for name in [k.removesuffix("_labels") for k in stored if k.endswith("_labels")]:
        given = {part: stored[f"{name}_perm_{part}"] for part in ("pos", "neg")}
        draws = iter(given.values())

        def permute(count: int, draws: Iterator[Tensor] = draws) -> Tensor:
            return permutation(next(draws), count)

        labels = stored[f"{name}_labels"]
        masks = matching.balanced_sample(labels, int(words[1]), float(words[2]), permute)
        answer[f"{name}_labels"] = labels
        for part, mask in zip(given, masks, strict=True):
            answer[f"{name}_perm_{part}"] = given[part]
            answer[f"{name}_{part}_mask"] = mask
            answer[f"{name}_num_{part}"] = mask.sum()
    return answer


def permutation(given: Tensor, count: int) -> Tensor:
    """``given``, after checking that it is a permutation of ``count``."""
    if sorted(given.tolist()) != list(range(count)):
        raise AssertionError(f"{count} are to be permuted; the case permutes {len(given)}")
    return given


ALIGN["nerf_rpn/matcher_sampler"] = sampled_as_given


@golden("nerf_rpn/roi_sampler")
def roi_sampler(case: Case) -> Mapping[str, Any]:
    """Our own draws here; the aligner repeats it with those given among the outputs."""
    generator = torch.Generator().manual_seed(0)
    permute = matching.permutation_from(generator)
    uniform = matching.uniform_from(generator)
    answer = sampled_regions(case, permute, uniform)
    return ByName(answer, {r"random_draw_\d+": lambda: torch.zeros(0)})


def sampled_regions(
    case: Case, permute: matching.Permute, uniform: matching.Uniform
) -> dict[str, Tensor]:
    """Sampled and evaluated regions of all scenes."""
    words = find(case.config, "batch", r"batch (\d+) over (\d+) scenes -> \d+ each, (\d+) foreg")
    batch, scenes, foreground = (int(n) for n in words.groups())
    count = batch // scenes
    high, low = case.config["thresholds"]
    answer: dict[str, Tensor] = {}
    drawn: list[tuple[Tensor, ...]] = []
    for i in range(scenes):
        rois, gt = case.inputs[f"rois_{i}"], case.inputs[f"gt_{i}"]
        regions_ = matching.RegionTargets.of(rois[:, 1:], gt)
        rows, labels = regions_.sample(count, high, low, foreground / count, permute, uniform)
        drawn.append((rois[rows], regions_.boxes[rows], labels.float()))
        answer[f"eval_labels_{i}"] = (regions_.overlap >= high).float()
        answer[f"eval_gt_{i}"] = regions_.boxes
    for name, values in zip(("rois", "gt", "labels"), zip(*drawn, strict=True), strict=True):
        answer[f"sampled_{name}"] = torch.stack(values)
    return answer


def regions_as_given(case: Case, stored: Outputs, found: Outputs) -> Outputs:
    """ "random_draw_* are, per scene, the permutation of the foreground, then the uniforms"."""
    draws = [stored[k] for k in sorted(stored, key=_draw_number) if k.startswith("random_draw_")]
    left = iter(draws)
    answer = sampled_regions(
        case, lambda n: permutation(next(left), n), lambda n: uniforms(next(left), n)
    )
    return {**found, **answer, **{f"random_draw_{i}": d for i, d in enumerate(draws)}}


def uniforms(given: Tensor, count: int) -> Tensor:
    """``given``, after checking that it is ``count`` numbers in [0, 1]."""
    if given.shape != (count,) or not ((given >= 0) & (given <= 1)).all():
        raise AssertionError(f"{count} uniforms are wanted; the case gives {tuple(given.shape)}")
    return given


def _draw_number(name: str) -> int:
    return int(name.rsplit("_", 1)[-1]) if name.startswith("random_draw_") else -1


ALIGN["nerf_rpn/roi_sampler"] = regions_as_given
