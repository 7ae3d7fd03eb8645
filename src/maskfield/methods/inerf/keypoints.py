"""Where a photograph has structure: corners or blobs, the strongest first. Deterministic."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import ndimage

from maskfield.methods.inerf.config import Detector

_BORDER = 2  # pixels at the edge whose neighbourhood is made up
_HARRIS_K, _HARRIS_SIGMA = 0.05, 1.5
_DOG_SIGMAS = tuple(1.2 * 1.4**i for i in range(6))
_WEAKEST = 0.01  # of the strongest response: below is noise
_FLAT = 1e-6  # absolute response of an image without structure


def keypoints(
    image: Float[np.ndarray, "h w 3"], most: int, detector: Detector = "dog"
) -> Int[np.ndarray, "point 2"]:
    """(column, row) of local maxima of the detector's response; none where nothing stands out."""
    grey = image @ np.array([0.299, 0.587, 0.114], image.dtype)
    response = _corners(grey) if detector == "harris" else _blobs(grey)
    peak = response == ndimage.maximum_filter(response, size=3, mode="nearest")
    strong = response > max(_WEAKEST * float(response.max(initial=0.0)), _FLAT)
    peak &= strong & _inner(grey.shape)
    row, column = np.nonzero(peak)
    order = np.argsort(-response[row, column], kind="stable")[:most]
    return np.stack([column[order], row[order]], axis=1).astype(np.int64)


def interest_regions(
    points: Int[np.ndarray, "point 2"], size: tuple[int, int], kernel: int = 5, times: int = 3
) -> Bool[np.ndarray, "h w"]:
    """Pixels within squares of ``kernel`` pixels about the points (column, row), grown ``times``.

    Args:
        size: height and width.
    """
    mask = np.zeros(size, bool)
    mask[points[:, 1], points[:, 0]] = True
    if times == 0 or kernel == 1:
        return mask
    return ndimage.binary_dilation(mask, np.ones((kernel, kernel), bool), iterations=times)


def _corners(grey: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """Harris: det - k trace² of the smoothed structure tensor."""
    gy, gx = (ndimage.sobel(grey, axis=a, mode="nearest") / 8 for a in (0, 1))
    xx, yy, xy = (
        ndimage.gaussian_filter(p, _HARRIS_SIGMA, mode="nearest")
        for p in (gx * gx, gy * gy, gx * gy)
    )
    return np.sqrt(np.maximum(xx * yy - xy * xy - _HARRIS_K * (xx + yy) ** 2, 0))


def _blobs(grey: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """Largest difference of Gaussians over the scales."""
    smooth = [ndimage.gaussian_filter(grey, s, mode="nearest") for s in _DOG_SIGMAS]
    bands = [np.abs(b - a) for a, b in pairwise(smooth)]
    return np.max(bands, axis=0)


def _inner(size: tuple[int, ...]) -> Bool[np.ndarray, "h w"]:
    mask = np.zeros(size, bool)
    mask[_BORDER:-_BORDER, _BORDER:-_BORDER] = True
    return mask
