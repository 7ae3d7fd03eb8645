"""A photograph of one object -> the picture that image-conditioned models take."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

if TYPE_CHECKING:
    from maskfield.data.normalise_photo import NormalisedPhoto, PhotoFraming
    from maskfield.data.photo_masks import Segmenter


@dataclass(frozen=True, kw_only=True)
class PhotoReport:
    """What was made of a photograph.

    Attributes:
        files: the picture, then (with figures) the overview.
        square: left, top and side of the part that was cut out, in pixels of the photograph.
        mask_from: "file", "opacity" (of the photograph) or the name of the model.
    """

    files: tuple[Path, ...]
    square: tuple[int, int, int]
    mask_from: str

    def text(self) -> str:
        """For people."""
        left, top, side = self.square
        lines = [
            f"mask from: {self.mask_from}",
            f"cut out:   {side} x {side} pixels at ({left}, {top})",
        ]
        return "\n".join([*lines, *(f"wrote: {path}" for path in self.files)])


def normalise_file(
    photo: Path,
    *,
    mask: Path | None,
    out: Path | None,
    framing: PhotoFraming,
    label: str,
    model: str,
    figures: bool,
    segmenter: Segmenter | None = None,
) -> PhotoReport:
    """See :func:`maskfield.api.data_normalize_photo`.

    Args:
        segmenter: stands in for the model.
    """
    from maskfield.data.normalise_photo import normalise_photo
    from maskfield.data.photo import read_photo
    from maskfield.figures.pictures import save_picture

    colour, opacity = read_photo(photo)
    cover, source = _mask(colour, opacity, mask, label, model, segmenter)
    result = normalise_photo(colour, cover, framing)
    target = out or photo.with_name(f"{photo.stem}_normalize.png")
    save_picture(result.image, target)
    files = [target]
    if figures:
        files.append(_overview(colour, cover, result, target))
    return PhotoReport(files=tuple(files), square=result.square, mask_from=source)


def _mask(
    colour: UInt8[np.ndarray, "h w 3"],
    opacity: UInt8[np.ndarray, "h w"] | None,
    mask: Path | None,
    label: str,
    model: str,
    segmenter: Segmenter | None,
) -> tuple[UInt8[np.ndarray, "h w"], str]:
    """The mask, and where it is from: the file, else the photograph's opacity, else the model."""
    from maskfield.data.photo import read_mask
    from maskfield.data.photo_masks import Mask2Former

    height, width, _ = colour.shape
    if mask is not None:
        return read_mask(mask, (height, width)), "file"
    if opacity is not None and int(opacity.min()) < 128 <= int(opacity.max()):
        return opacity, "opacity"
    return (segmenter or Mask2Former(model))(colour, label), model


def _overview(
    photo: UInt8[np.ndarray, "h w 3"],
    mask: UInt8[np.ndarray, "h w"],
    result: NormalisedPhoto,
    target: Path,
) -> Path:
    """The photograph with what the mask leaves out dimmed and the square drawn; the result."""
    from PIL import Image, ImageDraw

    from maskfield.figures.pictures import beside, resized, save_picture

    share = mask[..., None].astype(np.float32) / 255
    dimmed = Image.fromarray((photo * (0.35 + 0.65 * share)).astype(np.uint8))
    left, top, side = result.square
    line = max(2, min(photo.shape[:2]) // 150)
    ImageDraw.Draw(dimmed).rectangle(
        (left, top, left + side - 1, top + side - 1), outline=(255, 160, 0), width=line
    )
    height = 320
    rows = [resized(np.asarray(dimmed), height=height), resized(result.image, height=height)]
    path = target.with_name(f"{target.stem}_overview.png")
    save_picture(beside(rows, ("photograph", "normalised")), path)
    return path
