"""The optimiser, gradient clipping and the search for a gradient that is not finite."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from maskfield.engine.config import OptimConfig


def build_optimiser(groups: list[dict[str, Any]], config: OptimConfig) -> torch.optim.AdamW:
    """AdamW over the task's parameter groups; a group may set its own lr or weight_decay.

    Args:
        groups: torch parameter groups (``{"params": [...], ...}``).
    """
    return torch.optim.AdamW(
        groups,
        lr=config.lr,
        weight_decay=config.weight_decay,
        betas=config.betas,
        eps=config.eps,
        foreach=True,
    )


def parameters_of(optimiser: torch.optim.Optimizer) -> list[nn.Parameter]:
    """All parameters an optimiser updates, in its order."""
    return [p for group in optimiser.param_groups for p in group["params"]]


def clip_gradients(parameters: Iterable[nn.Parameter], max_norm: float | None) -> Tensor:
    """Scale gradients so that their norm together is at most ``max_norm``.

    Returns:
        The norm before clipping, a scalar; not finite if any gradient is not.
    """
    parameters = [p for p in parameters if p.grad is not None]
    norm = get_total_norm([p.grad for p in parameters if p.grad is not None], foreach=True)
    if max_norm is not None:
        clip_grads_with_norm_(parameters, max_norm, norm, foreach=True)
    return norm


def first_bad_gradient(model: nn.Module) -> str | None:
    """Name of the first parameter whose gradient holds NaN or infinity."""
    for name, parameter in model.named_parameters():
        if parameter.grad is not None and not torch.isfinite(parameter.grad).all():
            return name
    return None
