"""The plain MLP of the original code base (spec pixelnerf 5.6): skips by concatenation.

No official configuration uses it; its weights load by their official names (lin0, lin1, ...).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from maskfield.core.errors import ConfigError
from maskfield.methods.pixelnerf.config import ImplicitConfig

_OUTPUT_MEAN_STD = 1e-5  # spread of the first output's weights around their mean
_OUTPUT_STD = 2.0  # of the weights of all other outputs


class ImplicitNet(nn.Module):
    """Linear layers with activations; the input comes in again at some of them.

    Args:
        d_in, d_out: channels in and out; ``positions``: how many of the first input channels are
            coordinates (the others start without influence).
        config: widths and options.
    """

    def __init__(
        self, d_in: int, config: ImplicitConfig, d_out: int = 4, *, positions: int = 3
    ) -> None:
        super().__init__()
        self.config = config
        widths = _widths(d_in, config, d_out)
        self.count = len(widths) - 1
        for i in range(self.count):
            outside = widths[i + 1] - (d_in if i + 1 in config.skip_in else 0)
            layer = nn.Linear(widths[i], outside)
            again = i == 0 or i in config.skip_in
            _initialise(layer, last=i == self.count - 1, radius=config.radius)
            if d_in > positions and again:
                nn.init.zeros_(layer.weight[:, positions - d_in :].detach())
            setattr(self, f"lin{i}", layer)

    def forward(self, x: Float[Tensor, "*n view point d_in"]) -> Float[Tensor, "*n _point out"]:
        """Raw outputs; the views are merged before ``combine_layer``, if there is such a layer."""
        given, merged = x, False
        for i in range(self.count):
            if i == self.config.combine_layer:
                x, given, merged = self._combined(x), self._combined(given), True
            if i in self.config.skip_in and not merged:
                x = torch.cat([x, given], dim=-1) / math.sqrt(2)
            x = self.get_submodule(f"lin{i}")(x)
            if i < self.count - 1:
                x = self._activated(x)
        return x

    def _combined(self, x: Tensor) -> Tensor:
        return x.mean(-3) if self.config.combine == "average" else x.amax(-3)

    def _activated(self, x: Tensor) -> Tensor:
        return F.softplus(x, beta=self.config.beta) if self.config.beta > 0 else F.relu(x)


def _widths(d_in: int, config: ImplicitConfig, d_out: int) -> list[int]:
    """Channels before each layer, and after the last."""
    more = d_in if config.widths_exclude_skip else 0
    inner = [w + (more if i in config.skip_in else 0) for i, w in enumerate(config.widths, 1)]
    widths = [d_in, *inner, d_out]
    small = [i for i in config.skip_in if not 0 < i <= len(inner) or widths[i] <= d_in]
    if small:
        raise ConfigError(
            "a layer with a skip must exist and be wider than the input",
            field="skip_in, widths",
            value=(config.skip_in, config.widths),
            remedy=f"use layers 1 to {len(inner)} of more than {d_in} channels",
        )
    return widths


@torch.no_grad()
def _initialise(layer: nn.Linear, *, last: bool, radius: float) -> None:
    """So that the first output is a sphere's (negated) distance."""
    inside, outside = layer.in_features, layer.out_features
    nn.init.zeros_(layer.bias)
    if not last:
        nn.init.normal_(layer.weight, 0.0, math.sqrt(2 / outside))
        return
    nn.init.normal_(layer.weight, 0.0, _OUTPUT_STD)
    nn.init.normal_(layer.weight[0], -math.sqrt(math.pi / inside), _OUTPUT_MEAN_STD)
    layer.bias[0] = radius
