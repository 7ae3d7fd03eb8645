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
    from maskfield.figures.pictures import Picture
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
    steps=200,
    validate_every=50,
    shown=3,
)
QUICK = DemoSize(
    views=40,
    width=96,
    height=72,
    fit_steps=300,
    fit_resolutions=(48, 80),
    resolution=32,
    block=2,
    train_grids=64,
    validation_grids=4,
    batch=4,
    steps=80,
    validate_every=20,
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
        sections = [
            _scene_section(scene),
            _fit_section(scene, fitted),
            _grid_section(grid),
            _pretraining_section(trained, config),
            _reconstruction_section(trained, grid, config, size),
        ]
    return _write(folder, sections, stages, config, quick=quick)


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
    return fit_scene(scene, folder / "fit", config)


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

    return run(config, folder / "pretrain")


# ------------------------------------------------------------------ the report


def _write(
    folder: Path, sections: list[Section], stages: Stages, config: RunConfig, *, quick: bool
) -> Path:
    from maskfield.core.config import to_yaml
    from maskfield.core.log import memory_gb
    from maskfield.figures.report import Report, duration, write_report
    from maskfield.verbs.doctor import environment

    total = duration(sum(stages.seconds.values()))
    report = Report(
        title="NeRF-MAE on procedural rooms" + (" (quick form)" if quick else ""),
        subtitle=f"photographs → radiance field → grid → masked pre-training, in {total}",
        sections=sections,
        stages=stages.seconds,
        environment={**environment(), "memory in use at the end": f"{memory_gb():.2f} GiB"},
        config=to_yaml(config),
    )
    return write_report(report, folder / "report.html")


def _scene_section(scene: Scene) -> Section:
    from maskfield.figures.frusta import draw_frusta
    from maskfield.figures.pictures import table_of
    from maskfield.figures.report import Figure, Section

    step = max(1, len(scene) // 12)
    views = [scene.images[i * step] for i in range(min(12, len(scene)))]
    sheet = table_of([views[:6], views[6:]])
    return Section(
        title="1. Photographs of a room",
        text=[
            f"{len(scene)} posed photographs of {scene.cameras.width} x {scene.cameras.height} "
            "pixels, made by the procedural simulator; every 8th is held out of the fit."
        ],
        figures=[
            Figure(picture=sheet, caption="Some of the photographs."),
            Figure(picture=draw_frusta(scene), caption="Where the cameras stand, in metres."),
        ],
    )


def _fit_section(scene: Scene, fitted: RunResult) -> Section:
    from maskfield.core.runs import RunFolder
    from maskfield.fields.fit import load_field
    from maskfield.figures.curves import draw_curves, panels_from_log
    from maskfield.figures.report import Figure, Section
    from maskfield.verbs.fit import comparison

    curves = draw_curves(panels_from_log(RunFolder.open(fitted.folder).read_log()))
    held_out = comparison(load_field(fitted.folder), scene)
    return Section(
        title="2. A radiance field fitted to the photographs",
        text=["An explicit voxel field, fitted coarse to fine by volume rendering."],
        numbers={
            "held-out PSNR": f"{fitted.metrics['psnr']:.2f} dB",
            "held-out SSIM": f"{fitted.metrics['ssim']:.3f}",
            "steps": str(fitted.step),
        },
        figures=[
            Figure(
                picture=held_out,
                caption="Held-out photographs, what the field shows there, and its depth.",
            ),
            Figure(picture=curves, caption="The fit, step by step."),
        ],
    )


def _grid_section(grid: RadianceGrid) -> Section:
    from maskfield.figures.grids import grid_picture, grid_slices
    from maskfield.figures.pictures import beside
    from maskfield.figures.report import Figure, Section

    views = [grid_picture(grid, view=v) for v in ("corner", "top")]
    x, y, z = grid.resolution
    occupied = float((grid.to_alpha() > 0.01).float().mean())
    return Section(
        title="3. Its radiance and density grid",
        text=["The field sampled on voxels: what the network sees of a scene."],
        numbers={"voxels": f"{x} x {y} x {z}", "occupied": f"{100 * occupied:.0f} %"},
        figures=[
            Figure(
                picture=beside(views, ("from a corner", "from above")),
                caption="The grid, rendered; ceiling and near walls are left out.",
            ),
            Figure(
                picture=grid_slices(grid), caption="Cuts through the middle, normal to x, y, z."
            ),
        ],
    )


def _pretraining_section(trained: RunResult, config: RunConfig) -> Section:
    from maskfield.core.runs import RunFolder
    from maskfield.figures.curves import draw_curves, panels_from_log
    from maskfield.figures.report import Figure, Section

    m = trained.metrics
    curves = draw_curves(panels_from_log(RunFolder.open(trained.folder).read_log()))
    table = [
        ("on hidden voxels of held-out rooms", "network", "mean visible", "nearest visible"),
        (
            "colour PSNR, occupied (dB)",
            f"{m['hidden_colour_psnr']:.2f}",
            f"{m['hidden_colour_mean_baseline_psnr']:.2f}",
            f"{m['hidden_colour_nearest_baseline_psnr']:.2f}",
        ),
        (
            "alpha MSE",
            f"{m['hidden_alpha_mse']:.4f}",
            "-",
            f"{m['hidden_alpha_nearest_baseline_mse']:.4f}",
        ),
    ]
    return Section(
        title="4. Masked pre-training",
        text=[
            f"{config.data.train_count} other rooms, rasterised to grids of {config.data.resolution} "
            f"voxels; {100 * config.method.mask_ratio:.0f} % of each is hidden and the network "
            f"learns to bring it back. {trained.step} steps of {config.data.batch_size} grids are a "
            "small slice of the recipe nerf-mae:tiny-cpu; the full recipe goes on ten times as long.",
        ],
        table=table,
        figures=[Figure(picture=curves, caption="Losses and PSNR over the steps.")],
    )


def _reconstruction_section(
    trained: RunResult, grid: RadianceGrid, config: RunConfig, size: DemoSize
) -> Section:
    from maskfield.figures.pictures import table_of
    from maskfield.figures.report import Figure, Section
    from maskfield.methods.nerf_mae.pictures import TITLES

    rows, labels = _reconstructions(trained.folder, grid, config, size)
    return Section(
        title="5. Hidden and brought back",
        text=[
            "Each row: the original grid, what the network is shown, the hidden part filled in by "
            "the network, and the network's answer for everything. The first row is the room that "
            "was photographed and fitted above; the others are held-out rooms."
        ],
        figures=[
            Figure(
                picture=table_of(rows, titles=TITLES, labels=labels),
                caption="Original, masked and reconstructed radiance grids.",
            )
        ],
    )


def _reconstructions(
    run: Path, grid: RadianceGrid, config: RunConfig, size: DemoSize
) -> tuple[list[list[Picture]], list[str]]:
    """One row of pictures per grid: the fitted room, then held-out rooms."""
    import torch

    from maskfield.data.grid_sources import open_grids
    from maskfield.engine.restore import restore_task
    from maskfield.methods.nerf_mae.losses import masked_voxels
    from maskfield.methods.nerf_mae.pictures import reconstruction_row

    model = restore_task(run, device="cpu").task.model
    _, held_out = open_grids(config.data)
    grids = [grid.rgba(), *(held_out.rgba(i) for i in range(size.shown))]
    generator = torch.Generator().manual_seed(config.seed)
    rows = []
    for rgba in grids:
        token_mask = model.draw_mask(1, generator)
        answer = model.reconstruct(rgba, token_mask[0])
        shape = torch.tensor([rgba.shape[1:]])
        masked = masked_voxels(token_mask, shape, config.method.resolution)[0]
        rows.append(reconstruction_row(rgba, answer, masked, shape[0].tolist()))
    return rows, ["fitted room", *(f"held-out room {i + 1}" for i in range(size.shown))]


def _clear(folder: Path) -> None:
    """Make room for another demo in a folder that a demo wrote to before; leave anything else."""
    if (folder / _MARK).is_file():
        for name in ("scene", "fit", "pretrain"):
            shutil.rmtree(folder / name, ignore_errors=True)
    write_text(folder / _MARK, "A demo of maskfield writes here and clears what it wrote before.\n")
