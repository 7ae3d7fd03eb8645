"""The residual MLP of pixelNeRF (spec pixelnerf 5.5); names follow official checkpoints.

Image features z enter before each of the first blocks: x + lin_z(z), or scale_z(z) x + lin_z(z).
What depends on z alone comes in ready-made (:class:`Conditioning`), so that a renderer may apply
lin_z to a whole feature map once instead of at every sample.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from maskfield.methods.pixelnerf.config import MLPConfig


@dataclass(frozen=True, kw_only=True)
class Conditioning:
    """What the features say to each of the first blocks.

    Attributes:
        shift: lin_z(z) per block. scale: scale_z(z) per block, none without ``spade``.
    """

    shift: tuple[Float[Tensor, "*n h"], ...] = ()
    scale: tuple[Float[Tensor, "*n h"], ...] = ()


class Block(nn.Module):
    """x + fc_1(act(fc_0(act(x)))); starts as the identity."""

    def __init__(self, width: int, beta: float) -> None:
        super().__init__()
        self.beta = beta
        self.fc_0, self.fc_1 = nn.Linear(width, width), nn.Linear(width, width)
        nn.init.kaiming_normal_(self.fc_0.weight)
        nn.init.zeros_(self.fc_1.weight)
        nn.init.zeros_(self.fc_0.bias)
        nn.init.zeros_(self.fc_1.bias)

    def forward(self, x: Float[Tensor, "*n h"]) -> Float[Tensor, "*n h"]:
        inner = activated(self.fc_0(activated(x, self.beta)), self.beta)
        return x + self.fc_1(inner)


class ResnetFC(nn.Module):
    """Residual blocks over samples, merged over the source views on the way.

    Args:
        d_in: channels of x (coded coordinates and directions); 0 starts from zeros.
        d_latent: channels of the features z; 0 for none.
    """

    def __init__(self, d_in: int, d_latent: int, config: MLPConfig, d_out: int = 4) -> None:
        super().__init__()
        self.config, self.d_in, self.d_latent = config, d_in, d_latent
        width = config.hidden
        if d_in > 0:
            self.lin_in = _linear(d_in, width)
        self.lin_out = _linear(width, d_out)
        self.blocks = nn.ModuleList(Block(width, config.beta) for _ in range(config.blocks))
        fed = self.fed_blocks
        if fed:
            self.lin_z = nn.ModuleList(_linear(d_latent, width) for _ in range(fed))
        if fed and config.spade:
            self.scale_z = nn.ModuleList(_linear(d_latent, width) for _ in range(fed))

    @property
    def fed_blocks(self) -> int:
        """How many blocks the features enter."""
        return min(self.config.combine_layer, self.config.blocks) if self.d_latent else 0

    def condition(self, z: Float[Tensor, "*n latent"]) -> Conditioning:
        """Apply lin_z and scale_z to features."""
        if self.fed_blocks == 0:
            return Conditioning()
        return self.split_conditioning(F.linear(z, *self.conditioning_weights()))

    def conditioning_weights(
        self,
    ) -> tuple[Float[Tensor, "fed latent"], Float[Tensor, " fed"]]:
        """Weight and bias of all these layers as one."""
        layers = [*self.lin_z, *self.scale_z] if self.config.spade else list(self.lin_z)
        linear = [x for x in layers if isinstance(x, nn.Linear)]
        return torch.cat([x.weight for x in linear]), torch.cat([x.bias for x in linear])

    def split_conditioning(self, values: Float[Tensor, "*n fed"]) -> Conditioning:
        """The joint layer's output, block by block."""
        parts = values.split(self.config.hidden, dim=-1)
        return Conditioning(shift=parts[: self.fed_blocks], scale=parts[self.fed_blocks :])

    def forward(
        self, x: Float[Tensor, "*n view point d_in"], given: Conditioning
    ) -> Float[Tensor, "*n point out"]:
        """Raw outputs; the views are merged before ``combine_layer`` (or the output layer)."""
        return self.finish(self.body(self.start(x), given))

    def start(self, x: Float[Tensor, "*n d_in"]) -> Float[Tensor, "*n h"]:
        """What flows into the first block."""
        return self.lin_in(x) if self.d_in > 0 else x.new_zeros(*x.shape[:-1], self.config.hidden)

    def body(
        self, y: Float[Tensor, "*n view point h"], given: Conditioning
    ) -> Float[Tensor, "*n point h"]:
        """All blocks; the views are merged on the way."""
        for i, block in enumerate(self.blocks):
            if i == self.config.combine_layer:
                y = self.combined(y)
            if i < len(given.scale):
                y = given.scale[i].to(y.dtype) * y
            if i < len(given.shift):
                y = y + given.shift[i].to(y.dtype)  # under autocast y stays small
            y = block(y)
        if self.config.combine_layer >= len(self.blocks):
            y = self.combined(y)
        return y

    def finish(self, y: Float[Tensor, "*n h"]) -> Float[Tensor, "*n out"]:
        """The output layer."""
        return self.lin_out(activated(y, self.config.beta))

    def combined(self, y: Float[Tensor, "*n view point h"]) -> Float[Tensor, "*n point h"]:
        """The views merged."""
        if y.shape[-3] == 1:
            return y.squeeze(-3)
        return y.mean(-3) if self.config.combine == "average" else y.amax(-3)


def activated(x: Float[Tensor, "*n h"], beta: float) -> Float[Tensor, "*n h"]:
    """ReLU, or a softplus of sharpness beta."""
    return F.softplus(x, beta=beta) if beta > 0 else F.relu(x)


def _linear(inside: int, outside: int) -> nn.Linear:
    layer = nn.Linear(inside, outside)
    nn.init.kaiming_normal_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
