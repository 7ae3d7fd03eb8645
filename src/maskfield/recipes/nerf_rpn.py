"""Detection from scratch: ``nerf-rpn:tiny-cpu``, ``nerf-rpn:small``, ``nerf-rpn:paper``."""

from __future__ import annotations

from dataclasses import replace

from maskfield.data.config import GridDataConfig
from maskfield.engine.config import EngineConfig, OptimConfig, RunConfig, ScheduleConfig
from maskfield.methods.nerf_rpn.config import SWIN_S, FCOSConfig, NerfRPNConfig, SwinConfig

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
        engine=detection_engine(steps=600, every=200),
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
        engine=detection_engine(steps=20_000, every=1000),
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
        engine=replace(detection_engine(steps=200 * 15, every=150), precision="fp32"),
    )


def detection_engine(steps: int, every: int) -> EngineConfig:
    """The loop of detection recipes: gradients clipped at 0.1, best by AP at IoU 0.5."""
    return EngineConfig(
        steps=steps,
        precision="auto",
        clip_grad_norm=0.1,
        validate_every=every,
        checkpoint_every=every,
        best_metric="ap_50",
        best_mode="max",
    )
