"""Semantic voxel labelling (spec nerf_mae 3.9, 5.3, 7)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from maskfield.core.files import atomic_path
from maskfield.data.labelled_grids import open_labelled
from maskfield.data.network_input import INPUT
from maskfield.engine.config import RunConfig, of_kind
from maskfield.engine.distributed import on_device
from maskfield.engine.task import Loaders, StepOutput
from maskfield.methods.nerf_mae.downstream import SemanticNetwork
from maskfield.methods.nerf_mae.downstream_config import SemanticConfig
from maskfield.methods.nerf_mae.finetuning.voxels import Batch, VoxelTask
from maskfield.metrics.segmentation import (
    ClassCounts,
    class_counts,
    class_weights,
    soft_iou,
    voxel_accuracy,
)


class SemanticTask(VoxelTask[SemanticNetwork]):
    """A class for every occupied voxel; class weights are computed from the training labels.

    Metrics over the held-out grids: ``mIoU``, ``mAcc``, ``allAcc`` as officially computed (classes
    that never occur count 0), and ``mIoU_present`` over the classes that occur.

    Raises:
        ConfigError: another kind of method or data. DataError: the grids or labels cannot be used.
    """

    def __init__(self, config: RunConfig) -> None:
        what, recipe = "semantic labelling", "nerf-mae-segment:tiny-cpu"
        method = of_kind(config.method, SemanticConfig, what=what, field="method", recipe=recipe)
        super().__init__(config, method.base, method.base.resolution)
        self.method, self.class_names = method, method.class_names
        self.train_source, self.validation_source = open_labelled(self.data, len(self.class_names))
        self.model = method.build()
        labels = (self.train_source.labels(i) for i in range(len(self.train_source)))
        self.model.class_weights.copy_(class_weights(labels, len(self.class_names)))

    def loaders(self) -> Loaders:
        """Shuffled, augmented training batches and held-out batches in order."""
        return self.paired_loaders(self.train_source, self.validation_source)

    def training_step(self, batch: Batch, step: int, generator: torch.Generator) -> StepOutput:
        """Weighted cross-entropy over labelled voxels; soft IoU is logged beside it."""
        target = batch["target"][:, 0].long()
        logits = self.train_forward(batch["grids"], generator)
        parts = {"accuracy": voxel_accuracy(logits.detach().argmax(1), target)}
        loss = self.model.loss(logits, target)
        return StepOutput(loss=loss, parts=parts, counts={"grids": len(target)})

    @torch.no_grad()
    def validate(self, loader: Iterable[Batch]) -> dict[str, float]:
        """Hard counts over all held-out grids together, and the mean loss and soft IoU."""
        counts: ClassCounts | None = None
        losses, soft = [], []
        for batch in loader:
            target = batch["target"][:, 0].long()
            logits = self.model(batch["grids"]).float()
            losses.append(float(self.model.loss(logits, target)))
            soft.append(float(soft_iou(logits, target).mean()))
            found = class_counts(logits.argmax(1).cpu(), target.cpu(), len(self.class_names))
            counts = found if counts is None else counts + found
        if counts is None:
            return {}
        present = counts.summary(absent="skip")["mIoU"]
        means = {"loss": sum(losses) / len(losses), "soft_iou": sum(soft) / len(soft)}
        return {**means, **counts.summary(), "mIoU_present": present}

    def conventions(self) -> dict[str, Any]:
        """What the network was shown and what its classes mean."""
        return semantic_conventions(self.method)

    @torch.no_grad()
    def figures(self, directory: Path) -> list[Path]:
        """Held-out grids beside their true and their predicted labels."""
        from maskfield.methods.nerf_mae.finetuning.pictures import save_labels_found

        batch = self.first_batch(self.validation_source)
        found: Tensor = self.model(batch["grids"]).argmax(1)
        path = directory / "labels.png"
        save_labels_found(batch, found, self.class_names, path)
        return [path]

    @torch.no_grad()
    def answers(self, directory: Path) -> list[Path]:
        """``voxel_outputs/NAME.npy`` and ``NAME_gt.npy`` on the padded cube, void voxels 0."""
        loader, paths, index = self.loaders().validation or (), [], 0
        for batch in on_device(loader, next(self.model.parameters()).device):
            target = batch["target"][:, 0].cpu()
            found = self.model(batch["grids"]).argmax(1).cpu()
            for answer, truth in zip(found.where(target > 0, 0), target, strict=True):
                stem = directory / "voxel_outputs" / self.validation_source.grids.names[index]
                paths += [_save(answer, stem, ""), _save(truth, stem, "_gt")]
                index += 1
        return paths


def semantic_conventions(method: SemanticConfig) -> dict[str, Any]:
    """What a semantic network is shown and what its classes mean, as its checkpoints say it."""
    return {
        "kind": "SemanticNetwork",
        "input": INPUT,
        "resolution": method.base.resolution,
        "class_names": list(method.class_names),
    }


def _save(ids: Tensor, stem: Path, suffix: str) -> Path:
    path = stem.with_name(f"{stem.name}{suffix}.npy")
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.save(stream, ids.numpy().astype(np.int16))
    return path
