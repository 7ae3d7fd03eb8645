"""What one fitting step is given and what it reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch import Tensor

from maskfield.fields.photos import PixelBatch
from maskfield.fields.voxel import VoxelField


@dataclass(frozen=True, kw_only=True)
class StepRates:
    """Strengths of one step; see ``VoxelFitConfig``."""

    lr_density: float
    lr_colour: float
    beta: float
    tv_density: float
    tv_colour: float
    sparsity: float
    distortion: float
    w_min: float
    view_dependent: bool = True


@dataclass(frozen=True, kw_only=True)
class StepReport:
    """Sums over the rays of a step, and the gradient of the gains [image, 3]."""

    squared_error: float
    distortion: float
    samples: int
    rays: int
    gain_gradient: np.ndarray


class FitStep(Protocol):
    """Gradients of one batch and one update of field and ``moments`` [voxel, 3], in place.

    ``moments``: second moments of density and colour, and the voxel's share of the density's step.
    ``offset`` [ray] in [0, 1): where marches start; ``gains`` [image, 3].
    """

    def __call__(
        self,
        field: VoxelField,
        moments: Tensor,
        batch: PixelBatch,
        offset: np.ndarray,
        gains: np.ndarray,
        rates: StepRates,
    ) -> StepReport: ...
