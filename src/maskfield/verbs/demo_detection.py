"""The end of the NeRF-MAE demo: boxes, by a detector from pre-trained weights and one from scratch.

One's own photographs come without boxes to learn from; there the package's detector answers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from maskfield.data.radiance_grid import RadianceGrid
    from maskfield.data.scene import Scene
    from maskfield.engine.config import RunConfig
    from maskfield.figures.report import Section
    from maskfield.geometry.boxes import Boxes3D
    from maskfield.methods.nerf_rpn.model.detector import Detector
    from maskfield.verbs.demo_plan import DemoJob

ARMS = ("pretrained", "scratch")
PACKAGED = "zoo:detector-tiny"
_THRESHOLD = 0.3
_ROWS = (
    ("AP at IoU 0.25", "ap_25"),
    ("AP at IoU 0.5", "ap_50"),
    ("recall at 0.5", "recall_50_top_300"),
)


@dataclass(frozen=True, kw_only=True)
class Found:
    """Boxes in the demo's own scene.

    Attributes:
        boxes: best first. truth: of the furniture, where it is known.
        metrics: per arm, on held-out rooms; empty where nothing was trained.
        packaged: boxes by the package's detector, beside those of one trained here.
    """

    boxes: Boxes3D
    truth: Boxes3D | None
    metrics: Mapping[str, Mapping[str, float]]
    packaged: Boxes3D | None = None


def detection_config(job: DemoJob, pretraining: RunConfig, arm: str) -> RunConfig:
    """``nerf-mae-detect:tiny-cpu`` cut to the demo's size, for one of the two arms."""
    from maskfield.recipes.finetune import detect_tiny_cpu, from_scratch

    base, size = detect_tiny_cpu(), job.size
    config = replace(
        base,
        name=f"detect, {arm}",
        seed=job.seed,
        method=replace(base.method, base=pretraining.method),
        data=replace(
            base.data,
            resolution=size.resolution,
            train_count=size.detect_rooms,
            validation_count=size.validation_grids,
            cache=pretraining.data.cache,
        ),
        engine=replace(
            base.engine,
            steps=size.detect_steps,
            log_every=max(1, size.detect_steps // 20),
            validate_every=0,
            checkpoint_every=0,
            keep_checkpoints=1,
        ),
    )
    return from_scratch(config) if arm == "scratch" else config


def train_and_find(
    job: DemoJob, pretraining: RunConfig, grid: RadianceGrid, scene: Scene, init: Path
) -> Found:
    """Fine-tune both arms equally; the one that continues ``init`` answers for the fitted room."""
    from maskfield.engine.loop import run
    from maskfield.verbs.demo_stages import finished
    from maskfield.verbs.models import load_detector

    metrics = {}
    for arm in ARMS:
        config, folder = detection_config(job, pretraining, arm), job.folder / f"detect-{arm}"
        start = init if arm == "pretrained" else None
        metrics[arm] = finished(run(config, folder, init=start)).metrics
    loaded = load_detector(job.folder / "detect-pretrained", "cpu")
    found = _found(loaded.model, grid, scene, metrics, loaded.resolution)
    return replace(found, packaged=find_with_package(grid, scene).boxes)


def find_with_package(grid: RadianceGrid, scene: Scene) -> Found:
    """Boxes in one's own scene by the detector that comes with the package."""
    from maskfield.verbs.models import load_detector

    loaded = load_detector(PACKAGED, "cpu")
    return _found(loaded.model, grid, scene, {}, loaded.resolution)


def detection_section(job: DemoJob, found: Found, grid: RadianceGrid, scene: Scene) -> Section:
    """The two arms side by side, and the boxes over grid and photographs."""
    from maskfield.figures.boxes import box_photographs, box_views
    from maskfield.figures.report import Figure, Section

    figures = [
        Figure(
            picture=box_views(grid, found.boxes, found.truth),
            caption="Boxes over the fitted grid, best first.",
        ),
        Figure(
            picture=box_photographs(scene, found.boxes, found.truth, count=6),
            caption="The same boxes on the photographs.",
        ),
    ]
    if found.packaged is not None:
        caption = f"For comparison: what the package's own detector ({PACKAGED}) finds here."
        picture = box_photographs(scene, found.packaged, found.truth, count=6)
        figures.append(Figure(picture=picture, caption=caption))
    return Section(
        title="Boxes", text=[_story(job, found)], table=_table(found.metrics), figures=figures
    )


def numbers(found: Found) -> dict[str, float]:
    """The figures of both arms under one heading."""
    rows = {f"{arm} {k}": v for arm, m in found.metrics.items() for k, v in m.items()}
    return {"boxes": float(len(found.boxes)), **rows}


def _found(
    model: Detector,
    grid: RadianceGrid,
    scene: Scene,
    metrics: Mapping[str, Mapping[str, float]],
    resolution: int | None = None,
) -> Found:
    from maskfield.methods.nerf_rpn.predict import detect

    truth = _furniture(scene.boxes) if metrics else scene.boxes
    top = 20 if truth is None else max(len(truth), 1)
    threshold = 0.0 if metrics else _THRESHOLD  # a detector of a few steps is sure of nothing
    boxes = detect(model, grid, resolution=resolution, top=top, threshold=threshold)
    return Found(boxes=boxes, truth=truth, metrics=metrics)


def _furniture(boxes: Boxes3D | None) -> Boxes3D | None:
    """Without walls, doors, pictures: what the detectors are trained to find."""
    import torch

    from maskfield.data.synthetic.classes import CLASS_ID, FURNITURE

    if boxes is None:
        return None
    return boxes[torch.isin(boxes.label, torch.tensor([CLASS_ID[n] for n in FURNITURE]))]


def _story(job: DemoJob, found: Found) -> str:
    if not found.metrics:
        return (
            "The package's own detector, trained on procedural rooms alone, asked about your "
            "scene: trust it as far as your scene looks like a furnished room."
        )
    return (
        f"Two detectors, {job.size.detect_steps} steps each on {job.size.detect_rooms} rooms with "
        "boxes: one continues the network pre-trained above, one starts from nothing. A few steps "
        "on one seed show the path, not who wins: docs/results.md has the table with seeds. The "
        "pictures show the pre-trained one's best boxes, as many as there are pieces of furniture."
    )


def _table(metrics: Mapping[str, Mapping[str, float]]) -> list[tuple[str, ...]]:
    if not metrics:
        return []
    head = ("on held-out rooms", *(f"{arm}" for arm in ARMS))
    return [head, *((label, *(f"{metrics[a][k]:.3f}" for a in ARMS)) for label, k in _ROWS)]
