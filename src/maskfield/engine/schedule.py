"""Learning rate schedules, one step per optimiser update."""

from __future__ import annotations

import math
from functools import partial

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from maskfield.engine.config import ScheduleConfig


def build_schedule(optimiser: Optimizer, config: ScheduleConfig, steps: int) -> LRScheduler:
    """The schedule over ``steps`` updates; each group's lr is its highest one."""
    if config.name == "one_cycle":
        return _one_cycle(optimiser, config, steps)
    shape = _cosine if config.name == "cosine" else _constant
    return LambdaLR(optimiser, partial(shape, config=config, steps=steps))


def _one_cycle(optimiser: Optimizer, config: ScheduleConfig, steps: int) -> OneCycleLR:
    warmup = config.warmup
    if warmup * steps == 1:  # PyTorch divides 0 by 0 when the rise is exactly one step long
        warmup *= 1 - 1e-9 if steps == 1 else 1 + 1e-9
    return OneCycleLR(
        optimiser,
        max_lr=[group["lr"] for group in optimiser.param_groups],
        total_steps=steps,
        pct_start=warmup,
        cycle_momentum=config.cycle_momentum,
        div_factor=config.div,
        final_div_factor=config.final_div,
    )


def _rise(step: int, config: ScheduleConfig, steps: int) -> float | None:
    """Linear from 1/div to 1 over the warm-up; None after it."""
    length = config.warmup * steps
    return None if step >= length else (1 + (config.div - 1) * step / length) / config.div


def _constant(step: int, *, config: ScheduleConfig, steps: int) -> float:
    rise = _rise(step, config, steps)
    return 1.0 if rise is None else rise


def _cosine(step: int, *, config: ScheduleConfig, steps: int) -> float:
    rise = _rise(step, config, steps)
    if rise is not None:
        return rise
    start = config.warmup * steps
    done = min(1.0, (step - start) / max(1.0, steps - 1 - start))
    last = 1 / (config.div * config.final_div)
    return last + (1 - last) * 0.5 * (1 + math.cos(math.pi * done))
