"""A photograph of one object -> the small picture that image-conditioned models were trained on.

The object's mask gives an ellipse; a square about its centre, as large as the ellipse asks for, is
cut out, what is not the object becomes white, and the square is reduced (spec pixelnerf 8.6).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import UInt8
from PIL import Image

from maskfield.core.errors import ConfigError, DataError
from maskfield.data.outlines import Ellipse, fit_ellipse, outline_corners

_HALF = 128  # a mask value from which a pixel belongs to the object
_SIZES = (16, 1024)


@dataclass(frozen=True, kw_only=True)
class PhotoFraming:
    """How large the object becomes. The defaults are pixelNeRF's for cars.

    Attributes:
        size: side of the result, pixels.
        minor_scale, major_scale: side of the square in axes of the ellipse; the larger wins.
        border: what lies outside the photograph: its edge pixels repeated, or white.
        compat: "official": the official bilinear samples, which alias when a large photograph
            shrinks, and its truncation to 8 bit; "maskfield": area-true reduction.
    """

    size: int = 128
    minor_scale: float = 4.37
    major_scale: float = 0.8
    border: Literal["replicate", "white"] = "replicate"
    compat: Literal["maskfield", "official"] = "maskfield"

    def __post_init__(self) -> None:
        if not _SIZES[0] <= self.size <= _SIZES[1]:
            raise ConfigError(
                "out of range",
                field="size",
                value=self.size,
                remedy=f"give {_SIZES[0]} to {_SIZES[1]} pixels",
            )
        for name in ("minor_scale", "major_scale"):
            value = getattr(self, name)
            if not 0 < value <= 100:
                raise ConfigError(
                    "out of range", field=name, value=value, remedy="give a factor above 0"
                )


@dataclass(frozen=True, kw_only=True)
class NormalisedPhoto:
    """The result and how it came about.

    Attributes:
        image: [size, size, 3], the object on white. mask: [size, size], 255 on the object.
        ellipse: in pixels of the photograph. square: left, top and side of the cut, same pixels.
    """

    image: UInt8[np.ndarray, "size size 3"]
    mask: UInt8[np.ndarray, "size size"]
    ellipse: Ellipse
    square: tuple[int, int, int]


def normalise_photo(
    photo: UInt8[np.ndarray, "h w 3"],
    mask: UInt8[np.ndarray, "h w"],
    framing: PhotoFraming | None = None,
) -> NormalisedPhoto:
    """Cut out, whiten and reduce.

    Args:
        mask: 255 on the object; values between whiten partly.

    Raises:
        DataError: sizes differ, or the mask has no outline that an ellipse fits.
    """
    framing = framing or PhotoFraming()
    _check(photo, mask)
    ellipse = fit_ellipse(outline_corners(mask >= _HALF))
    side = max(ellipse.minor * framing.minor_scale, ellipse.major * framing.major_scale)
    half = math.ceil(side / 2)
    left, top = (round(value) - half for value in ellipse.centre)
    cut = _cut(photo, left, top, 2 * half, "edge" if framing.border == "replicate" else "white")
    cover = _cut(mask, left, top, 2 * half, "black")
    share = cover[..., None].astype(np.float64) / 255
    white = cut * share + 255 * (1 - share)
    reduce = _bilinear if framing.compat == "official" else _area_true
    return NormalisedPhoto(
        image=reduce(_to_bytes(white, framing), framing.size),
        mask=reduce(cover, framing.size),
        ellipse=ellipse,
        square=(left, top, 2 * half),
    )


def _cut(
    array: np.ndarray, left: int, top: int, side: int, outside: Literal["edge", "white", "black"]
) -> np.ndarray:
    """A square that may reach over the edges."""
    height, width = array.shape[:2]
    rows, columns = np.arange(top, top + side), np.arange(left, left + side)
    cut = array[rows.clip(0, height - 1)][:, columns.clip(0, width - 1)]
    if outside != "edge":
        beyond = ((rows < 0) | (rows >= height))[:, None] | ((columns < 0) | (columns >= width))
        cut[beyond] = 255 if outside == "white" else 0
    return cut


def _to_bytes(values: np.ndarray, framing: PhotoFraming) -> np.ndarray:
    return (values if framing.compat == "official" else values + 0.5).astype(np.uint8)


def _bilinear(array: np.ndarray, size: int) -> np.ndarray:
    """Samples at pixel centres, whatever the reduction."""
    planes = torch.from_numpy(array).reshape(*array.shape[:2], -1).permute(2, 0, 1).double()
    small = F.interpolate(planes[None], (size, size), mode="bilinear", align_corners=False)[0]
    return (
        (small + 0.5).floor().byte().permute(1, 2, 0).reshape(size, size, *array.shape[2:]).numpy()
    )


def _area_true(array: np.ndarray, size: int) -> np.ndarray:
    """A bilinear filter as wide as the reduction asks for."""
    return np.asarray(Image.fromarray(array).resize((size, size), Image.Resampling.BILINEAR))


def _check(photo: np.ndarray, mask: np.ndarray) -> None:
    if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3:
        raise DataError(
            "a photograph is uint8 [height, width, 3]",
            field="photo",
            value=(photo.shape, str(photo.dtype)),
            remedy="read it with data.photo.read_photo",
        )
    if mask.dtype != np.uint8 or mask.shape != photo.shape[:2]:
        raise DataError(
            "the mask does not belong to the photograph",
            field="mask",
            value=(mask.shape, str(mask.dtype)),
            remedy=f"give uint8 {photo.shape[:2]}, 255 on the object",
        )
