"""Blocks of samples from 3-D feature maps, pooled to one size: what both kinds of RoI share.

"max": every output bin takes the largest of ceil(cells / output) samples per axis, after zeros were
appended where the division leaves a rest. "interpolate": the block of samples is resized
trilinearly, ends on ends.

A feature map is a table [cell, channel]; the tables of all levels are laid end to end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from maskfield.core.errors import ConfigError

Mode = Literal["max", "interpolate"]
Triple = tuple[int, int, int]
Features = Sequence[Float[Tensor, "channel _ _ _"]]
_VALUES = 1 << 22  # numbers held at a time, 16 MB in float32
_INDEXING = 128  # numbers a sample needs beside its channels: corners, weights, indices
_CORNERS = tuple(((n >> 2) & 1, (n >> 1) & 1, n & 1) for n in range(8))


@dataclass(frozen=True, kw_only=True)
class SampleBlocks:
    """Blocks of samples, one per RoI: sample k lies at centre + R(theta) (k - (cells - 1) / 2).

    Attributes:
        centre: [roi, 3] feature cells of the RoI's own level. cells: [roi, 3] samples per axis.
        theta: [roi] counter-clockwise radians. level: [roi] which feature map.
    """

    centre: Float[Tensor, "roi 3"]
    cells: Int[Tensor, "roi 3"]
    theta: Float[Tensor, " roi"]
    level: Int[Tensor, " roi"]

    def rows(self, index: slice) -> SampleBlocks:
        """Some of the RoIs."""
        return SampleBlocks(
            centre=self.centre[index],
            cells=self.cells[index],
            theta=self.theta[index],
            level=self.level[index],
        )

    def points(self, roi: Int[Tensor, "*n"], index: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
        """Feature coordinates of samples ``index`` of RoIs ``roi``."""
        offset = index - (self.cells[roi] - 1).to(index) / 2
        x, y, z = offset.unbind(-1)
        c, s = torch.cos(self.theta)[roi], torch.sin(self.theta)[roi]
        return torch.stack([c * x - s * y, s * x + c * y, z], dim=-1) + self.centre[roi]


def pool_blocks(features: Features, blocks: SampleBlocks, output: Triple, mode: Mode) -> Tensor:
    """[roi, channel, *output] from blocks of samples; a few RoIs at a time, to bound memory.

    Raises:
        ConfigError: unknown mode.
    """
    if mode not in ("max", "interpolate"):
        remedy = "choose 'max' or 'interpolate'"
        raise ConfigError("unknown RoI pooling", field="mode", value=mode, remedy=remedy)
    channels, sizes = features[0].shape[0], map_sizes(features, blocks.level.device)
    table = torch.cat([f.flatten(1).T for f in features])
    per_roi = blocks.cells.prod(-1) if mode == "max" else 8 * blocks.cells.new_tensor(output).prod()
    costs = (per_roi * (channels + _INDEXING)).expand(len(blocks.level))
    pool = _max_pool if mode == "max" else _resize
    parts = [pool(table, sizes, blocks.rows(s), output) for s in _slices(costs.tolist())]
    flat = torch.cat(parts) if parts else table.new_zeros(0, channels)
    return flat.view(-1, *output, channels).permute(0, 4, 1, 2, 3).contiguous()


def map_sizes(features: Features, device: torch.device) -> Int[Tensor, "level 3"]:
    """Cells of each map along x, y, z."""
    return torch.tensor([f.shape[1:] for f in features], device=device)


def _max_pool(table: Tensor, sizes: Tensor, blocks: SampleBlocks, output: Triple) -> Tensor:
    """[roi * bins, channel]; samples are listed bin by bin, so a bin is one segment."""
    out = blocks.cells.new_tensor(output)
    bins = _positions(output, blocks.cells)
    kernel = (-(-blocks.cells // out)).clamp_min(1)
    first = bins * kernel[:, None]
    present = (blocks.cells[:, None] - first).clamp_min(0).minimum(kernel[:, None]).view(-1, 3)
    lengths = present.prod(-1)
    owner = torch.repeat_interleave(lengths)
    rank = torch.arange(len(owner), device=owner.device) - (lengths.cumsum(0) - lengths)[owner]
    index = first.reshape(-1, 3)[owner] + _unravelled(rank, present[owner])
    roi = owner // len(bins)
    values = _sampled(table, sizes, blocks, roi, index.to(blocks.centre))
    complete = (present == kernel.repeat_interleave(len(bins), dim=0)).all(-1)
    floor = torch.where(complete, -torch.inf, 0.0).to(table)  # the zeros that were appended
    pooled = floor[:, None].expand(-1, table.shape[1])
    return pooled.scatter_reduce(0, owner[:, None].expand_as(values), values, "amax")


def _resize(table: Tensor, sizes: Tensor, blocks: SampleBlocks, output: Triple) -> Tensor:
    """[roi * bins, channel]: trilinear look-up in the block of samples, first and last kept."""
    steps = (blocks.centre.new_tensor(output) - 1).clamp_min(1)
    where = _positions(output, blocks.cells) * ((blocks.cells - 1).to(steps) / steps)[:, None]
    low = where.floor()
    share = where - low
    bits = torch.tensor(_CORNERS, device=low.device).to(low)
    last = (blocks.cells - 1).clamp_min(0)[:, None, None].to(low)
    index = torch.minimum(low[:, :, None] + bits, last)
    weight = torch.where(bits.bool(), share[:, :, None], 1 - share[:, :, None]).prod(-1)
    roi = torch.arange(len(low), device=low.device)[:, None, None].expand(index.shape[:-1])
    values = _sampled(table, sizes, blocks, roi.reshape(-1), index.reshape(-1, 3))
    values = values.view(*weight.shape, -1) * weight[..., None].to(table)
    present = (blocks.cells > 0).all(-1).to(table)
    return (values.sum(2) * present[:, None, None]).flatten(0, 1)


def _sampled(
    table: Tensor, sizes: Tensor, blocks: SampleBlocks, roi: Tensor, index: Tensor
) -> Tensor:
    """Features [sample, channel]: mean over the 8 neighbours of f (1 - |dx dy dz|), 0 outside.

    Not trilinear, but what the original networks were trained with.
    """
    point, level = blocks.points(roi, index), blocks.level[roi]
    size = sizes[level]
    inside = ((point >= 0) & (point <= size - 1)).all(-1)
    bits = torch.tensor(_CORNERS, device=point.device).bool()
    corner = torch.where(bits, point.ceil()[:, None], point.floor()[:, None])
    weight = (1 - (point[:, None] - corner).prod(-1).abs()) / 8 * inside[:, None]
    cell = torch.minimum(corner.long().clamp_min(0), (size - 1)[:, None])
    flat = (cell[..., 0] * size[:, None, 1] + cell[..., 1]) * size[:, None, 2] + cell[..., 2]
    counts = sizes.prod(-1)
    flat = flat + (counts.cumsum(0) - counts)[level][:, None]
    return F.embedding_bag(flat, table, per_sample_weights=weight.to(table), mode="sum")


def _positions(output: Triple, like: Tensor) -> Tensor:
    """[bins, 3] indices of the output cells, z fastest."""
    return torch.cartesian_prod(*(torch.arange(n) for n in output)).view(-1, 3).to(like.device)


def _unravelled(rank: Tensor, shape: Tensor) -> Tensor:
    """[n, 3] indices of the ``rank``-th cell of blocks of the given shapes, z fastest."""
    plane = rank // shape[:, 2]
    return torch.stack([plane // shape[:, 1], plane % shape[:, 1], rank % shape[:, 2]], dim=-1)


def _slices(costs: list[int]) -> list[slice]:
    """Consecutive RoIs whose costs sum to at most the budget (at least one RoI each)."""
    edges, total = [0], 0
    for i, cost in enumerate(costs):
        if total and total + cost > _VALUES:
            edges.append(i)
            total = 0
        total += cost
    return [slice(a, b) for a, b in zip(edges, [*edges[1:], len(costs)], strict=True) if b > a]
