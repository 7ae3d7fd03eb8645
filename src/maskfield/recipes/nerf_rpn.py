"""Detection from scratch: ``nerf-rpn:tiny-cpu``, ``nerf-rpn:small``, ``nerf-rpn:paper``."""

from __future__ import annotations

from dataclasses import replace

from maskfield.data.config import GridDataConfig
from maskfield.engine.config import OptimConfig, RunConfig, ScheduleConfig
from maskfield.methods.nerf_rpn.config import SWIN_S, FCOSConfig, NerfRPNConfig, SwinConfig
from maskfield.recipes.engines import training_engine

TINY_HEAD = FCOSConfig(convs=2, pre_nms_count=400, post_nms_count=400)


def tiny_cpu() -> RunConfig:
    """Procedural rooms at 64 voxels, a network of 1.6 M parameters: minutes on two cores."""
    swin = SwinConfig(embed_dim=24, depths=(2, 2, 2, 2), heads=(1, 2, 4, 8), norm_outputs=True)
    return RunConfig(
        name="nerf-rpn:tiny-cpu",
        method=NerfRPNConfig(backbone=swin, head=TINY_HEAD, channels=64, resolution=64),
        data=GridDataConfig(resolution=64, batch_size=4, train_count=128, validation_count=32),
        optim=OptimConfig(lr=1e-3, weight_decay=1e-3),
        schedule=ScheduleConfig(name="one_cycle"),
        engine=training_engine(600, 200, "ap_50"),
    )


def small() -> RunConfig:
    """Swin-T at 96 voxels on one accelerator."""
    return RunConfig(
        name="nerf-rpn:small",
        method=NerfRPNConfig(
            backbone=replace(SWIN_S, depths=(2, 2, 6, 2), norm_outputs=True), resolution=96
        ),
        data=GridDataConfig(resolution=96, batch_size=8, train_count=1024, validation_count=64),
        optim=OptimConfig(lr=3e-4, weight_decay=1e-3),
        schedule=ScheduleConfig(name="one_cycle"),
        engine=training_engine(20_000, 1000, "ap_50"),
    )


def paper() -> RunConfig:
    """The released recipe for 3D-FRONT: Swin-S, FCOS, oriented boxes, 200 epochs of 122 scenes."""
    return RunConfig(
        name="nerf-rpn:paper",
        method=NerfRPNConfig(backbone=SWIN_S, head=FCOSConfig()),
        data=GridDataConfig(
            path="data/front3d_rpn_data", resolution=160, batch_size=8, workers=4, density="exp"
        ),
        optim=OptimConfig(lr=3e-4, weight_decay=1e-3),
        schedule=ScheduleConfig(name="one_cycle"),
        engine=replace(training_engine(200 * 15, 150, "ap_50"), precision="fp32"),
    )
