"""The network and its fields: what must not matter, what is refused, where gradients go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from maskfield.core.config import from_dict, to_dict
from maskfield.core.errors import ConfigError, DataError
from maskfield.geometry.rays import Rays
from maskfield.geometry.se3 import rotation_from_quaternion
from maskfield.methods.pixelnerf.config import (
    CodeConfig,
    GlobalEncoderConfig,
    MLPConfig,
    PixelNeRFConfig,
    ResNetEncoderConfig,
    SmallEncoderConfig,
)
from maskfield.methods.pixelnerf.model.field import PixelNeRFField
from maskfield.methods.pixelnerf.model.network import PixelNeRF
from maskfield.methods.pixelnerf.model.views import SourceViews
from maskfield.methods.pixelnerf.sampling import compositing_of, level_sampler
from maskfield.rendering.field import Field, RaySamples
from maskfield.rendering.renderer import render
from maskfield.rendering.samplers import samples_at


def samples(rays: Callable[[], Rays], count: int = 5) -> RaySamples:
    t = torch.linspace(0.9, 1.7, count).expand(10, count)
    return samples_at(rays(), t, torch.full_like(t, 0.1))


def answer(field: PixelNeRFField, asked: RaySamples) -> Tensor:
    out = field(asked)
    assert out.density is not None
    return torch.cat([out.colour, out.density[..., None]], dim=-1)


VARIANTS = {
    "plain": {},
    "max": {"mlp": MLPConfig(blocks=3, hidden=16, combine_layer=1, combine="max")},
    "late": {"mlp": MLPConfig(blocks=2, hidden=16, combine_layer=5)},
    "spade": {"mlp": MLPConfig(blocks=3, hidden=16, combine_layer=2, spade=True, beta=4.0)},
    "global": {"global_encoder": GlobalEncoderConfig(backbone="resnet18", latent_size=8)},
    "zeros": {"encoder": SmallEncoderConfig(widths=(8, 16), padding="zeros")},
    "camera frame": {"normalize_z": False},
    "depth only": {"xyz": False},
    "coded directions": {"code": CodeConfig(frequencies=3, directions=True)},
    "no code": {"code": None},
    "no directions": {"directions": False},
    "one network": {"mlp_fine": None},
    "nothing seen": {"encoder": None},
}


@pytest.fixture(params=VARIANTS.values(), ids=list(VARIANTS))
def variant(request: pytest.FixtureRequest, small: SimpleNamespace) -> PixelNeRFConfig:
    return replace(small.config, **request.param)


@torch.no_grad()
def test_projecting_the_features_first_changes_nothing(
    small: SimpleNamespace, variant: PixelNeRFConfig
) -> None:
    network: PixelNeRF = small.built(variant)
    encoded = network.encode(*small.source_views())
    asked = samples(small.rays)
    direct, projected = (PixelNeRFField(network, encoded, project=p) for p in (False, True))
    for a, b in ((direct, projected), (direct.proposal, projected.proposal)):
        torch.testing.assert_close(answer(a, asked), answer(b, asked), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_order_of_views_does_not_matter(small: SimpleNamespace, variant: PixelNeRFConfig) -> None:
    network: PixelNeRF = small.built(variant)
    given = small.source_views(views=3)
    turned = [part.flip(1) for part in given]
    asked = samples(small.rays)
    a, b = (answer(network.field(network.encode(*v)), asked) for v in (given, turned))
    torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_turning_the_world_changes_nothing(
    small: SimpleNamespace, variant: PixelNeRFConfig
) -> None:
    """Only the source cameras' axes enter."""
    network: PixelNeRF = small.built(variant)
    images, poses, lenses = small.source_views()
    turn = rotation_from_quaternion(torch.tensor([[0.8, 0.2, -0.3, 0.5]]))[0]
    asked = samples(small.rays)
    moved = replace(asked, points=asked.points @ turn.T, directions=asked.directions @ turn.T)
    a = answer(network.field(network.encode(images, poses, lenses)), asked)
    b = answer(network.field(network.encode(images, turn @ poses, lenses)), moved)
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_masked_samples_are_not_asked_for(small: SimpleNamespace, variant: PixelNeRFConfig) -> None:
    network: PixelNeRF = small.built(variant)
    field = network.field(network.encode(*small.source_views()))
    asked = samples(small.rays)
    mask = torch.rand(asked.mask.shape, generator=torch.Generator().manual_seed(0)) > 0.5
    found = answer(field, replace(asked, mask=mask))
    torch.testing.assert_close(found[mask], answer(field, asked)[mask], rtol=1e-5, atol=1e-5)
    assert bool((found[~mask] == 0).all())


@torch.no_grad()
def test_one_vector_as_the_only_feature(small: SimpleNamespace) -> None:
    only = GlobalEncoderConfig(backbone="resnet18", latent_size=8)
    network: PixelNeRF = small.built(replace(small.config, encoder=only))
    images, poses, lenses = small.source_views()
    encoded = network.encode(images, poses, lenses)
    assert encoded.features is None
    asked = samples(small.rays)
    a = answer(network.field(encoded), asked)
    b = answer(network.field(network.encode(images * 0.5, poses, lenses)), asked)
    assert not torch.allclose(a, b)


def test_objects_of_a_batch_do_not_mix(small: SimpleNamespace) -> None:
    network: PixelNeRF = small.built()
    images, poses, lenses = small.source_views(objects=2)
    together = network.encode(images, poses, lenses)
    alone = network.encode(images[1:], poses[1:], lenses[1:])
    asked = samples(small.rays)
    a, b = answer(network.field(together, 1), asked), answer(network.field(alone), asked)
    torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("project", [False, True])
def test_gradients_are_the_same_on_both_paths(small: SimpleNamespace, project: bool) -> None:
    network: PixelNeRF = small.built()
    given = small.source_views()
    names = [name for name, _ in network.named_parameters() if not name.startswith("mlp_coarse")]

    def gradients(project: bool) -> list[Tensor | None]:
        network.zero_grad()
        field = PixelNeRFField(network, network.encode(*given), project=project)
        answer(field, samples(small.rays)).square().sum().backward()
        return [network.get_parameter(name).grad for name in names]

    for name, a, b in zip(names, gradients(False), gradients(project), strict=True):
        assert a is not None, name
        assert b is not None, name
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4, msg=name)


def test_what_is_remembered_without_gradients_does_not_stop_them_later(
    small: SimpleNamespace,
) -> None:
    network: PixelNeRF = small.built()
    field = PixelNeRFField(network, network.encode(*small.source_views()), project=True)
    asked = samples(small.rays)
    with torch.no_grad():
        field(asked)
    answer(field, asked).sum().backward()
    assert network.mlp_fine is not None
    weight = network.mlp_fine.lin_z[0].weight
    assert isinstance(weight, torch.nn.Parameter)
    assert weight.grad is not None


def test_gradients_reach_the_rays(small: SimpleNamespace) -> None:
    network: PixelNeRF = small.built()
    rays = small.rays()
    origins = rays.origins.clone().requires_grad_()
    field = network.field(network.encode(*small.source_views()))
    out = render(
        field,
        replace(rays, origins=origins),
        level_sampler(network.config),
        compositing_of(network.config),
    )
    out.colour.sum().backward()
    assert origins.grad is not None
    assert float(origins.grad.abs().min()) > 0


def test_field_protocol_and_preparing_again(small: SimpleNamespace) -> None:
    network: PixelNeRF = small.built()
    images, poses, lenses = small.source_views(objects=2)
    field = network.field(network.encode(images[:1], poses[:1], lenses[:1]))
    assert isinstance(field, Field)
    assert field.prepare() is field
    other = field.prepare(SourceViews(images=images[1], poses=poses[1], intrinsics=lenses[1]))
    expected = network.field(network.encode(images, poses, lenses), 1)
    asked = samples(small.rays)
    torch.testing.assert_close(answer(other, asked), answer(expected, asked))
    with pytest.raises(DataError, match="source views"):
        field.prepare(images)


def test_without_a_second_pass_the_first_network_is_the_field(small: SimpleNamespace) -> None:
    sampling = replace(small.config.sampling, fine=0, fine_depth=0)
    network: PixelNeRF = small.built(replace(small.config, sampling=sampling))
    field = network.field(network.encode(*small.source_views()))
    assert field.mlp is network.mlp_coarse


def test_a_frozen_encoder_stands_still(small: SimpleNamespace) -> None:
    encoder = ResNetEncoderConfig(backbone="resnet18", layers=2)
    config = replace(small.config, encoder=encoder, freeze_encoder=True)
    network: PixelNeRF = small.built(config).train()
    assert network.encoder is not None
    before = {k: v.clone() for k, v in network.encoder.state_dict().items()}
    field = network.field(network.encode(*small.source_views()))
    answer(field, samples(small.rays)).sum().backward()
    assert all(torch.equal(before[k], v) for k, v in network.encoder.state_dict().items())
    assert all(p.grad is None for p in network.encoder.parameters())
    assert network.mlp_fine is not None
    assert network.mlp_fine.training


@pytest.mark.parametrize("part", [0, 1, 2])
def test_source_views_that_do_not_belong_together(small: SimpleNamespace, part: int) -> None:
    given = list(small.source_views())
    given[part] = given[part][:, :1]
    with pytest.raises(DataError, match="source views need"):
        small.built().encode(*given)


def test_official_network_has_the_published_size() -> None:
    with torch.device("meta"):
        network = PixelNeRFConfig().build()
    assert sum(p.numel() for p in network.parameters()) == 28_161_864
    assert len(network.state_dict()) == 278


def test_the_config_survives_a_file(variant: PixelNeRFConfig) -> None:
    assert from_dict(PixelNeRFConfig, to_dict(variant)) == variant


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: ResNetEncoderConfig(layers=6), "layers"),
        (lambda: SmallEncoderConfig(widths=(30,)), "widths"),
        (lambda: MLPConfig(blocks=0), "blocks"),
        (lambda: ResNetEncoderConfig(feature_scale=0.0), "feature_scale"),
    ],
)
def test_options_out_of_range(make: type, field: str) -> None:
    with pytest.raises(ConfigError) as error:
        make()
    assert error.value.field == field
