"""The fitting step in torch and autograd: the twin of ``fused_step``, and the path on CUDA."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from maskfield.fields.photos import PixelBatch
from maskfield.fields.sampler import VoxelMarch
from maskfield.fields.step_types import StepRates, StepReport
from maskfield.fields.voxel import VoxelField
from maskfield.ops.compositing import weights_from_density
from maskfield.ops.trilinear import TrilinearBackend
from maskfield.rendering.compositing import Compositing, sample_weights
from maskfield.rendering.field import FieldOutput, RaySamples

_EPS = 1e-12


class TorchStep:
    """The same step as ``FusedStep``, up to rounding; ``backend`` is of the look-up."""

    def __init__(self, backend: TrilinearBackend = "torch") -> None:
        self.backend: TrilinearBackend = backend

    def __call__(
        self,
        field: VoxelField,
        moments: Tensor,
        batch: PixelBatch,
        offset: np.ndarray,
        gains: np.ndarray,
        rates: StepRates,
    ) -> StepReport:
        device, kind = field.density.device, field.density.dtype
        rays = batch.rays.to(device)
        samples = VoxelMarch().place(rays, field, torch.from_numpy(offset).to(device))
        target, behind, image, gain = (
            torch.from_numpy(a).to(device)
            for a in (batch.target, batch.background, batch.image, gains)
        )
        gain.requires_grad_()
        weights, output = self._weigh(field, samples, rates)
        shown = (weights[..., None] * output.colour).sum(1)
        shown = shown + (1 - weights.sum(1, keepdim=True)) * behind.to(kind)
        squared = (gain[image].to(kind) * shown - target.to(kind)).square().sum() / 3
        spread = distortion(field, weights, samples)
        loss = squared + rates.distortion * spread
        density, colour, to_gain = torch.autograd.grad(loss, [field.density, field.colour, gain])
        with torch.no_grad():
            self._update(field, moments, density, colour, rates)
        return StepReport(
            squared_error=float(squared.detach()),
            distortion=float(spread.detach()),
            samples=int((samples.mask & (weights.detach() > 0)).sum()),
            rays=len(rays),
            gain_gradient=to_gain.cpu().numpy(),
        )

    def _weigh(
        self, field: VoxelField, samples: RaySamples, rates: StepRates
    ) -> tuple[Float[Tensor, "ray sample"], FieldOutput]:
        """Weights and colours; samples with weight <= w_min have no colour and no gradient."""
        output = field(samples, self.backend, view_dependent=rates.view_dependent)
        assert output.density is not None
        with torch.no_grad():
            plain = Compositing(early_stop=field.settings.stop, backend="torch")
            first = sample_weights(output, samples, plain)
        seen = first > rates.w_min
        sigma = torch.where(seen, output.density, output.density.detach())
        weights = weights_from_density(sigma, samples.delta, backend="torch")
        weights = torch.where(first > 0, weights, torch.zeros_like(weights))
        colour = torch.where(seen[..., None], output.colour, torch.zeros_like(output.colour))
        return weights, FieldOutput(colour=colour, density=sigma)

    def _update(
        self, field: VoxelField, moments: Tensor, density: Tensor, colour: Tensor, rates: StepRates
    ) -> None:
        """Total variation and RMSprop where a gradient arrived."""
        touched = ((density != 0) | (colour != 0).any(-1)).reshape(-1)
        pull = rates.tv_density * huber_pull(field.density[..., None])[..., 0] + rates.sparsity
        g_density = (density + pull).reshape(-1)[touched]
        g_colour = (colour + rates.tv_colour * huber_pull(field.colour)).flatten(0, 2)[touched]
        squares = torch.stack([g_density.square(), g_colour.square().mean(-1)], dim=1)
        old = moments[touched, :2]
        new = torch.where(old == 0, squares, rates.beta * old + (1 - rates.beta) * squares)
        moments[touched, :2] = torch.where(squares > 0, new, old)
        root = new.sqrt() + _EPS
        step = rates.lr_density * moments[touched, 2] * g_density / root[:, 0]
        field.density.view(-1)[touched] -= step
        field.colour.view(-1, colour.shape[-1])[touched] -= rates.lr_colour * g_colour / root[:, 1:]


def huber_pull(volume: Float[Tensor, "x y z c"]) -> Float[Tensor, "x y z c"]:
    """Gradient of the Huber total variation (bound 1): sum of clamped differences to neighbours."""
    pull = torch.zeros_like(volume)
    for axis in range(3):
        difference = volume.diff(dim=axis).clamp(-1, 1)
        rest = volume.shape[axis] - 1
        pull.narrow(axis, 1, rest).add_(difference)
        pull.narrow(axis, 0, rest).sub_(difference)
    return pull


def distortion(
    field: VoxelField, weights: Float[Tensor, "ray sample"], samples: RaySamples
) -> Float[Tensor, ""]:
    """Distortion loss (mip-NeRF 360, eq. 15) on the scale of ``voxel_shade.warp``, summed."""
    length = field.length

    def warp(t: Tensor) -> Tensor:
        return t / (t + length) if field.contracted else t / length

    s = warp(samples.t)
    width = warp(samples.t + samples.delta) - s
    below = weights.cumsum(1) - weights
    below_s = (weights * s).cumsum(1) - weights * s
    pairs = 2 * (weights * (s * below - below_s)).sum()
    return pairs + (weights.square() * width).sum() / 3
