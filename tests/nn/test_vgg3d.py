from __future__ import annotations

import pytest
import torch

from maskfield.nn.resnet3d import ResNet3D, ResNetPyramid
from maskfield.nn.vgg3d import BLOCKS, VGG3D, Variant


@pytest.mark.parametrize("variant", list(BLOCKS))
def test_widths_and_strides(variant: Variant, generator: torch.Generator) -> None:
    network = VGG3D(variant, width=2)
    maps = network(torch.rand(2, 4, 30, 24, 17, generator=generator))
    assert [m.shape[1] for m in maps] == network.widths == [4, 8, 16, 16]
    assert [tuple(m.shape[2:]) for m in maps] == [(8, 6, 5), (4, 3, 3), (2, 2, 2), (1, 1, 1)]


def test_small_inputs_keep_their_resolution(generator: torch.Generator) -> None:
    maps = VGG3D("AF", width=2, input_size=64)(torch.rand(1, 4, 16, 8, 8, generator=generator))
    assert [m.shape[2] for m in maps] == [16, 8, 4, 2]


def test_the_shortcut_reaches_the_first_block(generator: torch.Generator) -> None:
    network = VGG3D("AF", width=2, start_width=3).eval()
    x = torch.rand(1, 4, 17, 16, 16, generator=generator)
    before = network(x)[0]
    assert network.ds_layers is not None
    torch.nn.init.ones_(network.ds_layers[-2].bias)  # pyright: ignore[reportArgumentType]
    assert (network(x)[0] > before).any()


def test_resnet_strides_and_an_unsmoothed_top(generator: torch.Generator) -> None:
    network = ResNet3D((1, 2, 1, 1), width=2).eval()
    maps = network(torch.rand(1, 4, 40, 36, 20, generator=generator))
    assert [m.shape[1] for m in maps] == network.widths == [8, 16, 32, 64]
    assert [m.shape[2] for m in maps] == [10, 5, 3, 2]
    pyramid = ResNetPyramid(network.widths, 6)
    levels = pyramid(maps)
    assert [tuple(p.shape[2:]) for p in levels] == [tuple(m.shape[2:]) for m in maps]
    torch.testing.assert_close(levels[3], pyramid.latlayers[0](maps[3]))


def test_without_the_pool_the_maps_are_twice_as_fine(generator: torch.Generator) -> None:
    x = torch.rand(1, 4, 16, 16, 16, generator=generator)
    assert ResNet3D((1, 1, 1, 1), width=2, max_pool=False).eval()(x)[0].shape[2] == 8
