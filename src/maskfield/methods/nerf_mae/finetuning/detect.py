"""Detection with a pre-trained encoder: the detector's task, started from other weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from maskfield.data.config import GridDataConfig
from maskfield.engine.config import RunConfig, of_kind
from maskfield.methods.nerf_mae.downstream_config import TransferDetectorConfig
from maskfield.methods.nerf_mae.finetuning.transfer import transfer
from maskfield.methods.nerf_rpn.config import NerfRPNConfig
from maskfield.methods.nerf_rpn.task import DetectionTask, checked_detector


class TransferDetectionTask(DetectionTask):
    """:class:`DetectionTask` of a TransferDetectorConfig; ``--init`` takes a masked autoencoder."""

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
