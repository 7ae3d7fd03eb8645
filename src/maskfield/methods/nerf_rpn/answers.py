"""Every held-out answer of a detector, in the files the official programs write."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jaxtyping import Int
from torch import Tensor

from maskfield.core.files import write_json
from maskfield.methods.nerf_rpn.files import (
    Proposals,
    official_evaluation,
    write_evaluation,
    write_proposals,
)
from maskfield.metrics.detection import SceneDetections, scene_report


def write_answers(
    directory: Path,
    names: Sequence[str],
    scenes: Sequence[SceneDetections],
    levels: Sequence[Int[Tensor, " _n"]],
    *,
    post_nms: int,
) -> list[Path]:
    """``eval.json``, ``scenes.json`` and ``proposals/NAME.npz``.

    Args:
        names, scenes, levels: of the same grids, in one order.
        post_nms: most proposals a grid can have; recalls at larger counts are left out.
    """
    paths = [
        write_evaluation(official_evaluation(scenes, post_nms=post_nms), directory / "eval.json")
    ]
    reports = {name: scene_report(scene) for name, scene in zip(names, scenes, strict=True)}
    write_json(directory / "scenes.json", reports)
    paths.append(directory / "scenes.json")
    for name, scene, level in zip(names, scenes, levels, strict=True):
        proposals = Proposals(boxes=scene.boxes, scores=scene.scores, levels=level)
        paths.append(write_proposals(proposals, directory / "proposals" / f"{name}.npz"))
    return paths
