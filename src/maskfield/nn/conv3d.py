"""nn.Conv3d that is safe under bf16 autocast on the CPU."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from maskfield.ops.conv3d import unsafe_in_bf16


class Conv3d(nn.Conv3d):
    """The same layer; maps on which bf16 goes wrong (``unsafe_in_bf16``) are computed in fp32."""

    def forward(self, input: Float[Tensor, "b i x y z"]) -> Float[Tensor, "b o u v w"]:  # noqa: A002
        kind = input.device.type
        if unsafe_in_bf16(input.device, input.shape[2]) and torch.is_autocast_enabled(kind):
            with torch.autocast(kind, enabled=False):
                return super().forward(input.float())
        return super().forward(input)
