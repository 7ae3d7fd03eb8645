"""What the report of the NeRF-MAE demo shows, a section per stage."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maskfield.data.radiance_grid import RadianceGrid
    from maskfield.data.scene import Scene
    from maskfield.engine.config import RunConfig
    from maskfield.engine.loop import RunResult
    from maskfield.figures.pictures import Picture
    from maskfield.figures.report import Section


def scene_section(scene: Scene) -> Section:
    """The photographed room: some photographs, and where the cameras stand."""
    from maskfield.figures.frusta import draw_frusta
    from maskfield.figures.pictures import resized, table_of
    from maskfield.figures.report import Figure, Section

    step = max(1, len(scene) // 12)
    views = [resized(scene.images[i * step], height=120) for i in range(min(12, len(scene)))]
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


def fit_section(scene: Scene, fitted: RunResult) -> Section:
    """The fitted field: its numbers, curves, and held-out photographs beside what it shows."""
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


def grid_section(grid: RadianceGrid) -> Section:
    """The extracted grid, from outside and in slices."""
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


def pretraining_section(trained: RunResult, config: RunConfig) -> Section:
    """Masked pre-training: its numbers beside the baselines, and its curves."""
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
            f"{config.data.train_count} other rooms, rasterised to grids of "
            f"{config.data.resolution} voxels. {100 * config.method.mask_ratio:.0f} % of each is "
            f"hidden, and the network learns to bring it back. {trained.step} steps of "
            f"{config.data.batch_size} grids are a small slice of a training run: "
            "`maskfield pretrain nerf-mae:tiny-cpu` goes on for some 20 minutes.",
        ],
        table=table,
        figures=[Figure(picture=curves, caption="Losses and PSNR over the steps.")],
    )


def reconstruction_section(
    trained: RunResult, grid: RadianceGrid, config: RunConfig, shown: int
) -> Section:
    """``shown`` grids each as original, what is shown, and what is brought back."""
    from maskfield.figures.pictures import table_of
    from maskfield.figures.report import Figure, Section
    from maskfield.methods.nerf_mae.pictures import TITLES

    rows, labels = _reconstructions(trained.folder, grid, config, shown)
    return Section(
        title="5. Hidden and brought back",
        text=[
            "Each row: the original grid, what the network is shown, the hidden part filled in by "
            "the network, and the network's answer for everything (it is not trained on what it is "
            "shown, so only the hidden part counts). The first row is the room that was "
            "photographed and fitted above; the others are held-out rooms.",
        ],
        figures=[
            Figure(
                picture=table_of(rows, titles=TITLES, labels=labels),
                caption="Original, masked and reconstructed radiance grids.",
            )
        ],
    )


def _reconstructions(
    run: Path, grid: RadianceGrid, config: RunConfig, shown: int
) -> tuple[list[list[Picture]], list[str]]:
    """One row of pictures per grid: the fitted room, then held-out rooms."""
    import torch

    from maskfield.data.grid_sources import open_grids
    from maskfield.engine.restore import restore_task
    from maskfield.methods.nerf_mae.losses import masked_voxels
    from maskfield.methods.nerf_mae.model import NerfMAE
    from maskfield.methods.nerf_mae.pictures import reconstruction_row

    model = restore_task(run, device="cpu").task.model
    assert isinstance(model, NerfMAE)  # the run is the demo's own
    _, held_out = open_grids(config.data)
    grids = [grid.rgba(), *(held_out.rgba(i) for i in range(shown))]
    generator = torch.Generator().manual_seed(config.seed)
    rows = []
    for rgba in grids:
        token_mask = model.draw_mask(1, generator)
        answer = model.reconstruct(rgba, token_mask[0])
        shape = torch.tensor([rgba.shape[1:]])
        masked = masked_voxels(token_mask, shape, config.method.resolution)[0]
        rows.append(reconstruction_row(rgba, answer, masked, shape[0].tolist()))
    return rows, ["fitted room", *(f"held-out room {i + 1}" for i in range(shown))]
