"""Masked pre-training of NeRF-MAE as the engine sees it (spec nerf_mae 4-7)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from maskfield.data.grid_sources import open_grids
from maskfield.data.network_input import INPUT
from maskfield.engine.config import RunConfig, of_kind
from maskfield.engine.seeding import mixed_seed
from maskfield.engine.task import Loaders, StepOutput
from maskfield.methods.nerf_mae.batches import Batch, checked_data, grid_batches
from maskfield.methods.nerf_mae.config import NerfMAEConfig
from maskfield.methods.nerf_mae.losses import mae_loss, masked_voxels
from maskfield.methods.nerf_mae.metrics import (
    ErrorSum,
    hidden_errors,
    official_metrics,
    summarise,
)

VALIDATION_STREAM = 2


class NerfMAETask:
    """Hide blocks of radiance grids, learn to bring them back.

    Validation masks depend on the batch's place alone, so that every validation of a run, and of
    every run with the same batch size, hides the same voxels. Metrics: ``loss``, ``loss_rgb``,
    ``loss_alpha``; ``psnr`` (official: RGB of all occupied voxels, mean over batches); and, on what
    was hidden only, ``hidden_colour_psnr`` and ``hidden_alpha_mse`` with their baselines.

    Args:
        config: a run whose method is NerfMAEConfig and whose data are GridDataConfig.

    Raises:
        ConfigError: another kind of method or data, or resolutions that differ.
        DataError: the grids cannot be used.
    """

    def __init__(self, config: RunConfig) -> None:
        what, recipe = "masked pre-training", "nerf-mae:tiny-cpu"
        method = of_kind(config.method, NerfMAEConfig, what=what, field="method", recipe=recipe)
        data = checked_data(config, method)
        self.config = config
        self.train_source, self.validation_source = open_grids(data)
        self.model = method.build()
        self._data = data
        self._method = method

    def loaders(self) -> Loaders:
        """Shuffled, augmented training batches and validation batches in order."""
        seed = self.config.seed
        return Loaders(
            train=grid_batches(self.train_source, self._data, seed=seed, train=True),
            validation=grid_batches(self.validation_source, self._data, seed=seed, train=False),
        )

    def training_step(self, batch: Batch, step: int, generator: torch.Generator) -> StepOutput:
        """Forward pass and loss of one batch; masks and dropped paths come from ``generator``."""
        grids, sizes = batch["grids"], batch["sizes"]
        token_mask = self.model.draw_mask(len(grids), generator).to(grids.device)
        keep = self.model.draw_keep(len(grids), generator)
        prediction = self.model(grids, sizes, token_mask, keep=keep)
        loss, parts = self._loss(prediction, batch, token_mask)
        named = {k: parts[k] for k in ("loss_rgb", "loss_alpha")}
        return StepOutput(loss=loss, parts=named, counts={"grids": len(grids)})

    @torch.no_grad()
    def validate(self, loader: Iterable[Batch]) -> dict[str, float]:
        """Losses, the official PSNR and the errors on what was hidden, over ``loader``."""
        means: dict[str, list[float]] = {}
        errors: dict[str, ErrorSum] = {}
        for place, batch in enumerate(loader):
            prediction, token_mask = self._predict(batch, place)
            loss, parts = self._loss(prediction, batch, token_mask)
            official = official_metrics(prediction, batch["grids"])
            row = {"loss": loss, "psnr": official["psnr"], "mse": official["mse"]}
            row |= {k: parts[k] for k in ("loss_rgb", "loss_alpha")}
            for name, value in row.items():
                means.setdefault(name, []).append(float(value))
            masked = masked_voxels(token_mask, batch["sizes"], batch["grids"].shape[2])
            for name, error in hidden_errors(prediction, batch["grids"], masked).items():
                errors[name] = errors.get(name, ErrorSum()) + error
        return {k: sum(v) / len(v) for k, v in means.items()} | summarise(errors)

    def conventions(self) -> dict[str, Any]:
        """What the network was shown; a checkpoint shown something else is refused."""
        return mae_conventions(self._method)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """One group: weight decay acts on every trainable tensor (spec nerf_mae 6)."""
        return [{"params": [p for p in self.model.parameters() if p.requires_grad]}]

    @torch.no_grad()
    def figures(self, directory: Path) -> list[Path]:
        """Original, masked and reconstructed validation grids as one picture."""
        from maskfield.methods.nerf_mae.pictures import save_reconstructions

        loader = grid_batches(self.validation_source, self._data, seed=0, train=False)
        batch = next(iter(loader))
        device = next(self.model.parameters()).device
        batch = {k: v.to(device) for k, v in batch.items()}
        prediction, token_mask = self._predict(batch, place=0)
        path = directory / "reconstructions.png"
        save_reconstructions(
            batch["grids"], prediction, token_mask, batch["sizes"], path, self._method.rgb_region
        )
        return [path]

    def _predict(self, batch: Batch, place: int) -> tuple[Tensor, Tensor]:
        grids = batch["grids"]
        generator = torch.Generator().manual_seed(mixed_seed(VALIDATION_STREAM, place))
        token_mask = self.model.draw_mask(len(grids), generator).to(grids.device)
        return self.model(grids, batch["sizes"], token_mask).float(), token_mask

    def _loss(
        self, prediction: Tensor, batch: Batch, token_mask: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        m = self._method
        return mae_loss(
            prediction,
            batch["grids"],
            token_mask,
            batch["sizes"],
            m.rgb_region,
            rgb_weight=m.rgb_weight,
            alpha_weight=m.alpha_weight,
        )


def mae_conventions(method: NerfMAEConfig) -> dict[str, Any]:
    """What a masked autoencoder is shown, as its checkpoints say it."""
    return {"kind": "NerfMAE", "input": INPUT, "resolution": method.resolution}
