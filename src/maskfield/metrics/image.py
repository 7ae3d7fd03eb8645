"""Image quality: MSE, PSNR, SSIM. Images are [height, width, channel], or a batch, in [0, 1].

A mask says which pixels count; what a masked pixel holds never enters a figure.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from maskfield.core.errors import DataError

Window = Literal["gaussian", "uniform"]
_SIDES: dict[Window, int] = {"gaussian": 11, "uniform": 7}
_SIGMA = 1.5
_K1, _K2 = 0.01, 0.03
_SLACK = 1e-3


def mse(
    prediction: Float[Tensor, "*n h w c"],
    target: Float[Tensor, "*n h w c"],
    mask: Bool[Tensor, "*n h w"] | None = None,
) -> Float[Tensor, ""]:
    """Mean squared error over all pixels that count, of all images together.

    Raises:
        DataError: shapes differ, or no pixel counts.
    """
    _check(prediction, target, mask)
    error = (prediction - target).square().mean(-1)
    return error.mean() if mask is None else error[mask].mean()


def psnr(
    prediction: Float[Tensor, "*n h w c"],
    target: Float[Tensor, "*n h w c"],
    mask: Bool[Tensor, "*n h w"] | None = None,
    *,
    data_range: float = 1.0,
) -> Float[Tensor, ""]:
    """Peak signal-to-noise ratio in dB; infinite for equal images.

    A batch gives the PSNR of its mean error; tables of views average one call per view instead.

    Raises:
        DataError: as for :func:`mse`, or values outside ``data_range``.
    """
    _check_range(prediction, target, mask, data_range)
    return decibels(mse(prediction, target, mask), data_range)


def decibels(error: Float[Tensor, "*n"], data_range: float = 1.0) -> Float[Tensor, "*n"]:
    """A mean squared error as peak signal-to-noise ratio in dB, infinite for none."""
    return 10 * torch.log10(data_range**2 / error)


def ssim(
    prediction: Float[Tensor, "*n h w c"],
    target: Float[Tensor, "*n h w c"],
    mask: Bool[Tensor, "*n h w"] | None = None,
    *,
    data_range: float = 1.0,
    window: Window = "gaussian",
) -> Float[Tensor, ""]:
    """Structural similarity of Wang et al. 2004, per channel.

    Averaged over the windows that lie wholly in the image and, with a mask, wholly on pixels that
    count.

    Args:
        window: "gaussian": 11x11, sigma 1.5, population covariance, as in the paper; "uniform":
            7x7, sample covariance, scikit-image's default, in which pixelNeRF, NeuRay and many
            view-synthesis papers state their figures.

    Raises:
        DataError: as for :func:`psnr`, an image smaller than the window, or no window that counts.
    """
    _check(prediction, target, mask)
    _check_range(prediction, target, mask, data_range)
    _check_size(prediction, _SIDES[window])
    if mask is not None:
        prediction, target = (torch.where(mask[..., None], x, 0.0) for x in (prediction, target))
    similarity = _ssim_map(_planes(prediction), _planes(target), data_range, window).mean(1)
    if mask is None:
        return similarity.mean()
    counted = _whole_windows(mask, _SIDES[window])
    return similarity[counted].mean()


def _ssim_map(a: Tensor, b: Tensor, data_range: float, window: Window) -> Tensor:
    """[image, channel, h - side + 1, w - side + 1]; eq. 13 of the paper."""
    c1, c2 = (_K1 * data_range) ** 2, (_K2 * data_range) ** 2
    kernel, pixels = _kernel(a, window), _SIDES[window] ** 2
    mean_a, mean_b = _blur(a, kernel), _blur(b, kernel)
    sample = pixels / (pixels - 1) if window == "uniform" else 1.0
    var_a = sample * (_blur(a * a, kernel) - mean_a * mean_a)
    var_b = sample * (_blur(b * b, kernel) - mean_b * mean_b)
    cov = sample * (_blur(a * b, kernel) - mean_a * mean_b)
    top = (2 * mean_a * mean_b + c1) * (2 * cov + c2)
    return top / ((mean_a.square() + mean_b.square() + c1) * (var_a + var_b + c2))


def _kernel(planes: Tensor, window: Window) -> Float[Tensor, " side"]:
    """Weights of the window along one axis; they sum to 1."""
    side = _SIDES[window]
    x = torch.arange(side, dtype=planes.dtype, device=planes.device) - side // 2
    weights = torch.exp(-0.5 * (x / _SIGMA).square())
    weights = weights if window == "gaussian" else torch.ones_like(weights)
    return weights / weights.sum()


def _blur(planes: Tensor, kernel: Float[Tensor, " side"]) -> Tensor:
    """Weighted mean over whole windows, one axis after the other."""
    flat = planes.flatten(0, 1)[:, None]
    flat = F.conv2d(F.conv2d(flat, kernel[None, None, :, None]), kernel[None, None, None])
    return flat[:, 0].unflatten(0, planes.shape[:2])


def _planes(images: Tensor) -> Tensor:
    """[*, h, w, c] to [image, c, h, w]."""
    return images.reshape(-1, *images.shape[-3:]).permute(0, 3, 1, 2)


def _whole_windows(mask: Tensor, side: int) -> Tensor:
    hidden = (~mask).reshape(-1, 1, *mask.shape[-2:]).float()
    counted = F.max_pool2d(hidden, side, stride=1)[:, 0] == 0
    if not bool(counted.any()):
        raise DataError(
            f"no {side}x{side} window lies wholly on pixels that count",
            field="mask",
            value=f"{int(mask.sum())} of {mask.numel()} pixels count",
            remedy="leave this image out of SSIM, or widen its mask",
        )
    return counted


def _check(prediction: Tensor, target: Tensor, mask: Tensor | None) -> None:
    if prediction.shape != target.shape or prediction.ndim < 3:
        raise DataError(
            "images must share one shape [height, width, channel] (or a batch of it)",
            field="prediction, target",
            value=(tuple(prediction.shape), tuple(target.shape)),
            remedy="resize or crop one of them; channels come last",
        )
    if mask is not None and (mask.shape != target.shape[:-1] or mask.dtype != torch.bool):
        raise DataError(
            "a mask must be boolean and of the images' size, without channels",
            field="mask",
            value=(tuple(mask.shape), str(mask.dtype)),
            remedy="give mask [height, width] as torch.bool, True where a pixel counts",
        )
    if target.numel() == 0 or (mask is not None and not bool(mask.any())):
        raise DataError(
            "no pixel counts", field="mask", value=0, remedy="leave this image out of the figure"
        )


def _check_range(prediction: Tensor, target: Tensor, mask: Tensor | None, high: float) -> None:
    """Refuse 0..255 beside 0..1. A prediction may overshoot a little; photographs may not."""
    _check(prediction, target, mask)
    for name, image, slack in (("prediction", prediction, 0.5), ("target", target, _SLACK)):
        seen = image.detach() if mask is None else image.detach()[mask]
        lowest, highest = float(seen.min()), float(seen.max())
        # written so that NaN fails as well
        if not (image.is_floating_point() and -slack * high <= lowest <= highest):
            _refuse_range(name, image, lowest, highest, high)
        if not highest <= high * (1 + slack):
            _refuse_range(name, image, lowest, highest, high)


def _refuse_range(name: str, image: Tensor, lowest: float, highest: float, high: float) -> None:
    raise DataError(
        f"the {name} does not lie in [0, {high:g}]",
        field=name,
        value=f"{image.dtype}, {lowest:g} to {highest:g}",
        remedy="give float images in [0, 1], or pass the data_range they have",
    )


def _check_size(image: Tensor, side: int) -> None:
    if min(image.shape[-3:-1]) < side:
        raise DataError(
            f"SSIM needs images of at least {side}x{side} pixels",
            field="height, width",
            value=tuple(image.shape[-3:-1]),
            remedy="use PSNR for images as small as this",
        )
