"""The stages of the NeRF-MAE demo, each from what the ones before have left."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from maskfield.core.errors import CheckpointError
from maskfield.verbs.demo_plan import DemoJob

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Generator, Tensor

    from maskfield.data.radiance_grid import RadianceGrid
    from maskfield.data.scene import Scene
    from maskfield.engine.config import RunConfig
    from maskfield.engine.loop import RunResult
    from maskfield.figures.grids import View
    from maskfield.figures.pictures import Picture
    from maskfield.methods.nerf_mae.metrics import ErrorSum
    from maskfield.methods.nerf_mae.model import NerfMAE

LOWEST, HIGHEST = 15.0, 45.0  # elevation of views of a grid, degrees
FINE = 160  # voxels along the longest side of the grid of one's own photographs


@dataclass(frozen=True, kw_only=True)
class Sight:
    """From where grids are drawn, and whether what is in front of the middle is left out."""

    view: View = "corner"
    cutaway: bool = True

    def draw(self, grid: RadianceGrid) -> Picture:
        """The grid seen from there."""
        from maskfield.figures.grids import grid_picture

        return grid_picture(grid, view=self.view, cutaway=self.cutaway)


@dataclass(frozen=True, kw_only=True)
class Reconstructions:
    """Grids hidden in part and brought back.

    Attributes:
        rows: pictures of each (``nerf_mae.pictures.reconstruction_row``). labels: one per row.
        errors: on what was hidden of the scene's own grid, see ``nerf_mae.metrics``.
    """

    rows: Sequence[Sequence[Picture]]
    labels: Sequence[str]
    errors: dict[str, float]


# ------------------------------------------------------------------ photographs → field → grid


def photographs(job: DemoJob) -> Scene:
    """One's own; or a room that no training grid shows, with every 8th view held out."""
    from maskfield.data.config import SceneDataConfig
    from maskfield.data.synthetic.rooms import room_scene
    from maskfield.data.synthetic.splits import split_seeds
    from maskfield.verbs.pretrain import absolute

    if job.data is not None:
        return SceneDataConfig(path=absolute(job.data)).build()
    room, size = split_seeds("test", job.seed + 1)[job.seed], job.size
    return room_scene(room, views=size.views, width=size.width, height=size.height)


def keep_photographs(job: DemoJob, scene: Scene) -> Scene:
    """The scene as it is stored in the demo's folder."""
    from maskfield.data.scene import load_scene, save_scene

    return load_scene(save_scene(scene, job.folder / "scene"))


def sight_of(scene: Scene) -> Sight:
    """A room seen from within, opened; else a thing, seen as its photographs show it."""
    import torch

    offset = scene.cameras.centres - scene.box.mean(0)
    inside = (offset.abs() < (scene.box[1] - scene.box[0]) / 2).all(1)
    if float(inside.float().mean()) > 0.5:
        return Sight()
    x, y, z = offset.mean(0)
    elevation = float(torch.rad2deg(torch.atan2(z, torch.hypot(x, y))))
    azimuth = float(torch.rad2deg(torch.atan2(y, x)))
    return Sight(view=(azimuth, min(max(elevation, LOWEST), HIGHEST)), cutaway=False)


def fit(job: DemoJob, scene: Scene) -> RunResult:
    """A voxel field; of one's own photographs just as `maskfield fit` does it."""
    from maskfield.fields.fit import fit_scene

    return finished(fit_scene(scene, job.folder / "fit", _fit_config(job)))


def _fit_config(job: DemoJob) -> RunConfig:
    from maskfield.data.config import SceneDataConfig
    from maskfield.fields.fit import fit_config

    data = SceneDataConfig(path=str((job.folder / "scene").resolve()))
    if job.data is not None:
        return replace(fit_config(job.size.fit_preset, data), name="fit", seed=job.seed)
    base, size = fit_config("quick", data), job.size
    return replace(
        base,
        name="fit",
        seed=job.seed,
        method=replace(base.method, resolutions=size.fit_resolutions),
        engine=replace(
            base.engine,
            steps=size.fit_steps,
            log_every=max(1, size.fit_steps // 50),
            validate_every=max(1, size.fit_steps // 10),
        ),
    )


def extract(job: DemoJob, scene: Scene, resolution: int) -> list[RadianceGrid]:
    """The grid that the network sees, last; before it a finer one of one's own photographs."""
    from maskfield.data.radiance_grid import save_grid
    from maskfield.fields.extract import extract_grid
    from maskfield.fields.fit import load_field

    fitted, grids = load_field(job.folder / "fit"), []
    sides = {resolution: "grid"}
    if job.data is not None and resolution != FINE:
        sides = {FINE: "grid", resolution: f"grid-{resolution}"}
    for longest, name in sides.items():
        grids.append(extract_grid(fitted, scene, longest=longest))
        save_grid(grids[-1], job.folder / f"{name}.safetensors")
    return grids


# ------------------------------------------------------------------ a network


def trained_network(path: Path | str) -> NerfMAE:
    """The network in a run, checkpoint, weights file (ours or official) or ``zoo:NAME``.

    Raises:
        CheckpointError: missing, damaged, or of another method.
    """
    from maskfield.engine.restore import restore_model
    from maskfield.methods.nerf_mae.model import NerfMAE
    from maskfield.verbs.weights import OFFICIAL_WEIGHTS, weights_in

    if Path(path).suffix.lower() in OFFICIAL_WEIGHTS:
        with tempfile.TemporaryDirectory() as scratch:
            ours = Path(scratch) / "init.safetensors"
            weights_in(Path(path), ours, recipe=None)
            return trained_network(ours)
    restored = restore_model(path, device="cpu")
    if not isinstance(restored.model, NerfMAE):
        raise CheckpointError(
            "these weights are not a masked autoencoder",
            file=path,
            field="config.method",
            value=type(restored.config.method).__name__,
            remedy="give a run of `maskfield pretrain nerf-mae:...` or official NeRF-MAE weights",
        )
    return restored.model


def pretraining(job: DemoJob) -> RunConfig:
    """The ``tiny-cpu`` recipe, cut to the demo's size."""
    from maskfield.recipes.nerf_mae import tiny_cpu

    base, size = tiny_cpu(), job.size
    return replace(
        base,
        name="pre-train",
        seed=job.seed,
        method=replace(base.method, resolution=size.resolution, block_size=size.block),
        data=replace(
            base.data,
            resolution=size.resolution,
            batch_size=size.batch,
            train_count=size.train_grids,
            validation_count=size.validation_grids,
            cache=str((job.folder / "grids").resolve()),
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


def make_grids(config: RunConfig) -> None:
    """Rasterise the training rooms now, so that the report tells their time apart."""
    from maskfield.data.grid_sources import open_grids

    open_grids(config.data)


def pretrain(job: DemoJob, config: RunConfig) -> RunResult:
    """Masked pre-training."""
    from maskfield.engine.loop import run

    return finished(run(config, job.folder / "pretrain"))


def finished(result: RunResult) -> RunResult:
    """The result, unless Ctrl-C ended the run early: then the demo ends too."""
    if result.interrupted:
        raise KeyboardInterrupt(f"the state of step {result.step} is saved in {result.folder}")
    return result


# ------------------------------------------------------------------ hidden and brought back


def reconstruct(
    job: DemoJob, model: NerfMAE, grid: RadianceGrid, sight: Sight, config: RunConfig | None
) -> Reconstructions:
    """The scene's grid, then held-out rooms of a training done here, or else other masks."""
    import torch

    from maskfield.data.grid_sources import open_grids
    from maskfield.methods.nerf_mae.metrics import summarise

    own, generator = grid.rgba(), torch.Generator().manual_seed(job.seed)
    pictures, errors = _hidden(model, own, generator, sight)
    rows, labels = [pictures], ["your scene" if job.data is not None else "fitted room"]
    for i in range(job.size.shown):
        if config is None:
            pictures, more = _hidden(model, own, generator, sight)
            errors = {name: errors[name] + more[name] for name in errors}
        else:
            pictures, _ = _hidden(model, open_grids(config.data)[1].rgba(i), generator, Sight())
        rows.append(pictures)
        labels.append(f"another mask {i + 1}" if config is None else f"held-out room {i + 1}")
    return Reconstructions(rows=rows, labels=labels, errors=summarise(errors))


def _hidden(
    model: NerfMAE, rgba: Float[Tensor, "4 x y z"], generator: Generator, sight: Sight
) -> tuple[list[Picture], dict[str, ErrorSum]]:
    """Hide a part of one grid by a mask from ``generator``: its pictures, and the errors there."""
    import torch

    from maskfield.methods.nerf_mae.losses import masked_voxels
    from maskfield.methods.nerf_mae.metrics import hidden_errors
    from maskfield.methods.nerf_mae.pictures import reconstruction_row

    cubes, sizes = model.pad(rgba)
    token_mask = model.draw_mask(1, generator)
    with torch.no_grad():
        prediction = model(cubes, sizes, token_mask).float()
    masked = masked_voxels(token_mask, sizes, cubes.shape[2])
    answer = torch.cat([prediction[0, :3].clamp(0, 1), prediction[0, 3:].sigmoid()])
    region = model.config.rgb_region
    pictures = reconstruction_row(
        cubes[0], answer, masked[0], sizes[0].tolist(), region, sight.draw
    )
    return pictures, hidden_errors(prediction, cubes, masked)
