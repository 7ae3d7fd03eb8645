"""The demo of NeRF-MAE: photographs → field → grid → masked pre-training → boxes → report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from maskfield.verbs.demo_plan import FULL, QUICK, DemoJob
from maskfield.verbs.demo_record import Record, clear, refuse_what_would_be_cleared, write_demo

if TYPE_CHECKING:
    from maskfield.data.radiance_grid import RadianceGrid
    from maskfield.data.scene import Scene
    from maskfield.engine.config import RunConfig
    from maskfield.methods.nerf_mae.model import NerfMAE
    from maskfield.verbs.demo_stages import Sight

_CLEARED = ("scene", "fit", "pretrain", "detect-pretrained", "detect-scratch")


@dataclass
class MaeRecord(Record):
    """``config`` is that of the pre-training, when there was one."""

    config: RunConfig | None = None


def run_demo(
    folder: Path, *, quick: bool, seed: int, data: str | None = None, init: str | None = None
) -> Path:
    """See :func:`maskfield.api.demo`."""
    from maskfield.verbs.demo_stages import trained_network

    job = DemoJob(folder=folder, size=QUICK if quick else FULL, seed=seed, data=data, init=init)
    record = MaeRecord()
    refuse_what_would_be_cleared(folder, _CLEARED, {"data": data, "init": init})
    model = None if init is None else trained_network(init)
    resolution = job.size.resolution if model is None else model.config.resolution
    scene, grid, sight = _photographs_to_grid(job, record, resolution)
    if model is None:
        model = _train(job, record)
    _hide_and_bring_back(job, record, model, grid, sight)
    _find_boxes(job, record, grid, scene)
    return _write(job, record)


def _photographs_to_grid(
    job: DemoJob, record: MaeRecord, resolution: int
) -> tuple[Scene, RadianceGrid, Sight]:
    """Photographs, a field fitted to them, and its grid as the network sees it; how to draw it."""
    from maskfield.verbs import demo_sections as sections
    from maskfield.verbs import demo_stages as do

    with record.stages("read the photographs" if job.data else "photograph a room"):
        scene = do.photographs(job)
        clear(job.folder, _CLEARED)
        scene = do.keep_photographs(job, scene)
    with record.stages("fit a radiance field"):
        fitted = do.fit(job, scene)
    with record.stages("extract its grid"):
        grids = do.extract(job, scene, resolution)
    with record.stages("draw"):
        record.shown.append(sections.scene_section(scene, job.data))
        record.shown.append(sections.fit_section(scene, fitted))
        record.shown.append(sections.grid_section(grids, do.sight_of(scene)))
    record.numbers["fit"] = {"step": fitted.step, **fitted.metrics}
    return scene, grids[-1], do.sight_of(scene)


def _train(job: DemoJob, record: MaeRecord) -> NerfMAE:
    """A network, pre-trained for a while on procedural rooms."""
    from maskfield.verbs import demo_sections as sections
    from maskfield.verbs import demo_stages as do

    record.config = do.pretraining(job)
    with record.stages("make training grids"):
        do.make_grids(record.config)
    with record.stages("pre-train"):
        trained = do.pretrain(job, record.config)
    with record.stages("draw"):
        record.shown.append(sections.pretraining_section(trained, record.config))
    record.numbers["pre-training"] = {"step": trained.step, **trained.metrics}
    return do.trained_network(trained.folder)


def _hide_and_bring_back(
    job: DemoJob, record: MaeRecord, model: NerfMAE, grid: RadianceGrid, sight: Sight
) -> None:
    """Parts of the grid hidden, and what the network makes of them."""
    from maskfield.verbs import demo_sections as sections
    from maskfield.verbs import demo_stages as do

    with record.stages("mask and reconstruct"):
        found = do.reconstruct(job, model, grid, sight, record.config)
        record.shown.append(sections.reconstruction_section(found, model, job.init))
    record.numbers["reconstruction"] = found.errors


def _find_boxes(job: DemoJob, record: MaeRecord, grid: RadianceGrid, scene: Scene) -> None:
    """Two detectors trained here where a network was, else the one that comes with the package."""
    from maskfield.verbs import demo_detection as detection

    with record.stages("find boxes" if record.config is None else "fine-tune two detectors"):
        if record.config is None or job.data is not None:
            found = detection.find_with_package(grid, scene)
        else:
            trained = job.folder / "pretrain"
            found = detection.train_and_find(job, record.config, grid, scene, trained)
    with record.stages("draw"):
        record.shown.append(detection.detection_section(job, found, grid, scene))
    record.numbers["detection"] = detection.numbers(found)


# ------------------------------------------------------------------ the report


def _write(job: DemoJob, record: MaeRecord) -> Path:
    trained = "" if record.config is None else "masked pre-training → "
    return write_demo(
        record,
        job.folder,
        title=_title(job),
        way=f"photographs → radiance field → grid → {trained}masked and brought back → boxes",
        config=_configuration(job, record),
    )


def _title(job: DemoJob) -> str:
    subject = "procedural rooms" if job.data is None else Path(job.data).name
    return f"NeRF-MAE on {subject}" + (" (quick form)" if job.size is QUICK else "")


def _configuration(job: DemoJob, record: MaeRecord) -> str:
    """Of the pre-training, or of the fit when nothing was trained."""
    from maskfield.core.config import to_yaml
    from maskfield.core.runs import RunFolder

    if record.config is not None:
        return to_yaml(record.config)
    return RunFolder.open(job.folder / "fit").config_path.read_text(encoding="utf-8")
