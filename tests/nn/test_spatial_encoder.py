"""Image encoders: sizes, channels, names, what is refused."""

from __future__ import annotations

import pytest
import torch

from maskfield.core.errors import DataError
from maskfield.nn.resnet2d import ResNet2D
from maskfield.nn.spatial_encoder import GlobalEncoder, ResNetMaps, SmallMaps, rescaled
from maskfield.nn.unet2d import UNetMaps


def test_resnet34_has_the_official_size_and_names() -> None:
    with torch.device("meta"):
        network = ResNet2D("resnet34")
    assert sum(p.numel() for p in network.parameters()) == 21_284_672
    names = network.state_dict()
    assert len(names) == 216
    assert names["layer3.5.bn2.running_var"].shape == (256,)
    assert names["layer4.0.downsample.0.weight"].shape == (512, 256, 1, 1)


@pytest.mark.parametrize(
    ("layers", "pool", "side", "channels"),
    [(4, True, 64, 512), (5, True, 64, 1024), (1, False, 40, 64), (3, False, 64, 256)],
)
def test_maps_have_half_the_size(layers: int, pool: bool, side: int, channels: int) -> None:
    with torch.device("meta"):
        encoder = ResNetMaps("resnet18", layers=layers, first_pool=pool)
        maps = encoder(torch.empty(2, 3, side, side))
    assert maps.shape == (2, channels, side // 2, side // 2)
    assert encoder.channels == channels


@pytest.mark.parametrize(("factor", "size"), [(0.5, (6, 8)), (2.0, (24, 32)), (1.0, (12, 16))])
def test_feature_scale(factor: float, size: tuple[int, int]) -> None:
    assert rescaled(torch.zeros(1, 3, 12, 16), factor).shape[-2:] == size


def test_rescaling_keeps_a_constant() -> None:
    image = torch.full((1, 3, 8, 8), 0.25)
    torch.testing.assert_close(rescaled(image, 0.5), image[..., :4, :4])


def test_the_small_encoder_does_not_depend_on_the_batch() -> None:
    torch.manual_seed(0)
    encoder = SmallMaps((8, 16)).train()
    images = torch.rand(3, 3, 16, 24)
    whole = encoder(images)
    assert whole.shape == (3, 24, 8, 12)
    torch.testing.assert_close(encoder(images[:1]), whole[:1], rtol=1e-5, atol=1e-5)


def test_global_encoder_gives_one_vector() -> None:
    torch.manual_seed(0)
    encoder = GlobalEncoder("resnet18", 16).eval()
    assert encoder(torch.rand(2, 3, 32, 32)).shape == (2, 16)


def test_global_encoder_of_the_networks_own_width_has_no_layer() -> None:
    with torch.device("meta"):
        encoder = GlobalEncoder("resnet18", 512)
    assert encoder.fc is None
    assert not any(name.startswith("fc") for name in encoder.state_dict())


def test_unet_has_the_official_size() -> None:
    with torch.device("meta"):
        network = UNetMaps()
        maps = network(torch.empty(1, 3, 96, 80))
    assert sum(p.numel() for p in network.parameters()) == 5_779_776
    assert maps.shape == (1, 128, 96, 80)


def test_unet_names_sizes_it_can_take() -> None:
    network = UNetMaps().eval()
    with pytest.raises(DataError, match="four places") as error, torch.no_grad():
        network(torch.zeros(1, 3, 32, 32))
    assert error.value.value == (32, 32)
    assert "80 to 128" in error.value.remedy
