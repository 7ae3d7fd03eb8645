"""Batches of padded grids for masked pre-training, and the check of their size."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from maskfield.core.errors import ConfigError
from maskfield.data.augment import Probabilities, augment, decide
from maskfield.data.config import GridDataConfig
from maskfield.data.grid_sources import GridSource
from maskfield.engine.batches import ExampleBatches
from maskfield.engine.config import RunConfig, of_kind
from maskfield.methods.nerf_mae.config import NerfMAEConfig
from maskfield.methods.nerf_mae.layout import pad_to_cube

Batch = dict[str, Tensor]


def checked_data(config: RunConfig, base: NerfMAEConfig) -> GridDataConfig:
    """The run's data config, after making sure that it suits the encoder ``base``.

    Raises:
        ConfigError: data of another kind, or grids of another size than the encoder's cube.
    """
    what, recipe = "NeRF-MAE", "nerf-mae:tiny-cpu"
    data = of_kind(config.data, GridDataConfig, what=what, field="data", recipe=recipe)
    if data.resolution != base.resolution:
        place = "method" if config.method is base else "method.base"
        raise ConfigError(
            "the network and the data disagree about the cube's side",
            field=f"{place}.resolution, data.resolution",
            value=(base.resolution, data.resolution),
            remedy="set both to the same multiple of 32",
        )
    return data


def grid_batches(
    source: GridSource, config: GridDataConfig, *, seed: int, train: bool
) -> ExampleBatches[Tensor]:
    """Batches with ``grids`` [b, 4, R, R, R] and ``sizes`` [b, 3].

    Args:
        source: where grids come from.
        config: batch size, resolution R, workers, flip and rotation probabilities.
        seed: of order and augmentation.
        train: shuffle, augment and drop the incomplete last batch; else none of them.
    """
    return ExampleBatches(
        len(source),
        _Read(source, Probabilities(rotate=config.rotate_prob, flip=config.flip_prob)),
        _Padded(config.resolution),
        batch_size=config.batch_size,
        workers=config.workers,
        seed=seed,
        train=train,
    )


@dataclass(frozen=True)
class _Read:
    source: GridSource
    wanted: Probabilities

    def __call__(self, index: int, generator: torch.Generator | None) -> Float[Tensor, "4 x y z"]:
        grid = self.source.rgba(index)
        if generator is None:
            return grid
        return augment(grid, None, decide(generator, self.wanted, oriented_boxes=False))[0]


@dataclass(frozen=True)
class _Padded:
    resolution: int

    def __call__(self, grids: list[Tensor]) -> Batch:
        padded, sizes = pad_to_cube(grids, self.resolution)
        return {"grids": padded, "sizes": sizes}
