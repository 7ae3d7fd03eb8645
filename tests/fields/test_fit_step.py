"""The fused fitting step: its gradients against autograd, its update against the formulas."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from maskfield.fields.fused_step import FusedStep
from maskfield.fields.photos import PixelBatch
from maskfield.fields.sampler import VoxelMarch
from maskfield.fields.step_types import StepRates
from maskfield.fields.torch_step import TorchStep
from maskfield.fields.unfused import Unfused
from maskfield.fields.voxel_update import spread
from maskfield.rendering.compositing import Compositing
from maskfield.rendering.renderer import render

STILL = StepRates(
    lr_density=0.0,
    lr_colour=0.0,
    beta=0.9,
    tv_density=0.0,
    tv_colour=0.0,
    sparsity=0.0,
    distortion=0.0,
    w_min=-1.0,
)


def batch_of(rays, seed: int = 0) -> PixelBatch:
    generator = np.random.default_rng(seed)
    count = len(rays)
    return PixelBatch(
        rays=rays,
        target=generator.random((count, 3)),
        background=generator.random((count, 3)),
        image=generator.integers(0, 3, count),
    )


def gains() -> np.ndarray:
    return 0.8 + 0.4 * np.random.default_rng(7).random((3, 3))


def fused_gradients(field, batch, rates=STILL, threads: int = 2):
    return _step_gradients(FusedStep(field, threads), field, batch, rates)


def _step_gradients(step, field, batch, rates=STILL):
    offset = np.full(len(batch.rays), 0.5)
    report = step.gradients(field, batch, offset, gains(), rates)
    step.gradient.merge()
    density, colour = torch.zeros_like(field.density), torch.zeros_like(field.colour)
    flat = density.numpy().reshape(-1), colour.numpy().reshape(-1, colour.shape[-1])
    step.gradient.each(lambda touched, rows, a, b: spread(touched, rows, a, b, *flat))
    return report, density, colour


def distortion_loss(weights, t, delta, contracted: bool, length: float):
    """Sum over rays of mip-NeRF 360's eq. 15, the double sum written out."""

    def warp(d):
        return d / (d + length) if contracted else d / length

    s, width = warp(t), warp(t + delta) - warp(t)
    apart = (s[:, :, None] - s[:, None, :]).abs()
    pairs = (weights[:, :, None] * weights[:, None, :] * apart).sum()
    return pairs + (weights.square() * width).sum() / 3


def expected_loss(field, batch, strength: float):
    compositing = Compositing(keep_weights=True)
    out = render(Unfused(field, "torch"), batch.rays, VoxelMarch(), compositing)
    behind = torch.from_numpy(batch.background)
    shown = out.colour + (1 - out.opacity[:, None]) * behind
    gain = torch.from_numpy(gains()).requires_grad_()
    error = gain[torch.from_numpy(batch.image)] * shown - torch.from_numpy(batch.target)
    squared = error.square().sum() / 3
    box = field.box
    length = float((box[1] - box[0]).max()) / 2
    spread_out = distortion_loss(out.weights, out.t, out.delta, field.contracted, length)
    return squared, spread_out, squared + strength * spread_out, gain


class TestGradients:
    @pytest.mark.parametrize("shell", [0.0, 0.5])
    @pytest.mark.parametrize("strength", [0.0, 0.3])
    def test_equal_autograd(self, make_field, make_rays, shell, strength):
        field = make_field(shell=shell)
        batch = batch_of(make_rays(30, far=float("inf") if shell else 20.0))
        report, density, colour = fused_gradients(field, batch, replace(STILL, distortion=strength))
        squared, spread_out, loss, gain = expected_loss(field, batch, strength)
        wanted = torch.autograd.grad(loss, [field.density, field.colour, gain])
        assert report.squared_error == pytest.approx(float(squared))
        if strength:
            assert report.distortion == pytest.approx(float(spread_out))
        torch.testing.assert_close(density, wanted[0], atol=1e-10, rtol=1e-7)
        torch.testing.assert_close(colour, wanted[1], atol=1e-10, rtol=1e-7)
        torch.testing.assert_close(torch.from_numpy(report.gain_gradient), wanted[2])

    def test_same_bits_at_a_fixed_thread_count(self, make_field, make_rays):
        field, batch = make_field(), batch_of(make_rays(200, far=20.0))
        first, second = fused_gradients(field, batch), fused_gradients(field, batch)
        assert torch.equal(first[1], second[1])
        assert torch.equal(first[2], second[2])
        alone = fused_gradients(field, batch, threads=1)
        torch.testing.assert_close(alone[2], first[2])

    def test_without_view_dependence_only_the_mean_moves(self, make_field, make_rays):
        field, batch = make_field(), batch_of(make_rays(far=20.0))
        _, _, colour = fused_gradients(field, batch, replace(STILL, view_dependent=False))
        terms = colour.unflatten(-1, (3, 4))
        assert float(terms[..., 0].abs().max()) > 0
        assert float(terms[..., 1:].abs().max()) == 0


class TestUpdate:
    def step(self, field, batch, rates):
        moments = torch.zeros(field.density.numel(), 3, dtype=field.density.dtype)
        moments[:, 2] = 0.5
        FusedStep(field, 2)(field, moments, batch, np.full(len(batch.rays), 0.5), gains(), rates)
        return moments

    def test_first_step_is_the_sign_times_the_rate(self, make_field, make_rays):
        """Bias-corrected RMSprop: the first step has length lr, here halved by the share 0.5."""
        field, batch = make_field(), batch_of(make_rays(far=20.0))
        _, gradient, _ = fused_gradients(field, batch)
        before = field.density.detach().clone()
        self.step(field, batch, replace(STILL, lr_density=0.1))
        moved = field.density.detach() - before
        strong = gradient.abs() > 1e-5
        torch.testing.assert_close(moved[strong], -0.05 * gradient[strong].sign())
        assert float(moved[gradient == 0].abs().max()) == 0

    def test_colour_shares_one_moment_per_voxel(self, make_field, make_rays):
        field, batch = make_field(), batch_of(make_rays(far=20.0))
        _, _, gradient = fused_gradients(field, batch)
        before = field.colour.detach().clone()
        self.step(field, batch, replace(STILL, lr_colour=0.1))
        size = gradient.square().mean(-1, keepdim=True).sqrt()
        strong = size[..., 0] > 1e-5
        moved = field.colour.detach() - before
        torch.testing.assert_close(moved[strong], (-0.1 * gradient / size)[strong])

    def test_total_variation_is_a_hubers_gradient(self, make_field, make_rays):
        """On the voxels touched: sum over six neighbours of clamp(difference, -1, 1)."""
        field, batch = make_field(), batch_of(make_rays(far=20.0))
        _, data, _ = fused_gradients(field, batch)
        moments = self.step(field, batch, replace(STILL, tv_density=2.0, sparsity=0.25))
        raw = torch.nn.functional.pad(
            field.density.detach()[None, None], (1, 1, 1, 1, 1, 1), mode="replicate"
        )[0, 0]
        pull = torch.full_like(field.density, 0.25 / 2)
        for axis in range(3):
            for shift in (-1, 1):
                other = raw.roll(shift, axis)[1:-1, 1:-1, 1:-1]
                pull += (field.density.detach() - other).clamp(-1, 1)
        total = data + 2 * pull
        touched = moments[:, 1].reshape(data.shape) > 0
        found = moments[:, 0].reshape(data.shape)[touched]
        torch.testing.assert_close(found, total[touched].square())
        assert touched.any()

    def test_a_step_leaves_nothing_to_the_next(self, make_field, make_rays):
        field, batch = make_field(), batch_of(make_rays(far=20.0))
        other = batch_of(make_rays(12, far=20.0), seed=3)
        fresh = _step_gradients(FusedStep(field, 2), field, other)
        step = FusedStep(field, 2)
        moments = torch.zeros(field.density.numel(), 3, dtype=field.density.dtype)
        step(field, moments, batch, np.full(len(batch.rays), 0.5), gains(), STILL)
        assert step.gradient.counts == [0, 0]
        assert all((slots == -1).all() for slots, _, _ in step.gradient.tables)
        again = _step_gradients(step, field, other)
        assert all(torch.equal(a, b) for a, b in zip(fresh[1:], again[1:], strict=True))


class TestTorchStep:
    @pytest.mark.parametrize("shell", [0.0, 0.5])
    @pytest.mark.parametrize("w_min", [-1.0, 0.02])
    def test_equals_the_fused_step(self, make_field, make_rays, shell, w_min):
        rates = replace(
            STILL,
            lr_density=0.1,
            lr_colour=0.2,
            tv_density=1e-3,
            tv_colour=1e-3,
            distortion=0.1,
            w_min=w_min,
        )
        found = []
        for chosen in ("fused", "torch"):
            field = make_field(shell=shell, stop=0.01)
            step = FusedStep(field, 2) if chosen == "fused" else TorchStep()
            moments = torch.zeros(field.density.numel(), 3, dtype=torch.float64)
            moments[:, 2] = 1
            for turn in range(3):
                batch = batch_of(make_rays(30, far=float("inf") if shell else 20.0), turn)
                offset = np.random.default_rng(turn).random(30)
                report = step(field, moments, batch, offset, gains(), rates)
            found.append((field.density.detach(), field.colour.detach(), moments, report))
        for a, b in zip(found[0][:3], found[1][:3], strict=True):
            torch.testing.assert_close(a, b, atol=1e-7, rtol=1e-5)
        assert found[0][3].squared_error == pytest.approx(found[1][3].squared_error)
        assert found[0][3].distortion == pytest.approx(found[1][3].distortion)
        np.testing.assert_allclose(found[0][3].gain_gradient, found[1][3].gain_gradient)
