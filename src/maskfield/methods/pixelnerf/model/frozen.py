"""The residual MLP with weights that stand still: answers, and gradients of its inputs alone.

Points go through in parts that stay in the caches. For a backward pass the signs of what every ReLU
got are kept, instead of numbers; it visits only the points that have a gradient: where there is no
density a colour does not count, and the ReLU of the density stops what is left, so that most points
of an object's rays have none. All of this is exact.

Legend: x coded coordinates, y what flows from block to block, g gradients.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from maskfield.methods.pixelnerf.model.resnetfc import Block, ResnetFC
from maskfield.ops.bilinear import look_up

_NUMBERS = 1 << 20  # of a layer's answers to one part: it stays in the caches


@dataclass(frozen=True, kw_only=True)
class FeatureTable:
    """The layers that read image features, applied to every pixel of the maps.

    Attributes:
        rows: [row, fed]. base: [view, fed] to be added to what is looked up, or None.
        bf16: multiply the matrices of the blocks in bfloat16.
    """

    rows: Float[Tensor, "row fed"]
    base: Float[Tensor, "view fed"] | None
    bf16: bool = False

    def values(
        self, index: Int[Tensor, "view point 4"], weight: Float[Tensor, "view point 4"]
    ) -> Float[Tensor, "view point fed"]:
        """What the blocks hear at points."""
        found = look_up(self.rows, index, weight)
        return found if self.base is None else found + self.base[:, None]


def can_stand_still(mlp: ResnetFC, views: int) -> bool:
    """Whether :func:`frozen_mlp` knows this network, and none of its weights wants a gradient."""
    c = mlp.config
    known = c.beta == 0 and not c.spade and mlp.fed_blocks > 0 and mlp.d_in > 0
    merges = views == 1 or c.combine == "average"
    wanted = torch.is_grad_enabled() and any(p.requires_grad for p in mlp.parameters())
    return known and merges and not wanted


def frozen_mlp(
    mlp: ResnetFC,
    x: Float[Tensor, "view point d_in"],
    index: Int[Tensor, "view point 4"],
    weight: Float[Tensor, "view point 4"],
    table: FeatureTable,
) -> Float[Tensor, "point out"]:
    """Raw outputs, with gradients of ``x`` and ``weight`` where these want them.

    Args:
        index, weight: of the four map pixels around each point's image.
    """
    with torch.autocast(x.device.type, enabled=False):
        if torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad):
            out = _FrozenMLP.apply(x, weight, index, mlp, table)
            assert isinstance(out, Tensor)
            return out
        with torch.no_grad():
            size = _part_size(mlp, x)
            parts = zip(*(t.split(size, dim=1) for t in (x, index, weight)), strict=True)
            return torch.cat(
                [_forward(mlp, a, table.values(i, w), table.bf16) for a, i, w in parts]
            )


class _FrozenMLP(torch.autograd.Function):
    @staticmethod
    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, x: Tensor, weight: Tensor, index: Tensor, mlp: ResnetFC, table: FeatureTable
    ) -> Tensor:
        size = _part_size(mlp, x)
        parts = list(zip(*(t.split(size, dim=1) for t in (x, index, weight)), strict=True))
        ctx.save_for_backward(weight, index)
        ctx.mlp, ctx.table, ctx.size = mlp, table, size
        ctx.signs = [[] for _ in parts]
        found = [
            _forward(mlp, a, table.values(i, w), table.bf16, signs)
            for (a, i, w), signs in zip(parts, ctx.signs, strict=True)
        ]
        return torch.cat(found)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        weight, index = ctx.saved_tensors
        g_x = g.new_zeros(weight.shape[0], g.shape[0], ctx.mlp.d_in)
        g_weight = torch.zeros_like(weight)
        with torch.autocast(g.device.type, enabled=False):
            for k, (part, signs) in enumerate(zip(g.split(ctx.size), ctx.signs, strict=True)):
                at = part.ne(0).any(1).nonzero()[:, 0]
                if len(at) == 0:
                    continue
                kept = [s.index_select(-2, at) for s in signs]
                whole = at + k * ctx.size
                of_x, of_values = _backward(ctx.mlp, part[at], kept, len(weight), ctx.table.bf16)
                g_x[:, whole] = of_x
                for corner in range(4):
                    heard = ctx.table.rows[index[:, whole, corner]]
                    g_weight[:, whole, corner] = (heard * of_values).sum(-1)
        return g_x, g_weight, None, None, None


def _part_size(mlp: ResnetFC, x: Float[Tensor, "view point d_in"]) -> int:
    return max(_NUMBERS // (mlp.config.hidden * x.shape[0]), 1)


def _forward(
    mlp: ResnetFC, x: Tensor, values: Tensor, bf16: bool, signs: list[Tensor] | None = None
) -> Float[Tensor, "point out"]:
    """Outputs; to ``signs`` those of what every ReLU got are added, in order."""
    y = mlp.start(x)
    shifts = mlp.split_conditioning(values).shift
    for i, block in enumerate(mlp.blocks):
        assert isinstance(block, Block)
        if i == mlp.config.combine_layer:
            y = mlp.combined(y)
        if i < len(shifts):
            y += shifts[i]
        inner = _product(y.relu(), block.fc_0.weight, block.fc_0.bias, bf16)
        if signs is not None:
            signs += [y > 0, inner > 0]
        y += _product(inner.relu_(), block.fc_1.weight, block.fc_1.bias, bf16)
    if mlp.config.combine_layer >= len(mlp.blocks):
        y = mlp.combined(y)
    if signs is not None:
        signs.append(y > 0)
    return mlp.finish(y)


def _backward(
    mlp: ResnetFC, g: Tensor, signs: list[Tensor], views: int, bf16: bool
) -> tuple[Float[Tensor, "view point d_in"], Float[Tensor, "view point fed"]]:
    """Gradients of the inputs from those of the outputs."""
    layer = mlp.config.combine_layer
    heard: list[Tensor] = []
    g = (g @ mlp.lin_out.weight) * signs[-1]
    if layer >= len(mlp.blocks):
        g = _shared(g, views)
    for i in reversed(range(len(mlp.blocks))):
        block = mlp.blocks[i]
        assert isinstance(block, Block)
        inner = _product(g, block.fc_1.weight.T, None, bf16) * signs[2 * i + 1]
        g = g + _product(inner, block.fc_0.weight.T, None, bf16) * signs[2 * i]
        if i < mlp.fed_blocks:
            heard.append(g)
        if i == layer:
            g = _shared(g, views)
    g = g @ mlp.lin_in.weight
    return g, torch.cat(heard[::-1], dim=-1)


def _shared(g: Float[Tensor, "point h"], views: int) -> Float[Tensor, "view point h"]:
    """The mean over views, backwards."""
    return (g / views).expand(views, *g.shape)


def _product(y: Tensor, weight: Tensor, bias: Tensor | None, bf16: bool) -> Tensor:
    if not bf16:
        return F.linear(y, weight, bias)
    small = torch.bfloat16
    return F.linear(y.to(small), weight.to(small), None if bias is None else bias.to(small))
