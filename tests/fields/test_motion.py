"""Derivatives of pixels by their rays and cameras, against autograd and finite differences."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from maskfield.fields.motion import ray_motion
from maskfield.fields.sampler import VoxelMarch
from maskfield.fields.unfused import Unfused
from maskfield.geometry.se3 import apply, exp
from maskfield.rendering.compositing import Compositing
from maskfield.rendering.renderer import render
from maskfield.rendering.samplers import StratifiedSampler

BACKGROUND = (0.2, 0.5, 0.9)


def sampler_of(name: str, shell: float):
    spacing = "contracted" if shell else "linear"
    return VoxelMarch() if name == "march" else StratifiedSampler(count=40, spacing=spacing)


def pixels(field, rays, sampler, compositing):
    out = render(field, rays, sampler, compositing)
    return torch.cat([out.colour, out.depth[:, None], out.opacity[:, None]], dim=1)


def by_autograd(field, rays, sampler, compositing):
    """Numbers and their derivatives by origin and direction [ray, 5, 3] through the torch path."""
    origins = rays.origins.clone().requires_grad_()
    directions = rays.directions.clone().requires_grad_()
    moved = replace(rays, origins=origins, directions=directions)
    out = pixels(Unfused(field, "torch"), moved, sampler, compositing)
    rows = [torch.autograd.grad(out[:, c].sum(), (origins, directions), retain_graph=True)
            for c in range(5)]  # fmt: skip
    return out.detach(), *(torch.stack([row[k] for row in rows], 1) for k in range(2))


class TestRayMotion:
    @pytest.mark.parametrize("sampler", ["march", "stratified"])
    @pytest.mark.parametrize("shell", [0.0, 0.5])
    @pytest.mark.parametrize("degree", [0, 1, 2])
    @pytest.mark.parametrize("stop", [0.0, 0.05])
    def test_equals_autograd(self, make_field, make_rays, shell, degree, sampler, stop):
        field = make_field(shell=shell, degree=degree)
        rays = make_rays(40, far=float("inf") if shell else 20.0)
        compositing = Compositing(background=BACKGROUND, early_stop=stop, depth="accumulated")
        chosen = sampler_of(sampler, shell)
        found = ray_motion(field, rays, chosen, compositing)
        numbers, by_origin, by_direction = by_autograd(field, rays, chosen, compositing)
        torch.testing.assert_close(found.numbers, numbers, atol=1e-9, rtol=1e-9)
        torch.testing.assert_close(found.by_origin, by_origin, atol=1e-9, rtol=1e-7)
        torch.testing.assert_close(found.by_direction, by_direction, atol=1e-9, rtol=1e-7)
        assert float(by_origin.abs().max()) > 0.1

    def test_single_precision(self, make_field, make_rays):
        field = make_field(shell=0.5, dtype=torch.float32)
        rays = make_rays(40, dtype=torch.float32)
        compositing = Compositing(background=BACKGROUND, depth="accumulated")
        found = ray_motion(field, rays, VoxelMarch(), compositing)
        numbers, by_origin, _ = by_autograd(field, rays, VoxelMarch(), compositing)
        torch.testing.assert_close(found.numbers, numbers, atol=2e-5, rtol=2e-5)
        torch.testing.assert_close(found.by_origin, by_origin, atol=2e-3, rtol=1e-3)

    @pytest.mark.parametrize("shell", [0.0, 0.5])
    def test_twist_equals_finite_differences(self, make_field, make_rays, shell):
        """A small left motion exp(v, w) of all rays, with the samples at the same distances."""
        field = make_field(shell=shell)
        rays = make_rays(40, far=float("inf") if shell else 20.0)
        sampler = StratifiedSampler(count=60, spacing="contracted" if shell else "linear")
        compositing = Compositing(background=BACKGROUND)
        field.occupancy.fill_(1)
        jacobian = ray_motion(field, rays, sampler, compositing).by_twist(rays)[:, :3]
        h = 1e-6
        for k in range(6):
            ahead, back = (
                render(field, _moved(rays, k, step), sampler, compositing).colour
                for step in (h, -h)
            )
            numeric = ((ahead - back) / (2 * h)).detach()
            close = (numeric - jacobian[..., k]).abs() < 1e-4 * (1 + numeric.abs())
            assert close.float().mean() > 0.95  # a sample may cross the border of a voxel

    def test_method_gives_colours_and_twist(self, make_field, make_rays):
        field, rays = make_field(shell=0.5), make_rays(20)
        compositing = Compositing(background=BACKGROUND)
        colours, jacobian = field.motion(rays, compositing)
        expected = ray_motion(field, rays, VoxelMarch(), compositing)
        torch.testing.assert_close(colours, expected.numbers[:, :3])
        torch.testing.assert_close(jacobian, expected.by_twist(rays)[:, :3])


class TestMovingPixels:
    def test_frozen_fields_render_moving_rays_by_the_kernel(self, make_field, make_rays):
        field, rays = make_field(shell=0.5), make_rays(30)
        weight = torch.linspace(-1, 1, 150).double().reshape(30, 5)
        found = []
        for chosen in (field.requires_grad_(False), Unfused(field, "torch")):
            origins = rays.origins.clone().requires_grad_()
            directions = rays.directions.clone().requires_grad_()
            moved = replace(rays, origins=origins, directions=directions)
            out = pixels(chosen, moved, VoxelMarch(), Compositing(background=BACKGROUND))
            found.append(torch.autograd.grad((out * weight).sum(), (origins, directions)))
        torch.testing.assert_close(found[0], found[1], atol=1e-9, rtol=1e-7)


def _moved(rays, k, step):
    twist = torch.zeros(6, dtype=torch.float64)
    twist[k] = step
    motion = exp(twist)
    directions = (motion[:, :3] @ rays.directions[..., None])[..., 0]
    return replace(rays, origins=apply(motion, rays.origins), directions=directions)
