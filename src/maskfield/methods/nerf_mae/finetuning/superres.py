"""Voxel super-resolution (spec nerf_mae 3.10, 5.2, 7)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from maskfield.data.labelled_grids import open_finer
from maskfield.data.network_input import INPUT
from maskfield.engine.config import RunConfig, of_kind
from maskfield.engine.task import Loaders, StepOutput
from maskfield.methods.nerf_mae.downstream import (
    PlainSuperResolution,
    SuperResolution,
    super_resolution_loss,
)
from maskfield.methods.nerf_mae.downstream_config import SuperResolutionConfig
from maskfield.methods.nerf_mae.finetuning.voxels import Batch, VoxelTask
from maskfield.methods.nerf_mae.metrics import official_metrics


class SuperResolutionTask(VoxelTask[SuperResolution | PlainSuperResolution]):
    """The same place on finer voxels.

    Metrics: ``psnr`` and ``mse`` of colour on occupied voxels, mean over batches as officially
    computed; ``nearest_psnr`` of copying the coarse voxels; ``alpha_mse`` where alpha is learned.

    Raises:
        ConfigError: another kind of method or data. DataError: the grids cannot be used.
    """

    def __init__(self, config: RunConfig) -> None:
        what, recipe = "super-resolution", "nerf-mae-superres:tiny-cpu"
        method = of_kind(
            config.method, SuperResolutionConfig, what=what, field="method", recipe=recipe
        )
        super().__init__(config, method.base, method.fine_resolution)
        self.method = method
        self.train_source, self.validation_source = open_finer(self.data, method.fine_resolution)
        self.model = method.build()

    def loaders(self) -> Loaders:
        """Shuffled, augmented training batches and held-out batches in order."""
        return self.paired_loaders(self.train_source, self.validation_source)

    def training_step(self, batch: Batch, step: int, generator: torch.Generator) -> StepOutput:
        """Colour on occupied voxels, and alpha everywhere if it has a weight."""
        prediction = self.train_forward(batch["grids"], generator)
        parts = {"loss_rgb": super_resolution_loss(prediction, batch["target"])}
        loss = parts["loss_rgb"]
        if self.method.alpha_weight > 0:
            parts["loss_alpha"] = _alpha_error(prediction, batch["target"])
            loss = loss + self.method.alpha_weight * parts["loss_alpha"]
        return StepOutput(loss=loss, parts=parts, counts={"grids": len(prediction)})

    @torch.no_grad()
    def validate(self, loader: Iterable[Batch]) -> dict[str, float]:
        """Means over batches."""
        rows: list[dict[str, float]] = []
        for batch in loader:
            target, prediction = batch["target"], self.model(batch["grids"]).float()
            official = official_metrics(prediction, target)
            nearest = F.interpolate(batch["grids"], size=target.shape[2:], mode="nearest")
            row = {"psnr": float(official["psnr"]), "mse": float(official["mse"])}
            row["nearest_psnr"] = float(official_metrics(nearest, target)["psnr"])
            if self.method.alpha_weight > 0:
                row["alpha_mse"] = float(_alpha_error(prediction, target))
            rows.append(row)
        return {k: sum(r[k] for r in rows) / len(rows) for k in (rows[0] if rows else ())}

    def conventions(self) -> dict[str, Any]:
        """What the network was shown and what it answers."""
        return super_resolution_conventions(self.method)

    @torch.no_grad()
    def figures(self, directory: Path) -> list[Path]:
        """Held-out grids: coarse, the answer, and the truth."""
        from maskfield.methods.nerf_mae.finetuning.pictures import save_finer

        batch = self.first_batch(self.validation_source)
        prediction = self.model(batch["grids"]).float()
        path = directory / "superres.png"
        save_finer(batch, prediction, path, alpha=self.method.alpha_weight > 0)
        return [path]


def super_resolution_conventions(method: SuperResolutionConfig) -> dict[str, Any]:
    """What a super-resolution network is shown and answers, as its checkpoints say it."""
    return {
        "kind": "SuperResolution",
        "input": INPUT,
        "resolution": method.base.resolution,
        "fine_resolution": method.fine_resolution,
    }


def _alpha_error(
    prediction: Float[Tensor, "b 4 x y z"], target: Float[Tensor, "b 4 x y z"]
) -> Float[Tensor, ""]:
    """Mean squared error of alpha; the prediction is a logit."""
    return F.mse_loss(prediction[:, 3].sigmoid(), target[:, 3])
