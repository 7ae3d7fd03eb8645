"""Masked pre-training recipes: ``nerf-mae:tiny-cpu``, ``nerf-mae:small``, ``nerf-mae:paper``."""

from __future__ import annotations

from dataclasses import replace

from maskfield.data.config import GridDataConfig
from maskfield.engine.config import EngineConfig, OptimConfig, RunConfig, ScheduleConfig
from maskfield.methods.nerf_mae.config import SIZES


def tiny_cpu() -> RunConfig:
    """Procedural rooms at 64 voxels, a 3 M parameter network: under 20 minutes on two cores."""
    return RunConfig(
        name="nerf-mae:tiny-cpu",
        method=replace(SIZES["tiny"], rgb_region="masked_occupied", per_sample_masks=True),
        data=GridDataConfig(resolution=64, batch_size=4, train_count=1024, validation_count=32),
        optim=OptimConfig(lr=1e-3, weight_decay=1e-3),
        schedule=ScheduleConfig(name="one_cycle"),
        engine=_engine(steps=2000, validate_every=250),
    )


def small() -> RunConfig:
    """Swin-T width at 96 voxels on one accelerator: some hours."""
    return RunConfig(
        name="nerf-mae:small",
        method=replace(SIZES["swin_t"], resolution=96),
        data=GridDataConfig(resolution=96, batch_size=16, train_count=4096, validation_count=64),
        optim=OptimConfig(lr=3e-4, weight_decay=1e-3),
        schedule=ScheduleConfig(name="one_cycle"),
        engine=_engine(steps=30_000, validate_every=1000),
    )


def paper() -> RunConfig:
    """The released recipe: Swin-S at 160, batch 32, AdamW 1e-4, OneCycle over 2000 epochs.

    3260 scenes at batch 32 make 102 steps an epoch; give the official features with ``--data``.
    The released checkpoint is the one at epoch 1200 of this schedule.
    """
    return RunConfig(
        name="nerf-mae:paper",
        method=SIZES["swin_s"],
        data=GridDataConfig(path="data/pretrain", resolution=160, batch_size=32, workers=4),
        optim=OptimConfig(lr=1e-4, weight_decay=1e-3),
        schedule=ScheduleConfig(name="one_cycle"),
        engine=_engine(steps=2000 * 102, validate_every=1020),
    )


def _engine(steps: int, validate_every: int) -> EngineConfig:
    return EngineConfig(
        steps=steps,
        precision="auto",
        clip_grad_norm=0.1,
        validate_every=validate_every,
        checkpoint_every=validate_every,
        best_metric="psnr",
        best_mode="max",
    )
