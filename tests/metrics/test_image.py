"""PSNR and SSIM against scikit-image; masks respected; wrong input refused."""

from __future__ import annotations

import math

import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch.autograd import gradcheck

from maskfield.core.errors import DataError
from maskfield.metrics.image import mse, psnr, ssim


def pair(generator, height=24, width=31, channels=3):
    target = torch.rand(height, width, channels, generator=generator, dtype=torch.float64)
    noise = torch.randn(target.shape, generator=generator, dtype=torch.float64)
    return (target + 0.1 * noise).clamp(0, 1), target


@pytest.mark.parametrize("data_range", [1.0, 255.0])
@pytest.mark.parametrize("channels", [1, 3])
def test_match_skimage(channels, data_range, generator):
    a, b = (x * data_range for x in pair(generator, channels=channels))
    expected = structural_similarity(
        a.numpy(),
        b.numpy(),
        channel_axis=-1,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=data_range,
    )
    assert float(ssim(a, b, data_range=data_range)) == pytest.approx(expected, abs=1e-10)
    expected = peak_signal_noise_ratio(b.numpy(), a.numpy(), data_range=data_range)
    assert float(psnr(a, b, data_range=data_range)) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("channels", [1, 3])
def test_uniform_window_is_skimages_default(channels, generator):
    a, b = pair(generator, channels=channels)
    expected = structural_similarity(a.numpy(), b.numpy(), channel_axis=-1, data_range=1.0)
    assert float(ssim(a, b, window="uniform")) == pytest.approx(expected, abs=1e-10)
    assert float(ssim(a[:7, :7], b[:7, :7], window="uniform")) > 0
    with pytest.raises(DataError, match="at least 7x7"):
        ssim(a[:6], b[:6], window="uniform")


def test_equal_images():
    image = torch.rand(12, 12, 3)
    assert float(mse(image, image)) == 0
    assert math.isinf(float(psnr(image, image)))
    assert float(ssim(image, image)) == pytest.approx(1, abs=1e-5)


def test_a_batch_is_the_mean_of_its_images(generator):
    pairs = [pair(generator) for _ in range(3)]
    a, b = (torch.stack(x) for x in zip(*pairs, strict=True))
    assert float(ssim(a, b)) == pytest.approx(sum(float(ssim(*p)) for p in pairs) / 3)
    assert float(mse(a, b)) == pytest.approx(sum(float(mse(*p)) for p in pairs) / 3)


@pytest.mark.parametrize("metric", [mse, psnr, ssim])
def test_masked_pixels_do_not_matter(metric, generator):
    a, b = pair(generator)
    mask = torch.ones(24, 31, dtype=torch.bool)
    assert float(metric(a, b, mask)) == pytest.approx(float(metric(a, b)))
    mask[:, 18:] = False
    clean = metric(a, b, mask)
    assert float(clean) == pytest.approx(float(metric(a[:, :18], b[:, :18])))
    spoilt = a.clone()
    spoilt[:, 18:] = torch.nan
    assert float(metric(spoilt, b, mask)) == float(clean)


def test_masks_of_a_batch_count_pixels_per_image(generator):
    a, b = (torch.stack(x) for x in zip(pair(generator), pair(generator), strict=True))
    mask = torch.ones(2, 24, 31, dtype=torch.bool)
    mask[1] = False
    assert float(ssim(a, b, mask)) == pytest.approx(float(ssim(a[0], b[0])))
    assert float(psnr(a, b, mask)) == pytest.approx(float(psnr(a[0], b[0])))


def test_ssim_is_differentiable(generator):
    a, b = pair(generator, 12, 11, 1)
    assert gradcheck(ssim, (a.clamp(0.1, 0.9).requires_grad_(), b))


@pytest.mark.parametrize("metric", [psnr, ssim])
def test_range_mismatch_is_refused(metric):
    image = torch.rand(12, 12, 3)
    with pytest.raises(DataError, match="prediction does not lie"):
        metric(image * 255, image)
    with pytest.raises(DataError, match="target does not lie"):
        metric(image, image * 255)
    with pytest.raises(DataError, match="does not lie"):
        metric((image * 255).byte(), (image * 255).byte())
    with pytest.raises(DataError, match="does not lie"):
        metric(torch.full_like(image, torch.nan), image)


@pytest.mark.parametrize("metric", [mse, psnr, ssim])
def test_shape_and_mask_errors(metric):
    image = torch.rand(12, 12, 3)
    with pytest.raises(DataError, match="one shape"):
        metric(image, image[:-1])
    with pytest.raises(DataError, match="must be boolean"):
        metric(image, image, torch.ones(12, 12))
    with pytest.raises(DataError, match="must be boolean"):
        metric(image, image, torch.ones(12, 12, 3).bool())
    with pytest.raises(DataError, match="no pixel counts"):
        metric(image, image, torch.zeros(12, 12).bool())


def test_ssim_needs_a_whole_window():
    with pytest.raises(DataError, match="at least 11x11"):
        ssim(torch.rand(10, 20, 3), torch.rand(10, 20, 3))
    mask = torch.ones(16, 16, dtype=torch.bool)
    mask[::4] = False
    with pytest.raises(DataError, match="no 11x11 window"):
        ssim(torch.rand(16, 16, 3), torch.rand(16, 16, 3), mask)
