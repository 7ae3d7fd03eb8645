"""Which pixels of the photograph a step compares (spec inerf 4)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from maskfield.core.errors import SceneError
from maskfield.methods.inerf.config import PixelConfig
from maskfield.methods.inerf.keypoints import interest_regions, keypoints
from maskfield.methods.inerf.observation import Observation


@dataclass(frozen=True, kw_only=True)
class PixelSampler:
    """Pixels to draw from, and how.

    Attributes:
        pool: [pixel] row-major indices of what is preferred.
        rest: [pixel] what fills up when the pool holds fewer than ``count``; may be empty.
        count: pixels per draw; 0: the whole pool, always in order.
        replace: draw with replacement (the official demo does).
    """

    pool: Int[Tensor, " pixel"]
    rest: Int[Tensor, " other"]
    count: int
    replace: bool = False

    def draw(self, sets: int, generator: torch.Generator) -> Int[Tensor, "set pixel"]:
        """``sets`` independent draws; all of the same size."""
        if self.count == 0:
            return self.pool.expand(sets, -1)
        if self.replace:
            chosen = torch.randint(len(self.pool), (sets, self.count), generator=generator)
            return self.pool[chosen]
        return torch.stack([self._one(generator) for _ in range(sets)])

    def _one(self, generator: torch.Generator) -> Int[Tensor, " pixel"]:
        chosen = _without_replacement(self.pool, self.count, generator)
        if len(chosen) == self.count or len(self.rest) == 0:
            return chosen
        more = _without_replacement(self.rest, self.count - len(chosen), generator)
        return torch.cat([chosen, more])


def pixel_sampler(observation: Observation, config: PixelConfig) -> PixelSampler:
    """The sampler of a strategy for one photograph; masked pixels never come up.

    Raises:
        SceneError: the central box of "center" or "patch" holds no pixel that counts.
    """
    allowed, empty = observation.allowed(), torch.empty(0, dtype=torch.long)
    if config.strategy == "random":
        return PixelSampler(pool=allowed, rest=empty, count=min(config.count, len(allowed)))
    if config.strategy in ("center", "patch"):
        return _central(observation, config)
    points = keypoints(observation.image.numpy(), config.keypoints, config.detector)
    times = config.dilation if config.strategy == "regions" else 0
    marked = interest_regions(points, observation.size, config.kernel, times)
    inside = torch.from_numpy(marked).reshape(-1)[allowed]
    count = min(config.count, len(allowed))
    return PixelSampler(pool=allowed[inside], rest=allowed[~inside], count=count)


def central_pixels(size: tuple[int, int], share: float) -> Int[Tensor, " pixel"]:
    """Row-major indices of the central box, int(.5 (1 - share) n) up to int(.5 (1 + share) n)."""
    (top, bottom), (left, right) = (
        (int(0.5 * (1 - share) * n), int(0.5 * (1 + share) * n)) for n in size
    )
    rows, columns = torch.arange(top, bottom), torch.arange(left, right)
    return (rows[:, None] * size[1] + columns).reshape(-1)


def _central(observation: Observation, config: PixelConfig) -> PixelSampler:
    patch = config.strategy == "patch"
    share = config.patch_share if patch else config.centre_share
    pool = central_pixels(observation.size, share)
    pool = pool[torch.isin(pool, observation.allowed())]
    if len(pool) == 0:
        raise SceneError(
            "no pixel that counts lies in the centre of the photograph",
            field="pixels.strategy",
            value=config.strategy,
            remedy="use the strategy 'regions' or 'random', or a larger share",
        )
    empty = torch.empty(0, dtype=torch.long)
    return PixelSampler(pool=pool, rest=empty, count=0 if patch else config.count, replace=True)


def _without_replacement(pool: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Up to ``count`` distinct members in random order."""
    if count >= len(pool) // 4:  # a permutation costs little beside the draw itself
        return pool[torch.randperm(len(pool), generator=generator)[:count]]
    found = torch.empty(0, dtype=torch.long)
    while len(found) < count:  # a few draws from a large pool: repeats are rare
        more = torch.randint(len(pool), (2 * count,), generator=generator)
        found = _first_of_each(torch.cat([found, more]))
    return pool[found[:count]]


def _first_of_each(values: Tensor) -> Tensor:
    """Distinct values in the order in which they first came up."""
    order = values.argsort(stable=True)
    new = torch.ones_like(order, dtype=torch.bool)
    ordered = values[order]
    new[1:] = ordered[1:] != ordered[:-1]
    return values[order[new].sort().values]
