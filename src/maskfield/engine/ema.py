"""Exponential moving average of a model's weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightEMA:
    """average ← decay · average + (1 − decay) · weight, once per update, from the first weights on.

    Buffers and integer tensors are copied, not averaged.

    Args:
        model: the model followed.
        decay: in [0, 1).
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.average = {k: v.detach().clone() for k, v in model.state_dict().items()}
        named = model.named_parameters(remove_duplicate=False)  # tied weights keep both names
        self._averaged = [k for k, p in named if p.is_floating_point()]

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move the average towards the model's weights."""
        state = model.state_dict()
        for name in self._averaged:
            self.average[name].lerp_(state[name], 1 - self.decay)
        for name in state.keys() - set(self._averaged):
            self.average[name].copy_(state[name])

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """Within the block the model has the averaged weights."""
        own = {k: v.detach().clone() for k, v in model.state_dict().items()}
        model.load_state_dict(self.average)
        try:
            yield
        finally:
            model.load_state_dict(own)

    def state_dict(self) -> dict[str, Tensor]:
        """The averaged weights, under the model's names."""
        return self.average

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take over averaged weights."""
        for name, value in state.items():
            self.average[name].copy_(value)
