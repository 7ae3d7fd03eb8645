"""One photograph without a camera: 8-bit colour, upright, with its opacity where it has one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from maskfield.core.errors import DataError
from maskfield.core.files import StrPath

_MODES = ("RGB", "RGBA", "L", "LA", "P", "PA", "1")


def read_photo(path: StrPath) -> tuple[UInt8[np.ndarray, "h w 3"], UInt8[np.ndarray, "h w"] | None]:
    """Straight colour and, of a picture with transparency, its opacity; EXIF turns are applied.

    Raises:
        DataError: missing, damaged, 16-bit or of a colour space other than RGB or grey.
    """
    image = _upright(Path(path))
    clear = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
    rgba = np.asarray(image.convert("RGBA"))
    return rgba[..., :3].copy(), rgba[..., 3].copy() if clear else None


def read_mask(path: StrPath, size: tuple[int, int]) -> UInt8[np.ndarray, "h w"]:
    """A grey picture (or the opacity of a transparent one), 255 where the object is.

    Args:
        size: height and width of the photograph it belongs to.

    Raises:
        DataError: as :func:`read_photo`, another size than the photograph, or nothing marked.
    """
    colour, opacity = read_photo(path)
    clear = opacity is not None and int(opacity.min()) < 255
    mask = opacity if clear and opacity is not None else colour.max(-1)
    if mask.shape != size:
        raise DataError(
            "the mask has another size than the photograph",
            file=path,
            field="width, height",
            value=f"{mask.shape[::-1]}, the photograph {size[::-1]}",
            remedy="give a mask with one pixel per pixel of the photograph",
        )
    if not (mask >= 128).any():
        raise DataError(
            "the mask marks nothing",
            file=path,
            field="mask",
            value=f"greatest value {int(mask.max())}",
            remedy="give a mask that is white (255) on the object and black elsewhere",
        )
    return mask


def _upright(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            image.load()
            upright = ImageOps.exif_transpose(image)
    except FileNotFoundError as error:
        raise DataError("file not found", file=path, remedy="check the path") from error
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
        raise DataError(
            f"cannot decode the photograph: {error}",
            file=path,
            remedy="it is truncated, damaged or of another kind; copy or export it again",
        ) from error
    if upright.mode not in _MODES:
        raise DataError(
            "photographs of this kind are not read: their colours need a profile or a scale",
            file=path,
            field="mode",
            value=upright.mode,
            remedy="convert the picture to 8-bit RGB, RGBA or greyscale",
        )
    return upright
