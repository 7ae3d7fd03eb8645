"""The plain MLP: skips, views, the sphere it starts as."""

from __future__ import annotations

import pytest
import torch

from maskfield.core.errors import ConfigError
from maskfield.methods.pixelnerf.config import ImplicitConfig
from maskfield.methods.pixelnerf.model.implicit import ImplicitNet


@torch.no_grad()
def test_it_starts_as_a_sphere() -> None:
    torch.manual_seed(0)
    network = ImplicitNet(3, ImplicitConfig(widths=(256, 256), radius=0.5))
    points = torch.nn.functional.normalize(torch.randn(200, 3), dim=1)
    inside, outside = (float(network(points * r)[:, 0].mean()) for r in (0.1, 1.0))
    assert inside > 0 > outside


def test_further_inputs_start_without_influence() -> None:
    torch.manual_seed(0)
    network = ImplicitNet(7, ImplicitConfig(widths=(32, 32, 32), skip_in=(2,)))
    x = torch.randn(5, 7)
    other = torch.cat([x[:, :3], torch.randn(5, 4)], dim=1)
    torch.testing.assert_close(network(x), network(other))


def test_skips_change_shapes_as_told() -> None:
    fixed = ImplicitNet(5, ImplicitConfig(widths=(32, 32), skip_in=(1,)))
    more = ImplicitNet(5, ImplicitConfig(widths=(32, 32), skip_in=(1,), widths_exclude_skip=True))
    assert fixed.state_dict()["lin0.weight"].shape == (27, 5)
    assert more.state_dict()["lin0.weight"].shape == (32, 5)
    assert more.state_dict()["lin1.weight"].shape == (32, 37)


@pytest.mark.parametrize("combine", ["average", "max"])
def test_views_merge(combine: str) -> None:
    torch.manual_seed(0)
    config = ImplicitConfig(
        widths=(16, 16), combine_layer=1, combine="max" if combine == "max" else "average"
    )
    network = ImplicitNet(4, config)
    x = torch.randn(2, 3, 6, 4)
    out = network(x)
    assert out.shape == (2, 6, 4)
    torch.testing.assert_close(out, network(x.flip(1)))


def test_a_skip_into_a_narrow_layer() -> None:
    with pytest.raises(ConfigError, match="skip"):
        ImplicitNet(9, ImplicitConfig(widths=(8, 8), skip_in=(1,)))
