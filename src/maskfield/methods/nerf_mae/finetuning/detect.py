"""Detection with a pre-trained encoder: the detector's task, started from other weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from maskfield.data.config import GridDataConfig
from maskfield.engine.config import RunConfig, of_kind
from maskfield.engine.task import StepOutput
from maskfield.methods.nerf_mae.downstream_config import TransferDetectorConfig
from maskfield.methods.nerf_mae.finetuning.transfer import groups_by_origin, transfer
from maskfield.methods.nerf_rpn.config import NerfRPNConfig
from maskfield.methods.nerf_rpn.task import Batch, DetectionTask, checked_detector


class TransferDetectionTask(DetectionTask):
    """:class:`DetectionTask` of a TransferDetectorConfig; ``--init`` takes a masked autoencoder."""

    def __init__(self, config: RunConfig) -> None:
        super().__init__(config)
        self._encoder: nn.Module = self.model.backbone.encoder
        self._learning = [p for p in self._encoder.parameters() if p.requires_grad]

    def _checked(self, config: RunConfig) -> tuple[NerfRPNConfig, GridDataConfig]:
        method = of_kind(
            config.method,
            TransferDetectorConfig,
            what="fine-tuning for detection",
            field="method",
            recipe="nerf-mae-detect:tiny-cpu",
        )
        return checked_detector(method.detector(), config)

    def initialise(self, weights: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
        """Take over the pre-trained encoder; pyramid and head start afresh."""
        transfer(weights, header, self.model, self.config.method.base, prefix="backbone.")

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Pyramid and head at the run's learning rate, the encoder at its scaled one."""
        scale = self.config.method.encoder_lr_scale
        return groups_by_origin(self.model, self._encoder, self.config.optim.lr, scale)

    def training_step(self, batch: Batch, step: int, generator: torch.Generator) -> StepOutput:
        """As the detector's; in the first steps the encoder is left as it came, if so wished."""
        if self.config.method.encoder_frozen_share > 0:
            frozen = step < self.config.method.encoder_frozen_share * self.config.engine.steps
            for p in self._learning:
                p.requires_grad_(not frozen)
        return super().training_step(batch, step, generator)
