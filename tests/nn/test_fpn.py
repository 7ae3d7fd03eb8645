from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from maskfield.nn.fpn import FeaturePyramid

SHAPES = ((6, (7, 6, 5)), (12, (4, 3, 3)), (24, (2, 2, 2)), (48, (1, 1, 1)))


def maps(generator: torch.Generator) -> list[torch.Tensor]:
    return [torch.randn(2, c, *s, generator=generator) for c, s in SHAPES]


def test_levels_keep_their_sizes_even_where_they_do_not_halve(generator: torch.Generator) -> None:
    pyramid = FeaturePyramid([c for c, _ in SHAPES], 8)
    levels = pyramid(maps(generator))
    assert [tuple(y.shape) for y in levels] == [(2, 8, *s) for _, s in SHAPES]
    assert pyramid.out_channels == 8


def test_each_level_is_its_lateral_plus_the_upsampled_coarser_ones(
    generator: torch.Generator,
) -> None:
    pyramid, x = FeaturePyramid([c for c, _ in SHAPES[:2]], 8), maps(generator)[:2]
    coarse = pyramid.lateral_convs[1](x[1])
    fine = pyramid.lateral_convs[0](x[0])
    index = [torch.arange(n) * m // n for n, m in zip((7, 6, 5), (4, 3, 3), strict=True)]
    added = coarse[:, :, index[0]][:, :, :, index[1]][:, :, :, :, index[2]]
    expected = F.conv3d(
        fine + added, pyramid.fpn_convs[0].weight, pyramid.fpn_convs[0].bias, padding=1
    )
    torch.testing.assert_close(pyramid(x)[0], expected)


def test_another_number_of_maps_is_refused(generator: torch.Generator) -> None:
    with pytest.raises(ValueError):
        FeaturePyramid([6, 12], 8)(maps(generator))
