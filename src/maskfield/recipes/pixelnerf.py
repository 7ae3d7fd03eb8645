"""Views from a few photographs: ``pixelnerf:tiny-cpu``, ``:small`` and ``:paper``."""

from __future__ import annotations

from dataclasses import replace

from maskfield.data.object_config import ObjectDataConfig
from maskfield.engine.config import EngineConfig, OptimConfig, RunConfig, ScheduleConfig
from maskfield.methods.pixelnerf.config import (
    MLPConfig,
    PixelNeRFConfig,
    SamplingConfig,
    SmallEncoderConfig,
)

TINY_MLP = MLPConfig(blocks=3, hidden=96, combine_layer=2)
CONSTANT = ScheduleConfig(name="constant", warmup=0.0)
_SHORTER = 20  # fine-tuning takes this part of a recipe's steps
_SMALLER = 0.3  # and this part of its learning rate


def tiny_cpu() -> RunConfig:
    """Procedural objects of 64 pixels, 0.8 M parameters: about an hour on two cores."""
    return RunConfig(
        name="pixelnerf:tiny-cpu",
        method=PixelNeRFConfig(
            encoder=SmallEncoderConfig(widths=(32, 64, 96, 96)),
            mlp=TINY_MLP,
            mlp_fine=TINY_MLP,
            sampling=SamplingConfig(coarse=20, fine=16, fine_depth=6),
            boxed_steps=5000,
        ),
        data=ObjectDataConfig(
            source_views=(1, 2), train_count=1500, validation_count=16, rays=128, image_size=64
        ),
        optim=OptimConfig(lr=1e-3, weight_decay=0.0),
        schedule=ScheduleConfig(name="one_cycle"),
        engine=EngineConfig(
            steps=8000,
            precision="auto",
            clip_grad_norm=1.0,
            log_every=20,
            validate_every=1000,
            checkpoint_every=500,
            best_metric="psnr",
            best_mode="max",
        ),
    )


def small() -> RunConfig:
    """Procedural objects of 128 pixels with the ResNet-34 encoder, on one accelerator."""
    mlp = MLPConfig(hidden=256)
    return RunConfig(
        name="pixelnerf:small",
        method=PixelNeRFConfig(mlp=mlp, mlp_fine=mlp, boxed_steps=50_000),
        data=ObjectDataConfig(
            source_views=(1, 2), train_count=4000, validation_count=32, image_size=128, rays=256
        ),
        optim=OptimConfig(lr=2e-4, weight_decay=0.0),
        schedule=CONSTANT,
        engine=_engine(200_000),
    )


def paper() -> RunConfig:
    """The released recipe for SRN cars: 1 or 2 views, boxes for 300 k of 400 k steps, Adam 1e-4."""
    return RunConfig(
        name="pixelnerf:paper",
        method=PixelNeRFConfig(boxed_steps=300_000),
        data=ObjectDataConfig(path="data/cars", format="srn", source_views=(1, 2), workers=4),
        optim=OptimConfig(lr=1e-4, weight_decay=0.0),
        schedule=CONSTANT,
        engine=_engine(400_000),
    )


def continued(config: RunConfig) -> RunConfig:
    """A recipe's counterpart for trained weights and other objects: short, with smaller steps."""
    steps = max(1, config.engine.steps // _SHORTER)
    return replace(
        config,
        method=replace(config.method, boxed_steps=config.method.boxed_steps // _SHORTER),
        optim=replace(config.optim, lr=config.optim.lr * _SMALLER),
        engine=replace(config.engine, steps=steps, validate_every=max(1, steps // 4)),
    )


def _engine(steps: int) -> EngineConfig:
    return EngineConfig(
        steps=steps,
        validate_every=5000,
        checkpoint_every=1000,
        best_metric="psnr",
        best_mode="max",
    )
