"""RoI pooling against a plain loop over RoIs, and by hand."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
import torch.nn.functional as F

from maskfield.core.errors import ConfigError, DataError
from maskfield.ops import roi_pool_blocks
from maskfield.ops.roi_pool import (
    aabb_roi_pool,
    enlarged,
    enlarged_aabb_official,
    fpn_levels,
    rotated_roi_pool,
)

STRIDES = (2, 4)


def maps(generator, channels=3, dtype=torch.float32):
    shapes = ((9, 8, 6), (5, 4, 3))
    return [torch.randn(channels, *s, generator=generator, dtype=dtype) for s in shapes]


def rois(count, generator):
    centre = torch.rand(count, 3, generator=generator) * torch.tensor([18.0, 16.0, 12.0])
    size = torch.rand(count, 3, generator=generator) * 12 + 0.5
    theta = torch.rand(count, 1, generator=generator) * 6 - 3
    levels = torch.randint(0, 2, (count,), generator=generator)
    return torch.cat([centre, size, theta], dim=1), levels


def sample(feature, point):
    """The rule of the original, one point at a time."""
    last = [n - 1 for n in feature.shape[1:]]
    if any(not 0 <= p <= n for p, n in zip(point, last, strict=True)):
        return torch.zeros_like(feature[:, 0, 0, 0])
    value = torch.zeros_like(feature[:, 0, 0, 0])
    for corner in itertools.product(*((math.floor(p), math.ceil(p)) for p in point)):
        gap = math.prod(abs(p - c) for p, c in zip(point, corner, strict=True))
        value = value + feature[:, corner[0], corner[1], corner[2]] * (1 - gap) / 8
    return value


def block(feature, roi, stride):
    x, y, z, w, d, h, theta = roi.tolist()
    cells = [max(1, math.ceil(v / stride)) for v in (w, d, h)]
    out = torch.zeros(feature.shape[0], *cells, dtype=feature.dtype)
    for index in itertools.product(*map(range, cells)):
        i, j, k = (n - (g - 1) / 2 for n, g in zip(index, cells, strict=True))
        c, s = math.cos(theta), math.sin(theta)
        point = (c * i - s * j + x / stride, s * i + c * j + y / stride, k + z / stride)
        out[:, index[0], index[1], index[2]] = sample(feature, point)
    return out


def shrunk(values, output, mode):
    """A block of samples [channel, gx, gy, gz] to the output size with torch's own layers."""
    if mode == "interpolate":
        return F.interpolate(values[None], output, mode="trilinear", align_corners=True)[0]
    kernel = [-(-g // o) for g, o in zip(values.shape[1:], output, strict=True)]
    pad = [
        n for k, o, g in zip(kernel, output, values.shape[1:], strict=True) for n in (k * o - g, 0)
    ]
    return F.max_pool3d(F.pad(values, pad[::-1]), kernel)


@pytest.mark.parametrize("output", [(3, 3, 3), (2, 3, 4), (1, 1, 1)])
@pytest.mark.parametrize("mode", ["max", "interpolate"])
def test_rotated_matches_a_loop_over_rois(mode, output, generator):
    features = maps(generator, dtype=torch.float64)
    boxes, levels = rois(12, generator)
    boxes = boxes.double()
    found = rotated_roi_pool(features, boxes, levels, output=output, strides=STRIDES, mode=mode)
    assert found.shape == (12, 3, *output)
    for roi, level, value in zip(boxes, levels.tolist(), found, strict=True):
        expected = shrunk(block(features[level], roi, STRIDES[level]), output, mode)
        torch.testing.assert_close(value, expected, atol=1e-9, rtol=0)


def test_aabb_matches_slices(generator):
    features = maps(generator)
    boxes, levels = rois(14, generator)
    low = boxes[:, :3].clamp_min(0)
    high = torch.minimum(low + boxes[:, 3:6], torch.tensor([18.0, 16.0, 12.0]))
    found = aabb_roi_pool(
        features, torch.cat([low, high], 1), levels, output=(2, 2, 3), strides=STRIDES
    )
    for i, level in enumerate(levels.tolist()):
        first, last = ((t[i] // STRIDES[level]).int().tolist() for t in (low, high))
        part = features[level][
            (slice(None), *(slice(a, b + 1) for a, b in zip(first, last, strict=True)))
        ]
        torch.testing.assert_close(found[i], shrunk(part, (2, 2, 3), "max"))


def test_aabb_outside_the_map_is_cut_or_zero(generator):
    features = maps(generator)
    levels = torch.tensor([0, 0, 1])
    boxes = torch.tensor(
        [[-9.0, -9, -9, 99, 99, 99], [40.0, 0, 0, 50, 4, 4], [-9.0, 0, 0, -5, 4, 4]]
    )
    whole = aabb_roi_pool(features, boxes, levels, output=(1, 1, 1), strides=STRIDES)
    torch.testing.assert_close(whole[0].flatten(), features[0].amax((1, 2, 3)))
    assert (whole[1:] == 0).all()
    resized = aabb_roi_pool(
        features, boxes, levels, output=(2, 2, 2), strides=STRIDES, mode="interpolate"
    )
    expected = F.interpolate(features[0][None], (2, 2, 2), mode="trilinear", align_corners=True)[0]
    torch.testing.assert_close(resized[0], expected)
    assert (resized[1:] == 0).all()


def test_appended_zeros_take_part_in_the_maximum():
    """Three cells of -1 in two bins: the second bin is one cell and one zero."""
    features = [-torch.ones(1, 3, 1, 1)]
    boxes = torch.tensor([[0.0, 0, 0, 2.5, 0.5, 0.5]])
    levels = torch.zeros(1, dtype=torch.long)
    found = aabb_roi_pool(features, boxes, levels, output=(2, 1, 1), strides=(1,))
    assert found.flatten().tolist() == [-1, 0]


@pytest.mark.parametrize("mode", ["max", "interpolate"])
def test_gradient_reaches_the_features_only(mode, generator):
    features = [f.requires_grad_() for f in maps(generator, 2, torch.float64)]
    boxes, levels = rois(3, generator)
    boxes = boxes.double()

    def pooled(*levels_of_features):
        options = {"output": (2, 2, 2), "strides": STRIDES, "mode": mode}
        return rotated_roi_pool(levels_of_features, boxes, levels, **options)

    assert torch.autograd.gradcheck(pooled, features)
    boxes.requires_grad_()
    pooled(*features).sum().backward()
    assert boxes.grad is None


@pytest.mark.parametrize("mode", ["max", "interpolate"])
def test_a_small_memory_budget_changes_nothing(mode, generator, monkeypatch):
    features = maps(generator)
    boxes, levels = rois(9, generator)
    options = {"output": (3, 2, 1), "strides": STRIDES, "mode": mode}
    at_once = rotated_roi_pool(features, boxes, levels, **options)
    monkeypatch.setattr(roi_pool_blocks, "_VALUES", 3000)
    torch.testing.assert_close(
        rotated_roi_pool(features, boxes, levels, **options), at_once, atol=0, rtol=0
    )


def test_no_rois(generator):
    none = torch.zeros(0, 7), torch.zeros(0, dtype=torch.long)
    found = rotated_roi_pool(maps(generator), *none, output=(3, 3, 3), strides=STRIDES)
    assert found.shape == (0, 3, 3, 3, 3)


def test_enlarging():
    obb = torch.tensor([[1.0, 2, 3, 4, 5, 6, 0.5]])
    before = obb.clone()
    torch.testing.assert_close(enlarged(obb, 0.2)[0], torch.tensor([1, 2, 3, 4.8, 6, 7.2, 0.5]))
    assert torch.equal(obb, before)
    cube = torch.tensor([[0.0, 0, 0, 10, 10, 10]])
    assert enlarged(cube, 0.2).tolist() == [[-1, -1, -1, 11, 11, 11]]
    torch.testing.assert_close(
        enlarged_aabb_official(cube, 0.2), torch.tensor([[2.0, 2, 2, 8, 8, 8]])
    )


def test_levels_double_with_the_side():
    sides = torch.tensor([1.0, 20, 39, 41, 79, 81, 159, 161, 321, 9999])
    cubes = torch.cat([torch.zeros(10, 3), sides[:, None].expand(-1, 3)], dim=1)
    expected = [0, 0, 0, 0, 0, 1, 1, 2, 3, 3]
    assert fpn_levels(cubes, canonical_size=160).tolist() == expected
    turned = torch.cat([cubes, torch.ones(10, 1)], dim=1)
    assert fpn_levels(turned, canonical_size=160).tolist() == expected


def test_bad_input_is_refused(generator):
    features = maps(generator)
    boxes, levels = rois(3, generator)
    options = {"output": (2, 2, 2), "strides": STRIDES}
    with pytest.raises(DataError, match="6 columns"):
        aabb_roi_pool(features, boxes, levels, **options)
    with pytest.raises(DataError, match="one scene at a time"):
        rotated_roi_pool([f[None] for f in features], boxes, levels, **options)
    with pytest.raises(DataError, match="without a feature map"):
        rotated_roi_pool(features, boxes, torch.tensor([0, 1, 2]), **options)
    with pytest.raises(ConfigError, match="unknown RoI pooling"):
        rotated_roi_pool(features, boxes, levels, mode="mean", **options)
    boxes[1, 0] = math.nan
    with pytest.raises(DataError, match="RoI 1"):
        rotated_roi_pool(features, boxes, levels, **options)
