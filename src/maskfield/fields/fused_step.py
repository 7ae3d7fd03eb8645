"""The fused fitting step: forward, loss, backward and update by numba kernels.

It minimises, summed over rays, |gain * colour - target|^2 / 3 + distortion, adds the gradient of a
Huber total variation on the voxels touched, and takes one RMSprop step there. Deterministic at a
fixed thread count. ``torch_step`` is its twin.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from maskfield.fields.gradients import CompactGradient
from maskfield.fields.photos import PixelBatch
from maskfield.fields.step_types import StepRates, StepReport
from maskfield.fields.threads import Workers
from maskfield.fields.voxel import VoxelField
from maskfield.fields.voxel_fused import packed_lines, packed_settings, packed_volume
from maskfield.fields.voxel_kernels import fit_rays, scratch_space
from maskfield.fields.voxel_update import smooth, update
from maskfield.geometry.sh import sh_basis


class FusedStep:
    """The numba pass on ``threads`` threads, with memory for their gradients."""

    def __init__(self, field: VoxelField, threads: int) -> None:
        self.workers = Workers(threads)
        kind = field.density.detach().numpy().dtype.type
        self.gradient = CompactGradient(
            self.workers, field.density.numel(), field.colour.shape[-1], kind
        )

    def __call__(
        self,
        field: VoxelField,
        moments: Tensor,
        batch: PixelBatch,
        offset: np.ndarray,
        gains: np.ndarray,
        rates: StepRates,
    ) -> StepReport:
        report = self.gradients(field, batch, offset, gains, rates)
        density, colour, shape = packed_volume(field)[:3]
        kind = density.dtype.type
        self.gradient.merge()
        if rates.tv_density > 0 or rates.tv_colour > 0 or rates.sparsity > 0:
            strengths = kind(rates.tv_density), kind(rates.tv_colour), kind(rates.sparsity)
            self.gradient.each(
                lambda touched, rows, a, b: smooth(
                    density, colour, shape, touched, rows, a, b, *strengths
                )
            )
        steps = kind(rates.lr_density), kind(rates.lr_colour), kind(rates.beta)
        state = moments.numpy()
        self.gradient.each(
            lambda touched, rows, a, b: update(density, colour, state, touched, rows, a, b, *steps)
        )
        self.gradient.clear()
        return report

    def gradients(
        self,
        field: VoxelField,
        batch: PixelBatch,
        offset: np.ndarray,
        gains: np.ndarray,
        rates: StepRates,
    ) -> StepReport:
        """Loss and gradients of a batch; they stay in ``self.gradient``, not yet merged."""
        kind = field.density.dtype
        rays, spans = packed_lines(field, batch.rays, torch.from_numpy(offset))
        basis = sh_basis(batch.rays.directions.to(kind), field.settings.degree).numpy()
        number = basis.dtype
        given = np.zeros((len(rays), 2, 0), number)
        lines = (rays, basis, spans, given, batch.background.astype(number, copy=False))
        if not rates.view_dependent:
            basis[:, 1:] = 0  # as if colour were the same from everywhere
        volume, settings = packed_volume(field), packed_settings(field, rates.distortion)
        settings[4] = rates.w_min
        target, limit = batch.target.astype(number, copy=False), field.settings.max_samples
        count = self.workers.count
        reports, to_gains = np.zeros((count, 4)), np.zeros((count, *gains.shape), number)

        def block(k: int, a: int, b: int, table, used: int) -> tuple[int, int]:
            photo = (target, gains.astype(number, copy=False), batch.image, to_gains[k])
            space = scratch_space(volume, limit)
            return fit_rays(volume, settings, lines, a, b, space, photo, table, used, reports[k])

        self.gradient.accumulate(len(rays), block)
        total = reports.sum(0)
        return StepReport(
            squared_error=float(total[0]),
            distortion=float(total[1]),
            samples=int(total[2]),
            rays=int(total[3]),
            gain_gradient=to_gains.sum(0),
        )
