"""What fine-tuning for voxel answers has in common: batches of cubes with targets, transfer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

from maskfield.data.augment import Decisions, Probabilities, augment, decide
from maskfield.engine.batches import ExampleBatches
from maskfield.engine.config import RunConfig
from maskfield.engine.task import Loaders
from maskfield.methods.nerf_mae.batches import checked_data
from maskfield.methods.nerf_mae.config import NerfMAEConfig
from maskfield.methods.nerf_mae.finetuning.transfer import transfer
from maskfield.methods.nerf_mae.layout import pad_to_cube
from maskfield.nn.swin3d import Swin3D

Batch = dict[str, Tensor]
Network = TypeVar("Network", bound=nn.Module)


class PairedGrids(Protocol):
    """Grids, each with a target volume [c, x', y', z'] or [x, y, z]."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]: ...


class VoxelTask(Generic[Network]):
    """Fine-tuning of a network that answers for every voxel; subclasses bring loss and metrics.

    Batches hold ``grids`` [b, 4, R, R, R], ``sizes`` [b, 3] and ``target`` [b, c, T, T, T], both
    padded at the high ends. Augmentation is what keeps voxels voxels: quarter turns and flips.
    """

    model: Network

    def __init__(self, config: RunConfig, base: NerfMAEConfig, target_side: int) -> None:
        self.config, self.base, self.target_side = config, base, target_side
        self.data = checked_data(config, base)

    def paired_loaders(self, train: PairedGrids, validation: PairedGrids) -> Loaders:
        """Shuffled, augmented training batches and held-out batches in order."""
        return Loaders(
            train=self._batches(train, train=True),
            validation=self._batches(validation, train=False),
        )

    def parameter_groups(self) -> list[dict[str, Any]]:
        """One group: weight decay acts on every trainable tensor (spec nerf_mae 6)."""
        return [{"params": [p for p in self.model.parameters() if p.requires_grad]}]

    def initialise(self, weights: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
        """Take over encoder and coarse decoders of a masked autoencoder."""
        transfer(weights, header, self.model, self.base)

    def train_forward(self, grids: Tensor, generator: torch.Generator) -> Tensor:
        """The network's answer in a training step, float32; ``generator`` draws dropped paths."""
        encoder: Swin3D = self.model.encoder  # pyright: ignore[reportAssignmentType]
        return self.model(grids, encoder.draw_keep(len(grids), generator)).float()

    def first_batch(self, source: PairedGrids) -> Batch:
        """Held-out examples for pictures, on the model's device."""
        device = next(self.model.parameters()).device
        batch = next(iter(self._batches(source, train=False)))
        return {k: v.to(device) for k, v in batch.items()}

    def _batches(
        self, source: PairedGrids, *, train: bool
    ) -> ExampleBatches[tuple[Tensor, Tensor]]:
        data = self.data
        return ExampleBatches(
            len(source),
            _Read(source, Probabilities(rotate=data.rotate_prob, flip=data.flip_prob)),
            _Padded(self.base.resolution, self.target_side),
            batch_size=data.batch_size,
            workers=data.workers,
            seed=self.config.seed,
            train=train,
        )


@dataclass(frozen=True)
class _Read:
    source: PairedGrids
    wanted: Probabilities

    def __call__(self, index: int, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        grid, target = self.source[index]
        target = target if target.ndim == 4 else target[None]
        if generator is None:
            return grid, target
        decisions = decide(generator, self.wanted, oriented_boxes=False)
        return _turned(grid, decisions), _turned(target, decisions)


def _turned(volume: Tensor, decisions: Decisions) -> Tensor:
    return augment(volume, None, decisions)[0]


@dataclass(frozen=True)
class _Padded:
    side: int
    target_side: int

    def __call__(self, examples: Sequence[tuple[Tensor, Tensor]]) -> Batch:
        grids, sizes = pad_to_cube([e[0] for e in examples], self.side)
        target, _ = pad_to_cube([e[1] for e in examples], self.target_side)
        return {"grids": grids, "sizes": sizes, "target": target}
