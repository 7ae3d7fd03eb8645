"""How outputs are compared. One table: the words of a tolerance -> the comparison they mean.

A scalar tolerance t means |a - b| <= t + t |b|. Integers may differ by the whole part of atol only.
NaN equals NaN, an infinity equals itself. A comparator may read stored outputs; an adapter never.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from golden import words
from golden.case import Case

Outputs = Mapping[str, Any]
Compare = Callable[[Tensor, Tensor], str | None]


@dataclass(frozen=True)
class Words:
    """One row: a pattern for the words, and what they mean (called with the numbers in them).

    Attributes:
        names: pattern of the outputs the row is about, where the words tell them apart.
    """

    pattern: str
    compare: Callable[..., Compare]
    names: str = ".*"


def close(atol: float, rtol: float) -> Compare:
    """|a - b| <= atol + rtol |b|, b the stored value."""

    def compare(stored: Tensor, found: Tensor) -> str | None:
        return difference(stored, found, lambda b: atol + rtol * b.abs(), atol)

    return compare


def relative_to_max(t: float, floor: float = 0.0) -> Compare:
    """|a - b| <= t max|b|, or ``floor`` if that is more."""

    def allowed(b: Tensor) -> Tensor:
        return (t * _finite(b).abs().max()).clamp(min=floor)

    return lambda stored, found: difference(stored, found, allowed, 0)


def relative_to_std(t: float) -> Compare:
    """|a - b| <= t std(b); of a single value, which has no spread, t |b|."""

    def scale(b: Tensor) -> Tensor:
        return _finite(b).abs().max() if b.numel() == 1 else _finite(b).std(unbiased=False)

    return lambda stored, found: difference(stored, found, lambda b: t * scale(b), 0)


def by_step(first: float, later: float) -> Compare:
    """|a - b| <= t |b|, t being ``first`` in row 0 and ``later`` below."""

    def allowed(b: Tensor) -> Tensor:
        t = torch.full_like(b, later)
        t[:1] = first
        return t * b.abs()

    return lambda stored, found: difference(stored, found, allowed, 0)


def accumulating(atol: float, rtol: float) -> Compare:
    """ "Multi-step cases [...]: compare the first steps tightly; later steps accumulate rounding".

    Rows 0 and 1 by ``atol`` and ``rtol``; each later one 8 times looser than the one before, up to
    100 times. Adam divides gradients by their size: a rounding error of a small component is a
    whole step of it, and the network's highest octave makes the next gradients others.
    """

    def allowed(b: Tensor) -> Tensor:
        slack = [min(100.0, 8.0 ** max(0, i - 1)) for i in range(len(b))]
        looser = torch.tensor(slack, dtype=b.dtype).view(-1, *[1] * (b.dim() - 1))
        return looser * (atol + rtol * b.abs())

    return lambda stored, found: difference(stored, found, allowed, atol)


_T = r"(?P<t>[\d.]+(?:e-?\d+)?)"
MULTI_STEP = ("pose_opt_vanilla_nerf", "official_loop")  # the golden README says how to compare
TRUST = "official_trustworthy"  # stored beside the outputs, says where they hold: not an output
_LATER = r"([\d.]+(?:e-?\d+)?)"
TABLE = (
    # a row of IoUs stored beside the index lists is a float32 result, not an index
    Words(r"index lists exact", lambda: close(1e-5, 1e-5), names="iou_row_.*"),
    Words(r"exact|index lists exact|exact selection", lambda: close(0, 0)),
    Words(_T, lambda t: close(t, t)),
    Words(_T + r" \(float32 storage\)", lambda t: close(t, t)),
    # an IoU is no metric yet: the official kernel is exact to some 2e-6 (spec nerf_rpn 5.1)
    Words(_T + r" on metrics", lambda t: close(4 * t, 4 * t), names=".*_overlaps"),
    Words(_T + r" on metrics", lambda t: close(t, t)),
    Words(_T + r" rel", relative_to_max),
    Words(_T + r" relative to std", relative_to_std),
    Words(_T + r" \(relative to the std of each tensor\)", relative_to_std),
    # the boxes are first brought to the stored one of their equivalent forms, see ALIGN
    Words(_T + r"[ ;].*compare (?:their )?decoded boxes as polygons.*", lambda t: close(t, t)),
    Words(rf"{_T} abs on IoU, .*", lambda t: close(t, 0), names="(matrix_)?iou_.*|giou3d_[a-z]*"),
    Words(rf".* on IoU, .*; gradients {_T} rel to max", relative_to_max, names="grad_.*"),
    Words(rf".* on IoU, {_T} rel on losses/areas; .*", lambda t: close(t / 10, t)),
    # elsewhere the exact value is asked for, see ALIGN
    Words(rf"compare with official where .* is true \({_T}\); .*", lambda t: close(t, t)),
    Words(rf"losses {_T} rel, gradients .* rel of max", relative_to_max, names=".*loss_.*"),
    Words(rf"losses .* rel, gradients {_T} rel of max", relative_to_max),
    Words(rf"proposals {_T}; losses .*", lambda t: close(t, t), names=r"(boxes|scores)_\d+"),
    Words(rf"proposals .*; losses {_T} rel at step 0, {_LATER} later", by_step, names="train_log"),
    # both meshes are brought to one order first, see ALIGN
    Words(r"compare as point sets", lambda: close(1e-5, 1e-4)),
    # biases in front of a norm have no gradient: what is stored is float32 noise
    Words(rf"proposals .*; losses .*, {_T} later", lambda t: relative_to_max(t, floor=1e-4 * t)),
)


def comparison(config: Mapping[str, Any], name: str = "") -> Compare:
    """The comparison meta.json asks for, of the output called ``name``.

    Raises:
        LookupError: no row of the table has these words.
    """
    words = config.get("tolerance")
    if words is None and name.startswith("rot_err_deg") and "atol_rot_err_deg" in config:
        # "the arccos form amplifies rounding near zero angle"
        return close(float(config["atol_rot_err_deg"]), float(config["rtol"]))
    if words is None and config.get("kind") in MULTI_STEP:
        return accumulating(float(config["atol"]), float(config["rtol"]))
    if words is None and "atol" in config:
        words = {"atol": config["atol"], "rtol": config["rtol"]}
    if words is None:
        return close(0, 0)
    if isinstance(words, Mapping) and set(words) == {"atol", "rtol"}:
        return close(float(words["atol"]), float(words["rtol"]))
    for row in TABLE:
        match = re.fullmatch(row.pattern, str(words))
        if match and re.fullmatch(row.names, name):
            return row.compare(*[float(n) for n in match.groups()])
    raise LookupError(f"no comparator quotes the words of this tolerance: {words!r}")


def difference(
    stored: Tensor, found: Tensor, allowed: Callable[[Tensor], Any], integer_slack: float
) -> str | None:
    """None when equal within ``allowed(stored)``, else one line saying how they differ."""
    if stored.shape != found.shape:
        return f"shape {tuple(found.shape)}, stored {tuple(stored.shape)}"
    if stored.numel() == 0:
        return None
    b, a = stored.double(), found.double()
    bound = allowed(b) if stored.is_floating_point() else math.floor(integer_slack)
    same = (a == b) | (a.isnan() & b.isnan())
    wrong = ~(same | ((a - b).abs() <= torch.as_tensor(bound).double()))
    if not wrong.any():
        return None
    at = tuple(int(i[0]) for i in wrong.nonzero(as_tuple=True)) if wrong.dim() else ()
    worst = float((a - b).abs()[wrong].nan_to_num(math.inf).max())
    return (
        f"{int(wrong.sum())} of {wrong.numel()} values differ, worst by {worst:.3g}; "
        f"first at {at}: {float(a[at]):.9g}, stored {float(b[at]):.9g}"
    )


def json_difference(stored: Any, found: Any, compare: Compare, path: str = "") -> list[str]:
    """Differences of two JSON values; numbers by ``compare``, everything else exactly."""
    if isinstance(stored, Mapping) and isinstance(found, Mapping):
        lines = [f"{path}/{k}: not in the stored file" for k in found.keys() - stored.keys()]
        lines += [f"{path}/{k}: missing" for k in stored.keys() - found.keys()]
        for k in stored.keys() & found.keys():
            lines += json_difference(stored[k], found[k], compare, f"{path}/{k}")
        return sorted(lines)
    if isinstance(stored, list) and isinstance(found, list | tuple):
        if len(stored) != len(found):
            return [f"{path}: {len(found)} entries, stored {len(stored)}"]
        pairs = enumerate(zip(stored, found, strict=True))
        return [d for i, (s, f) in pairs for d in json_difference(s, f, compare, f"{path}/{i}")]
    if _is_number(stored) and _is_number(found):
        problem = compare(torch.tensor(stored), torch.tensor(found))
        return [f"{path}: {problem}"] if problem else []
    return [] if stored == found else [f"{path}: {found!r}, stored {stored!r}"]


def up_to_axis_signs(case: Case, stored: Outputs, found: Outputs) -> Outputs:
    """ "eigenvector signs are implementation dependent (compare up to a sign flip per axis)".

    Rows of the found matrices get the signs that bring ``transform`` to the stored one.
    """
    dots = (stored["transform"][:3, :3] * found["transform"][:3, :3]).sum(1)
    signs = torch.where(dots < 0, -1.0, 1.0).to(found["transform"])
    turned = dict(found)
    rows = found["transform"]
    turned["transform"] = torch.cat([signs[:, None] * rows[:3], rows[3:]])
    turned["poses_out"] = signs[:, None] * found["poses_out"]
    return turned


def but_for_thin_bins(case: Case, stored: Outputs, found: Outputs) -> Outputs:
    """Fine samples of a NeRF that hang on the last bit of the coarse pass.

    A quantile that falls into a bin of almost no weight (1e-5 of all), or beside the end of the
    CDF, moves through the whole bin with a rounding error of the coarse weights, and the network's
    highest octave turns once in 0.012 units. Up to 5 % of the samples may therefore differ; what
    they are composited to is compared without exception.
    """
    name = "raw_fine"
    if found[name].shape != stored[name].shape:
        return found
    bound = case.config["atol"] + case.config["rtol"] * stored[name].abs()
    wrong = ((found[name] - stored[name]).abs() > bound).any(-1, keepdim=True)
    if float(wrong.float().mean()) > 0.05:
        return found
    return {**found, name: torch.where(wrong, stored[name], found[name])}


def but_for_kinks(case: Case, stored: Outputs, found: Outputs) -> Outputs:
    """The first gradient of a search that begins at the source view's own pose.

    There every ray goes back through the centre of its own pixel, where bilinear look-up has a
    kink: its slope is that of the left or of the right cell (or, at the border, none), as rounding
    falls. That row of ``grad_pose`` is asked to agree within 20 % of its largest entry; the pose
    after it and all later rows are compared as they are.
    """
    name, bound = "grad_pose", 0.2 * stored["grad_pose"][:1].abs().max()
    if found[name].shape != stored[name].shape:
        return found
    first = found[name][:1]
    if bool(((first - stored[name][:1]).abs() <= bound).all()):
        first = stored[name][:1]
    return {**found, name: torch.cat([first.to(stored[name]), found[name][1:]])}


def exact_where_official_fails(case: Case, stored: Outputs, found: Outputs) -> Outputs:
    """ "compare with official where official_trustworthy is true; elsewhere the official result is
    wrong [...] and a new implementation should match iou_3d_exact_f64 (NaN exact = zero-volume
    union: any finite value in [0,1])".

    Where the official result is wrong, the exact IoU is turned into it; nothing else is asked.
    """
    if TRUST not in stored:
        return found
    trusted, exact = stored[TRUST], stored["iou_3d_exact_f64"]
    aligned = {k: _rows_or(trusted, v, stored[k]) for k, v in found.items()}
    iou = found["iou_3d"].double()
    good = torch.where(exact.isnan(), (iou >= 0) & (iou <= 1), (iou - exact).abs() <= 1e-4)
    answer = torch.where(good, stored["iou_3d"], torch.inf)  # inf: equal to no stored IoU
    aligned["iou_3d"] = torch.where(trusted, found["iou_3d"], answer)
    undefined = exact.isnan() & found["iou_3d_exact_f64"].isfinite()
    aligned["iou_3d_exact_f64"] = torch.where(undefined, exact, found["iou_3d_exact_f64"])
    aligned["inter_area_2d_exact_f64"] = found["inter_area_2d_exact_f64"]
    return aligned


def as_point_sets(case: Case, stored: Outputs, found: Outputs) -> Outputs:
    """ "PyMCubes vertex/triangle order is not required", "compare as point sets".

    The found vertices are put into the stored order, one to one. Within a cell of the lattice a
    polygon may be cut along either diagonal: surfaces are one when every cell has as many triangles
    and they have the same directed outline.
    """
    if len(found["vertices"]) != len(stored["vertices"]):
        return found
    order = torch.cdist(stored["vertices"].double(), found["vertices"].double()).argmin(1)
    if len(order.unique()) != len(order):
        return found
    aligned = dict(found) | {"vertices": found["vertices"][order]}
    box, nodes = words.box(case.config["config"]), torch.tensor(stored["sigma_grid"].shape)
    step = (box[1] - box[0]).double() / nodes
    if _outlines(aligned, order, box[0], step) == _outlines(stored, None, box[0], step):
        aligned["triangles"] = stored["triangles"]
    return aligned


def counted(case: Case, stored: Outputs, found: Outputs) -> Outputs:
    """ "fully merged configuration trees of the named experiments": n says how many are named.

    The names are outputs, so the adapter returns every experiment it knows.
    """
    known = stored["resolved.json"].keys() & found["resolved.json"].keys()
    return dict(found) | {"n": torch.tensor(len(known))}


def _outlines(
    mesh: Outputs, order: Tensor | None, origin: Tensor, step: Tensor
) -> tuple[Counter[Any], set[Any]]:
    """Triangles in every cell, and the directed edges of the polygons they make up there.

    Args:
        order: where each vertex comes from, when the vertices have been put into another order.
    """
    triangles = mesh["triangles"] if order is None else order.argsort()[mesh["triangles"]]
    middles = mesh["vertices"].double()[triangles].mean(1)
    cells = ((middles - origin) / step).floor().long().tolist()
    edges: set[Any] = set()
    for cell, (a, b, c) in zip(cells, triangles.tolist(), strict=True):
        for start, end in ((a, b), (b, c), (c, a)):
            if (*cell, end, start) in edges:
                edges.remove((*cell, end, start))
            else:
                edges.add((*cell, start, end))
    return Counter(map(tuple, cells)), edges


ALIGN: dict[str, Callable[[Case, Outputs, Outputs], Outputs]] = {
    "nerf_mae/pca_poses": up_to_axis_signs,
    "pixelnerf/config_resolved": counted,
    "pixelnerf/marching_cubes": as_point_sets,
    "nerf_rpn/rotated_iou": exact_where_official_fails,
    "inerf/nerf_render": but_for_thin_bins,
    "inerf/official_loop": but_for_kinks,
}


def _rows_or(kept: Tensor, found: Tensor, stored: Tensor) -> Tensor:
    """``found``, with the rows that are not ``kept`` taken from ``stored``."""
    if found.shape != stored.shape or len(found) != len(kept):
        return found
    return torch.where(kept.view(-1, *[1] * (found.dim() - 1)), found, stored)


def _finite(values: Tensor) -> Tensor:
    kept = values[values.isfinite()]
    return kept if kept.numel() else values.new_zeros(1)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
