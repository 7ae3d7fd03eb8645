"""What the report of the NeRF-MAE demo shows, a section per stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maskfield.data.radiance_grid import RadianceGrid
    from maskfield.data.scene import Scene
    from maskfield.engine.config import RunConfig
    from maskfield.engine.loop import RunResult
    from maskfield.figures.report import Figure, Section
    from maskfield.methods.nerf_mae.model import NerfMAE
    from maskfield.verbs.demo_stages import Reconstructions, Sight


def scene_section(scene: Scene, data: str | None, subject: str = "a room") -> Section:
    """What was photographed: some photographs, and where the cameras stand.

    Args:
        data: where one's own photographs came from; None: a procedural ``subject``.
    """
    from maskfield.figures.frusta import draw_frusta
    from maskfield.figures.pictures import resized, table_of
    from maskfield.figures.report import Figure, Section

    count = min(12, len(scene))
    views = [resized(scene.images[i * len(scene) // count], height=120) for i in range(count)]
    sheet = table_of([views[i : i + 6] for i in range(0, count, 6)])
    held_out = len(scene.split.get("test", ()))
    origin = "made by the procedural simulator" if data is None else f"read from {data}"
    unit = "metres" if scene.metric else "scene units"
    return Section(
        title=f"Photographs of {subject}" if data is None else "Photographs",
        text=[
            f"{len(scene)} posed photographs of {scene.cameras.width} x {scene.cameras.height} "
            f"pixels, {origin}; {held_out or 'none'} of them are held out of the fit."
        ],
        figures=[
            Figure(picture=sheet, caption="Some of the photographs."),
            Figure(picture=draw_frusta(scene), caption=f"Where the cameras stand, in {unit}."),
        ],
    )


def fit_section(scene: Scene, fitted: RunResult) -> Section:
    """The fitted field: its numbers, curves, and held-out photographs beside what it shows."""
    from maskfield.core.runs import RunFolder
    from maskfield.fields.fit import load_field
    from maskfield.figures.curves import draw_curves, panels_from_log
    from maskfield.figures.report import Figure, Section
    from maskfield.verbs.fit import comparison

    curves = draw_curves(panels_from_log(RunFolder.open(fitted.folder).read_log()))
    pictures = comparison(load_field(fitted.folder), scene)
    which = "held-out" if scene.split.get("test") else "training"
    return Section(
        title="A radiance field fitted to the photographs",
        text=["An explicit voxel field, fitted coarse to fine by volume rendering."],
        numbers={
            f"{which} PSNR": f"{fitted.metrics['psnr']:.2f} dB",
            f"{which} SSIM": f"{fitted.metrics['ssim']:.3f}",
            "steps": str(fitted.step),
        },
        figures=[
            Figure(
                picture=pictures,
                caption=f"{which.capitalize()} photographs, what the field shows there, "
                "and its depth.",
            ),
            Figure(picture=curves, caption="The fit, step by step."),
        ],
    )


def grid_section(grids: Sequence[RadianceGrid], sight: Sight) -> Section:
    """The extracted grid, from outside and in slices; several: at several resolutions."""
    from maskfield.figures.report import Section

    finest, seen = grids[0], grids[-1]
    occupied = float((seen.to_alpha() > 0.01).float().mean())
    numbers = {"voxels": _by(finest)}
    if seen is not finest:
        numbers["as the network sees it"] = _by(seen)
    return Section(
        title="Its radiance and density grid",
        text=["The field sampled on voxels: what the network sees of a scene."],
        numbers={**numbers, "occupied": f"{100 * occupied:.0f} %"},
        figures=[figure for grid in grids for figure in _grid_figures(grid, sight)],
    )


def _grid_figures(grid: RadianceGrid, sight: Sight) -> list[Figure]:
    from maskfield.figures.grids import grid_picture, grid_slices
    from maskfield.figures.pictures import beside
    from maskfield.figures.report import Figure

    views = [sight.draw(grid), grid_picture(grid, view="top", cutaway=sight.cutaway)]
    left_out = "; ceiling and near walls are left out" if sight.cutaway else ""
    return [
        Figure(
            picture=beside(views, ("from the side", "from above")),
            caption=f"The grid of {_by(grid)} voxels, rendered{left_out}.",
        ),
        Figure(picture=grid_slices(grid), caption="Cuts through the middle, normal to x, y, z."),
    ]


def _by(grid: RadianceGrid) -> str:
    return " x ".join(str(n) for n in grid.resolution)


def pretraining_section(trained: RunResult, config: RunConfig) -> Section:
    """Masked pre-training: its numbers beside the baselines, and its curves."""
    from maskfield.core.runs import RunFolder
    from maskfield.figures.curves import draw_curves, panels_from_log
    from maskfield.figures.report import Figure, Section

    curves = draw_curves(panels_from_log(RunFolder.open(trained.folder).read_log()))
    return Section(
        title="Masked pre-training",
        text=[
            f"{config.data.train_count} other rooms, rasterised to grids of "
            f"{config.data.resolution} voxels. {100 * config.method.mask_ratio:.0f} % of each is "
            f"hidden, and the network learns to bring it back. {trained.step} steps of "
            f"{config.data.batch_size} grids are a small slice of a training run: "
            "`maskfield pretrain nerf-mae:tiny-cpu` goes on for some 20 minutes.",
        ],
        table=_beside_baselines(trained.metrics, "on hidden voxels of held-out rooms"),
        figures=[Figure(picture=curves, caption="Losses and PSNR over the steps.")],
    )


def reconstruction_section(found: Reconstructions, model: NerfMAE, init: str | None) -> Section:
    """Grids each as original, what is shown, and what is brought back; the errors there."""
    from maskfield.figures.pictures import table_of
    from maskfield.figures.report import Figure, Section
    from maskfield.methods.nerf_mae.pictures import TITLES

    ratio = 100 * model.config.mask_ratio
    origin = "pre-trained above" if init is None else f"read from {init}, as it is"
    return Section(
        title="Hidden and brought back",
        text=[
            f"{ratio:.0f} % of the blocks of each grid are hidden from the network ({origin}). "
            "Each row: the original grid, what the network is shown, and the hidden part filled in "
            "by the network. The first row is the scene fitted above. A network brings back what "
            "is like the scenes it was trained on: one trained on whole rooms alone closes the "
            "cube of an object with walls.",
        ],
        table=_beside_baselines(found.errors, "on hidden voxels of the fitted scene"),
        figures=[
            Figure(
                picture=table_of(found.rows, titles=TITLES, labels=found.labels),
                caption="Original, masked and reconstructed radiance grids.",
            )
        ],
    )


def _beside_baselines(m: Mapping[str, float], head: str) -> list[tuple[str, ...]]:
    """Errors on hidden voxels (``nerf_mae.metrics.summarise``) as a table."""
    return [
        (head, "network", "mean visible", "nearest visible"),
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
