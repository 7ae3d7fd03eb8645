"""Fine-tuning of NeRF-MAE: ``nerf-mae-detect``, ``nerf-mae-segment``, ``nerf-mae-superres``.

Every recipe is written for pre-trained weights; :func:`from_scratch` makes its counterpart, and
:func:`with_labels` keeps a part of the labelled scenes (10 % lie within 25 %).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from maskfield.core.errors import ConfigError
from maskfield.data.config import GridDataConfig
from maskfield.data.synthetic.classes import CLASS_NAMES
from maskfield.engine.config import EngineConfig, OptimConfig, RunConfig, ScheduleConfig
from maskfield.methods.nerf_mae.config import SIZES, NerfMAEConfig
from maskfield.methods.nerf_mae.downstream_config import (
    SemanticConfig,
    SuperResolutionConfig,
    TransferDetectorConfig,
)
from maskfield.methods.nerf_rpn.config import FCOSConfig
from maskfield.recipes.engines import training_engine
from maskfield.recipes.nerf_rpn import TINY_HEAD

TINY_DATA = GridDataConfig(resolution=64, batch_size=4, train_count=128, validation_count=32)
SMALL_DATA = GridDataConfig(resolution=96, batch_size=8, train_count=1024, validation_count=64)
SMALL_BASE = replace(SIZES["swin_t"], resolution=96)
STILL = {"flip_prob": 0.0, "rotate_prob": 0.0, "rot_scale_prob": 0.0}


def from_scratch(config: RunConfig) -> RunConfig:
    """The paper's counterpart without pre-training: no positional table, no stochastic depth."""
    return _with_base(config, {"positional_table": False, "stochastic_depth": 0.0})


def with_labels(config: RunConfig, share: float) -> RunConfig:
    """The same on the first ``share`` of the labelled training scenes."""
    return replace(config, data=replace(config.data, percent_train=share))


def detect_tiny_cpu() -> RunConfig:
    """Boxes of procedural rooms at 64 voxels: minutes on two cores."""
    method = TransferDetectorConfig(
        base=SIZES["tiny"], head=TINY_HEAD, channels=64, norm_outputs=True
    )
    return _run(
        "nerf-mae-detect:tiny-cpu", method, TINY_DATA, 2e-3, training_engine(600, 200, "ap_50")
    )


def detect_small() -> RunConfig:
    """Swin-T at 96 voxels on one accelerator."""
    method = TransferDetectorConfig(base=SMALL_BASE, norm_outputs=True)
    engine = training_engine(20_000, 1000, "ap_50")
    return _run("nerf-mae-detect:small", method, SMALL_DATA, 1e-4, engine)


def detect_paper() -> RunConfig:
    """The released recipe: Swin-S at 160, batch 8, 1000 epochs of 122 scenes, AdamW 1e-4."""
    data = _official("data/front3d_rpn_data", batch=8)
    method = TransferDetectorConfig(base=SIZES["swin_s"], head=FCOSConfig())
    engine = training_engine(1000 * 15, 150, "ap_50")
    return _run("nerf-mae-detect:paper", method, data, 1e-4, engine)


def segment_tiny_cpu() -> RunConfig:
    """Classes of procedural rooms at 64 voxels: minutes on two cores."""
    method = SemanticConfig(base=SIZES["tiny"], class_names=CLASS_NAMES)
    return _run(
        "nerf-mae-segment:tiny-cpu", method, TINY_DATA, 1e-3, training_engine(400, 200, "mIoU")
    )


def segment_small() -> RunConfig:
    """Swin-T at 96 voxels on one accelerator."""
    method = SemanticConfig(base=SMALL_BASE, class_names=CLASS_NAMES)
    engine = training_engine(20_000, 1000, "mIoU")
    return _run("nerf-mae-segment:small", method, SMALL_DATA, 3e-4, engine)


def segment_paper() -> RunConfig:
    """The released recipe on 3D-FRONT labels (19 classes, void included), without augmentation."""
    names = ("void", *(f"class {i}" for i in range(1, 19)))
    data = replace(_official("data/front3d_rpn_data", batch=8), **STILL)
    method = SemanticConfig(base=SIZES["swin_s"], class_names=names)
    engine = training_engine(1000 * 15, 300, "mIoU")
    return _run("nerf-mae-segment:paper", method, data, 3e-4, engine)


def superres_tiny_cpu() -> RunConfig:
    """Procedural rooms from 64 to 102 voxels, colour and alpha: minutes on two cores."""
    method = SuperResolutionConfig(base=SIZES["tiny"], scale=1.6, alpha_weight=1.0)
    return _run(
        "nerf-mae-superres:tiny-cpu", method, TINY_DATA, 1e-3, training_engine(400, 200, "psnr")
    )


def superres_small() -> RunConfig:
    """Swin-T, 96 to 192 voxels, on one accelerator."""
    method = SuperResolutionConfig(base=SMALL_BASE, scale=2.0, alpha_weight=1.0)
    engine = training_engine(20_000, 1000, "psnr")
    return _run("nerf-mae-superres:small", method, SMALL_DATA, 3e-4, engine)


def superres_paper() -> RunConfig:
    """The released recipe: 160 to 256 (scale 2.4 and ``features_384`` for 384), 500 epochs."""
    data = replace(_official("data/hm3d_rpn_data", batch=8), **STILL)
    method = SuperResolutionConfig(base=SIZES["swin_s"], scale=1.6)
    engine = training_engine(500 * 18, 360, "psnr")
    return _run("nerf-mae-superres:paper", method, data, 3e-4, engine)


def _run(
    name: str, method: Any, data: GridDataConfig, lr: float, engine: EngineConfig
) -> RunConfig:
    return RunConfig(
        name=name,
        method=method,
        data=data,
        optim=OptimConfig(lr=lr, weight_decay=1e-3),
        schedule=ScheduleConfig(name="one_cycle"),
        engine=engine,
    )


def _official(path: str, batch: int) -> GridDataConfig:
    return GridDataConfig(path=path, resolution=160, batch_size=batch, workers=4, density="exp")


def _with_base(config: RunConfig, changes: dict[str, Any]) -> RunConfig:
    base = getattr(config.method, "base", None)
    if not isinstance(base, NerfMAEConfig):
        raise ConfigError(
            "this recipe does not continue a masked autoencoder",
            field="init",
            value=type(config.method).__name__,
            remedy="leave out --init scratch, or choose nerf-mae-detect, -segment or -superres",
        )
    return replace(config, method=replace(config.method, base=replace(base, **changes)))
