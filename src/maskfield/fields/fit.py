"""Fit a field to a scene, and load what a fit has left."""

from __future__ import annotations

from dataclasses import replace

from maskfield.core.errors import CheckpointError
from maskfield.core.files import StrPath
from maskfield.core.log import ProgressMode
from maskfield.data.config import SceneDataConfig
from maskfield.data.scene import Scene
from maskfield.engine.checkpoint import load_weights
from maskfield.engine.config import EngineConfig, RunConfig
from maskfield.engine.loop import RunResult, run
from maskfield.fields.config import PRESETS, VoxelFitConfig
from maskfield.fields.task import VoxelFitTask
from maskfield.fields.voxel import VoxelField, field_from_weights

STEPS = {"default": 1600, "quick": 1000}


def fit_config(preset: str = "default", data: SceneDataConfig | None = None) -> RunConfig:
    """The complete config of a preset, "default" or "quick"."""
    return RunConfig(
        method=PRESETS[preset](),
        data=data,
        engine=EngineConfig(
            steps=STEPS[preset],
            log_every=50,
            keep_checkpoints=1,
            best_metric="psnr",
            best_mode="max",
        ),
        name=f"fit ({preset})",
    )


def fit_scene(
    scene: Scene | StrPath,
    folder: StrPath,
    config: RunConfig | VoxelFitConfig | None = None,
    *,
    resume: StrPath | None = None,
    progress: ProgressMode = "auto",
) -> RunResult:
    """Fit a voxel field; leaves a run folder (see ``engine.loop.run``).

    Args:
        scene: a scene, or anything that ``SceneDataConfig`` reads.
        config: the whole run, or only its method; the default preset unless given.
        resume: "auto" or a checkpoint, to go on with an interrupted fit in ``folder``.

    Raises:
        SceneError, ConfigError, CheckpointError, StorageError: before time is spent.
    """
    data = None if isinstance(scene, Scene) else SceneDataConfig(path=str(scene))
    if config is None:
        config = fit_config()
    elif isinstance(config, VoxelFitConfig):
        config = replace(fit_config(), method=config)
    if data is not None and config.data is None:
        config = replace(config, data=data)
    loaded = scene if isinstance(scene, Scene) else config.data.build()
    task = VoxelFitTask(config, loaded)
    return run(config, folder, task=task, resume=resume, progress=progress)


def load_field(path: StrPath) -> VoxelField:
    """The fitted field in a run folder, checkpoint folder or weights file.

    Raises:
        CheckpointError: missing, damaged, or weights of something else.
    """
    weights, header = load_weights(path)
    conventions = header.get("conventions", {})
    if conventions.get("kind") != "VoxelField":
        raise CheckpointError(
            "these weights are not a voxel field",
            file=path,
            field="conventions.kind",
            value=conventions.get("kind"),
            remedy="give the run folder of `maskfield fit`",
        )
    return field_from_weights(weights, conventions)
