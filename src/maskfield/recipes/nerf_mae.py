"""Masked pre-training recipes: ``nerf-mae:tiny-cpu``, ``nerf-mae:small``, ``nerf-mae:paper``."""

from __future__ import annotations

from dataclasses import replace

from maskfield.data.config import GridDataConfig
from maskfield.engine.config import OptimConfig, RunConfig, ScheduleConfig
from maskfield.methods.nerf_mae.config import SIZES
from maskfield.recipes.engines import training_engine


def tiny_cpu() -> RunConfig:
    """Procedural rooms at 64 voxels, a 3 M parameter network: under 20 minutes on two cores."""
    return RunConfig(
        name="nerf-mae:tiny-cpu",
        method=replace(SIZES["tiny"], rgb_region="masked_occupied", per_sample_masks=True),
        data=GridDataConfig(resolution=64, batch_size=4, train_count=1024, validation_count=32),
        optim=OptimConfig(lr=1e-3, weight_decay=1e-3),
        schedule=ScheduleConfig(name="one_cycle"),
        engine=training_engine(2000, 250, "psnr"),
    )


def small() -> RunConfig:
    """Swin-T width at 96 voxels on one accelerator: some hours."""
    return RunConfig(
        name="nerf-mae:small",
        method=replace(SIZES["swin_t"], resolution=96),
        data=GridDataConfig(resolution=96, batch_size=16, train_count=4096, validation_count=64),
        optim=OptimConfig(lr=3e-4, weight_decay=1e-3),
        schedule=ScheduleConfig(name="one_cycle"),
        engine=training_engine(30_000, 1000, "psnr"),
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
        engine=training_engine(2000 * 102, 1020, "psnr"),
    )
