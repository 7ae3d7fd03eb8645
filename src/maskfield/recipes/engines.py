"""The loop's settings that recipes of network training share."""

from __future__ import annotations

from maskfield.engine.config import EngineConfig


def training_engine(steps: int, every: int, best: str) -> EngineConfig:
    """Gradients clipped at 0.1 (spec nerf_mae 6); the best checkpoint has the largest ``best``.

    Args:
        steps: optimiser updates. every: steps between validations, and between checkpoints.
        best: a validation metric.
    """
    return EngineConfig(
        steps=steps,
        precision="auto",
        clip_grad_norm=0.1,
        validate_every=every,
        checkpoint_every=every,
        best_metric=best,
        best_mode="max",
    )
