"""The numba path against its torch twin: same pixels, same gradients."""

from __future__ import annotations

import pytest
import torch

from maskfield.fields import gradients
from maskfield.fields.sampler import VoxelMarch
from maskfield.fields.unfused import Unfused
from maskfield.rendering.compositing import Compositing
from maskfield.rendering.renderer import render
from maskfield.rendering.samplers import StratifiedSampler

BACKGROUND = (0.2, 0.5, 0.9)
TOLERANCE = {torch.float64: 1e-10, torch.float32: 2e-5}


def sampler_of(name: str, shell: float):
    spacing = "contracted" if shell else "linear"
    return VoxelMarch() if name == "march" else StratifiedSampler(count=40, spacing=spacing)


def pixels(field, rays, sampler, compositing):
    out = render(field, rays, sampler, compositing)
    return torch.cat([out.colour, out.depth[:, None], out.opacity[:, None]], dim=1)


class TestFusedRender:
    @pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
    @pytest.mark.parametrize("sampler", ["march", "stratified"])
    @pytest.mark.parametrize("shell", [0.0, 0.5])
    @pytest.mark.parametrize("stop", [0.0, 0.05])
    def test_equals_the_twin(self, make_field, make_rays, shell, sampler, dtype, stop):
        field = make_field(shell=shell, dtype=dtype)
        rays = make_rays(dtype=dtype, far=float("inf") if shell else 20.0)
        compositing = Compositing(background=BACKGROUND, early_stop=stop)
        chosen = sampler_of(sampler, shell)
        fused = pixels(field, rays, chosen, compositing)
        twin = pixels(Unfused(field, "torch"), rays, chosen, compositing)
        torch.testing.assert_close(fused, twin, atol=TOLERANCE[dtype], rtol=TOLERANCE[dtype])
        assert float(fused[:, 4].max()) > 0.5  # the rays do meet something

    @pytest.mark.parametrize("shell", [0.0, 0.5])
    @pytest.mark.parametrize("degree", [0, 1, 2])
    def test_gradients_equal_the_twins(self, make_field, make_rays, shell, degree):
        field = make_field(shell=shell, degree=degree)
        rays = make_rays(far=float("inf") if shell else 20.0)
        found = []
        for chosen in (field, Unfused(field, "torch")):
            out = pixels(chosen, rays, VoxelMarch(), Compositing(background=BACKGROUND))
            weight = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).reshape(out.shape)
            found.append(torch.autograd.grad((out * weight).sum(), [field.density, field.colour]))
        torch.testing.assert_close(found[0], found[1], atol=1e-10, rtol=1e-8)

    def test_gradcheck_against_finite_differences(self, make_field, make_rays):
        field = make_field(shell=0.5, longest=8)
        rays = make_rays(4)
        compositing = Compositing(background=BACKGROUND, depth="accumulated")

        def shown(density, colour):
            state = {"density": density, "colour": colour}
            return torch.func.functional_call(
                _Rendered(field), {f"field.{k}": v for k, v in state.items()}, (rays, compositing)
            )

        assert torch.autograd.gradcheck(shown, (field.density, field.colour), fast_mode=True)

    def test_full_tables_grow(self, make_field, make_rays, monkeypatch):
        field, rays = make_field(), make_rays(far=20.0)
        expected = _density_gradient(field, rays)
        monkeypatch.setattr(gradients, "_FIRST_ROWS", 300)
        torch.testing.assert_close(_density_gradient(field, rays), expected)

    def test_thread_count_changes_only_rounding(self, make_field, make_rays):
        field, rays = make_field(), make_rays(64, far=20.0)
        before = torch.get_num_threads()
        try:
            torch.set_num_threads(1)
            alone = _density_gradient(field, rays)
            torch.set_num_threads(3)
            shared, again = _density_gradient(field, rays), _density_gradient(field, rays)
        finally:
            torch.set_num_threads(before)
        torch.testing.assert_close(shared, alone)
        assert torch.equal(shared, again)  # the same bits at a fixed thread count


class TestWhenFused:
    def test_what_numba_cannot_do_goes_to_torch(self, make_field):
        field = make_field()
        assert field.fused(VoxelMarch(), Compositing()) is not None
        assert field.fused(VoxelMarch(jitter=True), Compositing()) is None
        assert field.fused(VoxelMarch(), Compositing(last_interval="1e10")) is None
        assert field.fused(VoxelMarch(), Compositing(depth="median")) is None
        assert field.fused(VoxelMarch(), Compositing(keep_weights=True)) is None

    def test_rays_that_need_gradients_get_them(self, make_field, make_rays):
        field, rays = make_field(), make_rays(far=20.0)
        rays.origins.requires_grad_()
        out = render(field, rays, VoxelMarch(), Compositing(background=BACKGROUND))
        (grad,) = torch.autograd.grad(out.colour.sum(), rays.origins)
        assert float(grad.abs().max()) > 0


class _Rendered(torch.nn.Module):
    def __init__(self, field):
        super().__init__()
        self.field = field

    def forward(self, rays, compositing):
        return pixels(self.field, rays, VoxelMarch(), compositing)


def _density_gradient(field, rays):
    out = render(field, rays, VoxelMarch(), Compositing(background=BACKGROUND))
    return torch.autograd.grad(out.colour.square().sum(), field.density)[0]
