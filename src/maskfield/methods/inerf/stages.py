"""What a stage of the Gauss-Newton search compares: a reduced photograph, blurred differences."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from maskfield.methods.inerf.gauss_newton_config import StageConfig
from maskfield.methods.inerf.motion import MotionView
from maskfield.methods.inerf.observation import Observation

_PRIOR = 1e-4  # mean square of a picture below which its gain is drawn to 1


@dataclass(frozen=True, kw_only=True)
class Equations:
    """Normal equations of each pose, for a left twist (v, w) about the pivot.

    Attributes:
        cost: [pose] weighted mean of the (robust) squared colour difference.
        normal: [pose, 6, 6] of the mean of J^T J. right: [pose, 6] of J^T r.
        squares: [pose] mean squared difference without robustness.
    """

    cost: Float[Tensor, " pose"]
    normal: Float[Tensor, "pose 6 6"]
    right: Float[Tensor, "pose 6"]
    squares: Float[Tensor, " pose"]

    def __getitem__(self, chosen: Tensor) -> Equations:
        return Equations(
            cost=self.cost[chosen],
            normal=self.normal[chosen],
            right=self.right[chosen],
            squares=self.squares[chosen],
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Palette:
    """The photograph's main colours; pictures are compared by how much of each they show.

    Blurred colours cancel, and far starts then see little of where to go; shares of colours do not.

    Attributes:
        colours: [colour, 3]. width: how far a colour reaches (standard deviation).
    """

    colours: Float[Tensor, "colour 3"]
    width: float

    def shares(self, seen: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n colour"]:
        """How much of each colour; they sum to 1."""
        off = (seen[..., None, :] - self.colours.to(seen)).square().sum(-1)
        return torch.softmax(-off / (2 * self.width**2), dim=-1)

    def rows(self, rows: Float[Tensor, "pose pixel 3 7"]) -> Float[Tensor, "pose pixel colour 7"]:
        """Shares, and their derivatives from those of the colours."""
        shares = self.shares(rows[..., 0])
        slopes = self.colours.to(rows) @ rows[..., 1:] / self.width**2  # up to a common term
        slopes = slopes - (shares[..., None] * slopes).sum(-2, keepdim=True)
        return torch.cat([shares[..., None], shares[..., None] * slopes], dim=-1)


def palette_of(colours: Float[Tensor, "pixel 3"], count: int, width: float) -> Palette:
    """Main colours by k-means, from starts spread along the pixels' brightness."""
    order = colours.sum(1).argsort()
    at = ((torch.arange(count) + 0.5) / count * len(order)).long()
    centres = colours[order[at]].clone()
    for _ in range(12):
        nearest = torch.cdist(colours, centres).argmin(1)
        for k in range(count):
            mine = colours[nearest == k]
            centres[k] = mine.mean(0) if len(mine) else centres[k]
    return Palette(colours=centres, width=width)


@dataclass(frozen=True, kw_only=True, eq=False)
class Stage:
    """One stage's pixels.

    Attributes:
        size: [h, w] when the pixels are a whole image, else None.
        directions: [pixel, 3] camera frame, z = 1. colours: [pixel, 3]. weight: [pixel], 0: does
            not count.
    """

    config: StageConfig
    size: tuple[int, int] | None
    directions: Float[Tensor, "pixel 3"]
    colours: Float[Tensor, "pixel 3"]
    weight: Float[Tensor, " pixel"]
    palette: Palette | None = None

    @property
    def variance(self) -> float:
        """Of the photograph's colours, mean over channels."""
        share = self.weight / self.weight.sum()
        mean = (share[:, None] * self.colours).sum(0)
        return float((share[:, None] * (self.colours - mean).square()).sum(0).mean())

    def equations(
        self, view: MotionView, poses: Float[Tensor, "pose 3 4"], exposure: bool = False
    ) -> Equations:
        """Compare the photograph with what is seen from each pose."""
        count = len(poses)
        rays = view.rays(poses, self.directions.expand(count, -1, 3))
        colours, jacobian = view.moved(rays, self.config.pool)
        v, w = jacobian[..., :3], jacobian[..., 3:]
        w = w - torch.linalg.cross(view.pivot.to(v).expand_as(v), v)
        rows = torch.cat([colours[..., None], v, w], dim=-1).reshape(count, -1, 3, 7)
        target = self.colours
        if self.palette is not None:
            rows, target = self.palette.rows(rows), self.palette.shares(target)
        rows = self._blurred(rows * self.weight[:, None, None])
        target = (target * self.weight[:, None])[None, ..., None]
        exposure = exposure and self.palette is None
        return self._summed(_compared(rows, self._blurred(target), self._reach, exposure))

    @cached_property
    def _reach(self) -> Float[Tensor, " pixel"]:
        """What blurring leaves of a picture of ones."""
        return self._blurred(self.weight[None, :, None, None])[0, :, 0, 0]

    def _blurred(self, rows: Float[Tensor, "pose pixel c k"]) -> Float[Tensor, "pose pixel c k"]:
        """A Gaussian over images; derivatives are linear in the image and get the same one."""
        if self.config.blur == 0 or self.size is None:
            return rows
        planes = rows.permute(0, 2, 3, 1).reshape(-1, 1, *self.size)
        kernel = gaussian(self.config.blur).to(planes)
        reach = len(kernel) // 2
        planes = F.conv2d(planes, kernel[None, None, :, None], padding=(reach, 0))
        planes = F.conv2d(planes, kernel[None, None, None], padding=(0, reach))
        return planes.reshape(len(rows), *rows.shape[2:], -1).permute(0, 3, 1, 2)

    def _summed(self, rows: Float[Tensor, "pose pixel 3 7"]) -> Equations:
        square = rows[..., 0].square().sum(-1).double()
        total = float(self.weight.sum()) * rows.shape[2]
        scale = self.config.robust
        bend = torch.ones_like(square) if scale == 0 else (scale**2 / (scale**2 + square))
        cost = (square * bend).sum(1) / total
        weighted = rows * bend[..., None, None].to(rows)  # Geman-McClure: w = bend squared
        flat = weighted.reshape(len(rows), -1, 7).double()
        product = flat.transpose(1, 2) @ flat / total
        return Equations(
            cost=cost,
            normal=product[:, 1:, 1:],
            right=product[:, 1:, 0],
            squares=square.sum(1) / total,
        )


def _compared(
    rows: Float[Tensor, "pose pixel 3 7"],
    target: Float[Tensor, "1 pixel 3 1"],
    ones: Float[Tensor, " pixel"],
    exposure: bool,
) -> Float[Tensor, "pose pixel 3 7"]:
    """Differences and their derivatives; a gain and an offset of each channel are projected out.

    Variable projection: both are the best ones at every pose, and derivatives lose what they can do
    (Kaufman).
    """
    if not exposure:
        return torch.cat([rows[..., :1] - target, rows[..., 1:]], dim=-1)
    seen = rows[..., :1].permute(0, 2, 1, 3)  # [pose, 3, pixel, 1]
    base = torch.cat([seen, ones[:, None].expand_as(seen)], dim=-1)
    normal = base.transpose(-1, -2) @ base
    normal = normal + _PRIOR * len(ones) * torch.eye(2).to(normal)
    nominal = _PRIOR * len(ones) * torch.tensor([[1.0], [0.0]]).to(normal)
    wanted = base.transpose(-1, -2) @ target.permute(0, 2, 1, 3) + nominal
    fit = torch.linalg.solve(normal, wanted)  # gain, offset [pose, 3, 2, 1]
    slopes = rows[..., 1:].permute(0, 2, 1, 3)
    slopes = slopes - base @ torch.linalg.solve(normal, base.transpose(-1, -2) @ slopes)
    slopes = slopes * fit[:, :, :1].clamp(0.25, 4.0)
    together = torch.cat([base @ fit - target.permute(0, 2, 1, 3), slopes], dim=-1)
    return together.permute(0, 2, 1, 3)


def build_stage(observation: Observation, config: StageConfig, generator: torch.Generator) -> Stage:
    """The photograph at a stage's size, with the pixels that are compared there."""
    factor = max(1, round(max(observation.size) / config.side))
    factor = min(factor, min(observation.size) // 8)
    level = observation.level(factor)
    h, w = level.size
    pixels, size = torch.arange(h * w), (h, w)
    weight = torch.ones(h * w) if level.mask is None else level.mask.reshape(-1).float()
    allowed = level.allowed()
    if config.blur == 0 and 0 < config.pixels < len(allowed):
        chosen = torch.randperm(len(allowed), generator=generator)[: config.pixels]
        pixels, size = allowed[chosen].sort().values, None
    colours = level.colours(pixels)
    many, width = config.palette, config.palette_width
    return Stage(
        config=config,
        size=size,
        directions=level.directions(pixels),
        colours=colours,
        weight=weight[pixels],
        palette=palette_of(colours[weight[pixels] > 0], many, width) if many > 0 else None,
    )


def gaussian(deviation: float) -> Float[Tensor, " tap"]:
    """A normalised Gaussian of this standard deviation, cut at three of them."""
    reach = math.ceil(3 * deviation)
    x = torch.arange(-reach, reach + 1) / deviation
    kernel = torch.exp(-x.square() / 2)
    return kernel / kernel.sum()
