"""The demo of NeRF-MAE: photographs of a room → field → grid → masked pre-training → report."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from maskfield.core.files import write_text

if TYPE_CHECKING:
    from maskfield.data.radiance_grid import RadianceGrid
    from maskfield.data.scene import Scene
    from maskfield.engine.config import RunConfig
    from maskfield.engine.loop import RunResult
    from maskfield.figures.report import Section


_MARK = ".maskfield-demo"


@dataclass(frozen=True, kw_only=True)
class DemoSize:
    """How much of everything.

    Attributes:
        views, width, height: photographs of the room.
        fit_steps, fit_resolutions: of the radiance field.
        resolution: voxels along the longest side of the grids the network sees.
        block: tokens (of 4 voxels) along the side of a hidden block.
        train_grids, validation_grids: rasterised rooms.
        batch, steps: of pre-training. validate_every: steps between measurements.
        shown: held-out rooms in the picture of reconstructions.
    """

    views: int
    width: int
    height: int
    fit_steps: int
    fit_resolutions: tuple[int, int]
    resolution: int
    block: int
    train_grids: int
    validation_grids: int
    batch: int
    steps: int
    validate_every: int
    shown: int


FULL = DemoSize(
    views=100,
    width=160,
    height=120,
    fit_steps=1500,
    fit_resolutions=(64, 128),
    resolution=64,
    block=4,
    train_grids=256,
    validation_grids=8,
    batch=4,
    steps=180,
    validate_every=60,
    shown=3,
)
QUICK = DemoSize(
    views=60,
    width=96,
    height=72,
    fit_steps=450,
    fit_resolutions=(48, 80),
    resolution=32,
    block=2,
    train_grids=64,
    validation_grids=4,
    batch=4,
    steps=120,
    validate_every=30,
    shown=2,
)


@dataclass
class Stages:
    """Seconds per stage, in order."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


def run_demo(folder: Path, *, quick: bool, seed: int) -> Path:
    """See :func:`maskfield.api.demo`."""
    from maskfield.verbs import demo_sections as sections

    size, stages = QUICK if quick else FULL, Stages()
    _clear(folder)
    with stages("photograph a room"):
        scene = _photographs(folder, size, seed)
    with stages("fit a radiance field"):
        fitted = _fit(scene, folder, size, seed)
    with stages("extract its grid"):
        grid = _extract(folder, scene, size)
    config = _pretraining(folder, size, seed)
    with stages("make training grids"):
        _make_grids(config)
    with stages("pre-train"):
        trained = _pretrain(config, folder)
    with stages("draw"):
        shown = [
            sections.scene_section(scene),
            sections.fit_section(scene, fitted),
            sections.grid_section(grid),
            sections.pretraining_section(trained, config),
            sections.reconstruction_section(trained, grid, config, size.shown),
        ]
    return _write(folder, shown, stages, config, quick=quick)


# ------------------------------------------------------------------ the stages


def _photographs(folder: Path, size: DemoSize, seed: int) -> Scene:
    """A room that no training grid shows, photographed; every 8th view is held out."""
    from maskfield.data.scene import load_scene, save_scene
    from maskfield.data.synthetic.rooms import room_scene
    from maskfield.data.synthetic.splits import split_seeds

    room = split_seeds("test", seed + 1)[seed]
    scene = room_scene(room, views=size.views, width=size.width, height=size.height)
    return load_scene(save_scene(scene, folder / "scene"))


def _fit(scene: Scene, folder: Path, size: DemoSize, seed: int) -> RunResult:
    from maskfield.data.config import SceneDataConfig
    from maskfield.fields.fit import fit_config, fit_scene

    base = fit_config("quick", SceneDataConfig(path=str((folder / "scene").resolve())))
    config = replace(
        base,
        name="fit",
        seed=seed,
        method=replace(base.method, resolutions=size.fit_resolutions),
        engine=replace(
            base.engine,
            steps=size.fit_steps,
            log_every=max(1, size.fit_steps // 50),
            validate_every=max(1, size.fit_steps // 10),
        ),
    )
    return _finished(fit_scene(scene, folder / "fit", config))


def _extract(folder: Path, scene: Scene, size: DemoSize) -> RadianceGrid:
    from maskfield.data.radiance_grid import save_grid
    from maskfield.fields.extract import extract_grid
    from maskfield.fields.fit import load_field

    grid = extract_grid(load_field(folder / "fit"), scene, longest=size.resolution)
    save_grid(grid, folder / "grid.safetensors")
    return grid


def _pretraining(folder: Path, size: DemoSize, seed: int) -> RunConfig:
    """The ``tiny-cpu`` recipe, cut to the demo's size."""
    from maskfield.recipes.nerf_mae import tiny_cpu

    base = tiny_cpu()
    return replace(
        base,
        name="pre-train",
        seed=seed,
        method=replace(base.method, resolution=size.resolution, block_size=size.block),
        data=replace(
            base.data,
            resolution=size.resolution,
            batch_size=size.batch,
            train_count=size.train_grids,
            validation_count=size.validation_grids,
            cache=str((folder / "grids").resolve()),
        ),
        engine=replace(
            base.engine,
            steps=size.steps,
            log_every=max(1, size.steps // 50),
            validate_every=size.validate_every,
            checkpoint_every=0,
            keep_checkpoints=1,
        ),
    )


def _make_grids(config: RunConfig) -> None:
    """Rasterise the training rooms now, so that the report tells their time apart."""
    from maskfield.data.grid_sources import open_grids

    open_grids(config.data)


def _pretrain(config: RunConfig, folder: Path) -> RunResult:
    from maskfield.engine.loop import run

    return _finished(run(config, folder / "pretrain"))


def _finished(result: RunResult) -> RunResult:
    """The result, unless Ctrl-C ended the run early: then the demo ends too."""
    if result.interrupted:
        raise KeyboardInterrupt(f"the state of step {result.step} is saved in {result.folder}")
    return result


# ------------------------------------------------------------------ the report and its folder


def _write(
    folder: Path, shown: list[Section], stages: Stages, config: RunConfig, *, quick: bool
) -> Path:
    from maskfield.core.config import to_yaml
    from maskfield.core.log import memory_gb
    from maskfield.figures.report import Report, duration, write_report
    from maskfield.verbs.doctor import environment

    total = duration(sum(stages.seconds.values()))
    report = Report(
        title="NeRF-MAE on procedural rooms" + (" (quick form)" if quick else ""),
        subtitle=f"photographs → radiance field → grid → masked pre-training, in {total}",
        sections=shown,
        stages=stages.seconds,
        environment={**environment(), "memory in use at the end": f"{memory_gb():.2f} GiB"},
        config=to_yaml(config),
    )
    return write_report(report, folder / "report.html")


def _clear(folder: Path) -> None:
    """Make room for another demo in a folder that a demo wrote to before; leave anything else."""
    if (folder / _MARK).is_file():
        for name in ("scene", "fit", "pretrain"):
            shutil.rmtree(folder / name, ignore_errors=True)
    write_text(folder / _MARK, "A demo of maskfield writes here and clears what it wrote before.\n")
