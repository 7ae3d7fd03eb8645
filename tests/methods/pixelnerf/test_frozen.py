"""The MLP with frozen weights: the same numbers and gradients as the network's own path."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from maskfield.methods.pixelnerf.config import (
    EXACT,
    MLPConfig,
    PixelNeRFConfig,
    SamplingConfig,
    SmallEncoderConfig,
)
from maskfield.methods.pixelnerf.model import frozen
from maskfield.methods.pixelnerf.model.field import PixelNeRFField
from maskfield.methods.pixelnerf.model.frozen import can_stand_still
from maskfield.methods.pixelnerf.model.network import PixelNeRF
from maskfield.methods.pixelnerf.sampling import compositing_of, level_sampler
from maskfield.rendering.renderer import render

BASE = PixelNeRFConfig(
    encoder=SmallEncoderConfig(widths=(8, 16)),
    mlp=MLPConfig(blocks=3, hidden=12, combine_layer=2),
    mlp_fine=MLPConfig(blocks=3, hidden=12, combine_layer=2),
    sampling=SamplingConfig(coarse=6, fine=6, fine_depth=3),
)


def field_of(
    small: SimpleNamespace, views: int = 2, *, project: bool = True, **changes: object
) -> PixelNeRFField:
    """The field of a frozen network whose densities are above zero at about half of the points."""
    one = replace(BASE.mlp, **changes)  # type: ignore[arg-type]
    network: PixelNeRF = small.built(replace(BASE, mlp=one, mlp_fine=one), seed=2)
    network.requires_grad_(False)
    with torch.no_grad():
        encoded = network.encode(*small.source_views(views=views))
        field = PixelNeRFField(network, encoded, project=project)
        points = torch.rand(200, 3, generator=torch.Generator().manual_seed(0)) - 0.5
        for mlp in (network.mlp_coarse, network.mlp_fine):
            assert mlp is not None
            mlp.lin_out.bias[3] = 1e3  # all positive, so that they can be ranked
            density = field.views.query(mlp, points, points)[1] - 1e3
            mlp.lin_out.bias[3] = -density.median()
    return field


def answers(field: PixelNeRFField, points: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    """Colour and density, and the gradient of a mixture of both by points and directions."""
    p, d = (t.clone().requires_grad_() for t in (points, directions))
    colour, density = field.views.query(field.mlp, p, d)  # type: ignore[arg-type]
    out = torch.cat([colour, density[:, None]], dim=1)
    share = torch.linspace(-1, 1, out.numel()).view_as(out) * (density > 0)[:, None]
    grads = torch.autograd.grad((out * share).sum(), (p, d))
    return out.detach(), torch.cat(grads)


@pytest.fixture
def some(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    points = torch.rand(40, 3, generator=generator) - 0.5
    directions = torch.randn(40, 3, generator=generator)
    return points, torch.nn.functional.normalize(directions, dim=1)


@pytest.mark.parametrize("views", [1, 3])
@pytest.mark.parametrize("layer", [1, 2, 3, 9])
def test_values_and_gradients_are_those_of_the_plain_path(small, some, views, layer, monkeypatch):
    monkeypatch.setattr(frozen, "_NUMBERS", 12 * 16 * views)  # three parts, the last not full
    field = field_of(small, views, combine_layer=layer)
    plain = field_of(small, views, project=False, combine_layer=layer)
    for found, expected in zip(answers(field, *some), answers(plain, *some), strict=True):
        torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)
    assert float(answers(field, *some)[1].abs().max()) > 1e-2


def test_zeros_beyond_the_maps(small, some):
    fields = [field_of(small, project=project) for project in (True, False)]
    for field in fields:
        field.views.padding = "zeros"
    found, expected = (answers(field, 3 * some[0], some[1]) for field in fields)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, atol=2e-5, rtol=1e-4)


def test_bfloat16_is_near(small, some):
    field = field_of(small)
    points = some[0].requires_grad_()
    assert field.mlp is not None
    exact, rough = (field.views.query(field.mlp, points, some[1], bf16=b)[0] for b in (False, True))
    assert 0 < float((exact - rough).detach().abs().max()) < 2e-2
    slopes = [torch.autograd.grad(c.sum(), points)[0] for c in (exact, rough)]
    assert 0 < float((slopes[0] - slopes[1]).norm() / slopes[0].norm()) < 0.1


def test_options_reach_a_search(small):
    """A field with options takes its precision from them where it is not drawn as an image, too."""
    field, colours = field_of(small), []
    for options in (EXACT, replace(EXACT, bf16=True)):
        field.options = options
        sampler = level_sampler(field.network.config, jitter=False)
        rays = small.rays(8)
        rays = replace(rays, origins=rays.origins.requires_grad_())
        out = render(field, rays, sampler, compositing_of(field.network.config))
        colours.append(out.colour.detach())
    assert 0 < float((colours[0] - colours[1]).abs().max()) < 5e-2


def test_points_without_gradient_are_not_visited(small, some, monkeypatch):
    visited = []
    backward = frozen._backward

    def counted(mlp, g, *rest):
        visited.append(len(g))
        return backward(mlp, g, *rest)

    monkeypatch.setattr(frozen, "_backward", counted)
    field = field_of(small)
    points = some[0].clone().requires_grad_()
    colour, density = field.views.query(field.mlp, points, some[1])  # type: ignore[arg-type]
    wanted = torch.arange(40) % 4 == 0
    (colour[wanted].sum() + 0 * density.sum()).backward()
    assert visited == [10]
    assert points.grad is not None
    assert bool((points.grad.abs().sum(1) > 0).eq(wanted).all())


def test_a_whole_ray_has_the_gradient_of_the_plain_path(small):
    rays = small.rays(8)
    found = []
    for project in (True, False):
        field = field_of(small, project=project)
        origins = rays.origins.clone().requires_grad_()
        sampler = level_sampler(field.network.config, jitter=False)
        out = render(
            field, replace(rays, origins=origins), sampler, compositing_of(field.network.config)
        )
        (gradient,) = torch.autograd.grad(out.colour.square().sum(), origins)
        found.append((out.colour.detach(), gradient))
    torch.testing.assert_close(found[0], found[1], atol=1e-4, rtol=1e-3)
    assert float(found[0][1].abs().max()) > 1e-3


def test_what_it_is_for_and_what_not(small):
    field = field_of(small)
    assert field.mlp is not None
    assert can_stand_still(field.mlp, 2)
    field.mlp.lin_in.weight.requires_grad_(True)
    assert not can_stand_still(field.mlp, 2)
    most = field_of(small, combine="max").mlp
    assert most is not None
    assert can_stand_still(most, 1)
    assert not can_stand_still(most, 2)
    for other in (field_of(small, beta=1.0).mlp, field_of(small, spade=True).mlp):
        assert other is not None
        assert not can_stand_still(other, 1)


@pytest.mark.parametrize("autocast", [False, True])
def test_without_gradients_the_same_numbers(small, some, autocast):
    field, found = field_of(small), []
    assert field.mlp is not None
    for grad in (True, False):
        points = some[0].clone().requires_grad_(grad)
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            colour, _ = field.views.query(field.mlp, points, some[1])
        assert colour.requires_grad == grad
        assert colour.dtype == torch.float32
        found.append(colour.detach())
    torch.testing.assert_close(*found, atol=1e-6, rtol=1e-6)
    plain = field_of(small, project=False).views.query(field.mlp, *some)[0]
    assert (float((plain - found[0]).abs().max()) > 1e-5) == autocast


def test_a_table_made_for_a_search_does_not_serve_training(small, some):
    field = field_of(small)
    answers(field, *some)
    assert field.mlp is not None
    field.network.requires_grad_(True)
    colour, _ = field.views.query(field.mlp, *some)
    colour.sum().backward()
    weight = field.mlp.lin_z[0].weight
    assert isinstance(weight, torch.nn.Parameter)
    assert weight.grad is not None
    assert float(weight.grad.abs().sum()) > 0


def test_maps_encoded_in_bfloat16(small):
    """As validation during a bfloat16 training has them."""
    field = field_of(small)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        encoded = field.network.encode(*small.source_views(views=2))
        assert encoded.features is not None
        assert encoded.features.dtype == torch.bfloat16
        seen = PixelNeRFField(field.network, encoded, project=True)
        points = torch.rand(50, 3, generator=torch.Generator().manual_seed(1)) - 0.5
        assert field.mlp is not None
        found, exact = (f.views.query(field.mlp, points, points)[0] for f in (seen, field))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, exact, atol=5e-2, rtol=0)
