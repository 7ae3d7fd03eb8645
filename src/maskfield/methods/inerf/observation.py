"""Observation: the photograph whose camera is looked for, with its intrinsics; checked once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from maskfield.core.errors import SceneError
from maskfield.core.files import StrPath
from maskfield.geometry.cameras import Cameras

_LEAST_SIDE = 8  # pixels: below this an image has no structure to follow
_ASPECT = 0.02  # intrinsics and photographs may differ by this much through rounding


@dataclass(frozen=True, kw_only=True)
class Observation:
    """One photograph and its lens.

    Attributes:
        image: [h, w, 3] float in [0, 1], in front of the field's background.
        camera: Cameras of length 1 for this image size; its pose is ignored.
        mask: [h, w] True where a pixel counts; None: all do.

    Raises:
        SceneError: sizes that disagree, values outside [0, 1], bad intrinsics, nothing to see.
    """

    image: Float[Tensor, "h w 3"]
    camera: Cameras
    mask: Bool[Tensor, "h w"] | None = None

    def __post_init__(self) -> None:
        _check_image(self.image)
        check_intrinsics(self.camera)
        check_size(self.image.shape[1], self.image.shape[0], self.camera)
        if self.mask is not None:
            _check_mask(self.mask, self.image)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.image.shape[0], self.image.shape[1]

    def allowed(self) -> Int[Tensor, " pixel"]:
        """Row-major indices of the pixels that count."""
        count = self.size[0] * self.size[1]
        return torch.arange(count) if self.mask is None else self.mask.reshape(-1).nonzero()[:, 0]

    def colours(self, pixels: Int[Tensor, "*n"]) -> Float[Tensor, "*n 3"]:
        """Colours of pixels given by row-major index."""
        return self.image.reshape(-1, 3)[pixels]

    def directions(self, pixels: Int[Tensor, "*n"]) -> Float[Tensor, "*n 3"]:
        """Camera-frame directions through pixel centres, z = 1 (lengths along camera z)."""
        flat = pixels.reshape(-1)
        points = torch.stack([flat % self.size[1], flat // self.size[1]], dim=-1) + 0.5
        local = self.camera.unproject(torch.zeros_like(flat), points.to(self.image))
        return local.reshape(*pixels.shape, 3)

    def level(self, factor: int) -> Observation:
        """A smaller copy: the mean over squares of ``factor`` pixels, right and bottom cropped.

        A pixel counts when most of its square does; masked pixels do not enter its colour. Images
        are not reduced below 8 pixels a side.
        """
        factor = max(1, min(factor, min(self.size) // _LEAST_SIDE))
        if factor == 1:
            return self
        h, w = self.size[0] // factor, self.size[1] // factor
        weight = torch.ones(self.size) if self.mask is None else self.mask.float()
        weight = weight[None, None, : h * factor, : w * factor].to(self.image)
        planes = self.image.permute(2, 0, 1)[None, :, : h * factor, : w * factor]
        share = F.avg_pool2d(weight, factor)
        colour = F.avg_pool2d(planes * weight, factor) / share.clamp_min(1e-6)
        camera = replace(self.camera, intrinsics=self.camera.intrinsics / factor, width=w, height=h)
        return Observation(
            image=colour[0].permute(1, 2, 0).clamp(0, 1).contiguous(),
            camera=camera,
            # thin masks keep what they have
            mask=None if self.mask is None else share[0, 0] >= min(0.5, float(share.max())),
        )

    def texture(self) -> float:
        """Mean standard deviation of the colours that count: 0 for a photograph of one colour."""
        return float(self.colours(self.allowed()).std(0, unbiased=False).mean())


def observation_from_array(
    pixels: np.ndarray,
    camera: Cameras,
    *,
    background: tuple[float, float, float] | None = None,
    mask: np.ndarray | None = None,
    file: StrPath | None = None,
) -> Observation:
    """An 8-bit photograph as an observation.

    Args:
        pixels: uint8 [h, w, 3], or [h, w, 4] with straight opacity.
        background: what the field shows behind everything; needed for images with opacity.
        mask: [h, w], non-zero where a pixel counts.
        file: named in errors.

    Raises:
        SceneError: not 8 bit, not RGB(A), another size than the intrinsics, opacity without
            ``background``.
    """
    _check_pixels(pixels, file)
    check_intrinsics(camera)
    check_size(pixels.shape[1], pixels.shape[0], camera, file)
    image = torch.from_numpy(np.array(pixels)).float() / 255
    if image.shape[2] == 4:
        image = _composited(image, background, file)
    counted = None if mask is None else torch.from_numpy(np.asarray(mask) > 0)
    return Observation(image=image.contiguous(), camera=camera, mask=counted)


def read_observation(
    path: StrPath,
    camera: Cameras | None,
    *,
    background: tuple[float, float, float] | None = None,
    mask: np.ndarray | None = None,
) -> Observation:
    """A photograph's file as an observation, upright as its EXIF says.

    Raises:
        SceneError: missing or damaged file, no intrinsics, and as :func:`observation_from_array`.
    """
    if camera is None:
        raise SceneError(
            "a pose can be found only for a known lens, and the intrinsics are missing",
            file=path,
            field="camera",
            remedy="give fx, fy, cx, cy (`--camera`), or a scene whose cameras took the photograph",
        )
    try:
        with Image.open(Path(path)) as stored:
            stored.load()
            image = ImageOps.exif_transpose(stored)
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
        raise SceneError(
            f"cannot read the photograph: {error}",
            file=path,
            remedy="it is missing, damaged or of another kind; copy or export it again",
        ) from error
    if image.mode not in ("RGB", "RGBA"):
        raise SceneError(
            "the photograph is not an 8-bit RGB image",
            file=path,
            field="mode",
            value=image.mode,
            remedy="convert it to 8-bit RGB; grey or 16-bit values do not compare with a field's "
            "colours",
        )
    pixels = np.asarray(image)
    return observation_from_array(pixels, camera, background=background, mask=mask, file=path)


def check_intrinsics(camera: Cameras) -> None:
    """Refuse anything but one camera with a finite, positive focal length.

    Raises:
        SceneError: names the value.
    """
    values = camera.intrinsics
    good = (
        len(camera) == 1 and bool(torch.isfinite(values).all()) and bool((values[:, :2] > 0).all())
    )
    if not good:
        raise SceneError(
            "one camera with finite intrinsics and a positive focal length is needed",
            field="intrinsics (fx, fy, cx, cy)",
            value=values.tolist(),
            remedy="give one camera; focal length and principal point are in pixels",
        )


def check_size(width: int, height: int, camera: Cameras, file: StrPath | None = None) -> None:
    """Refuse a photograph of another size than its intrinsics are for.

    Raises:
        SceneError: says whether the aspect differs as well.
    """
    if (width, height) == (camera.width, camera.height):
        return
    ratio = width * camera.height / (height * camera.width)
    same = abs(ratio - 1) < _ASPECT
    raise SceneError(
        f"the photograph has another {'size' if same else 'aspect ratio'} than its intrinsics",
        file=file,
        field="width, height",
        value=f"{(width, height)}, intrinsics for {(camera.width, camera.height)}",
        remedy="rescale the intrinsics with the photograph (Cameras.resized)"
        if same
        else "crop the photograph as the calibrated ones were, or calibrate again",
    )


def _check_image(image: Tensor) -> None:
    shaped = image.ndim == 3 and image.shape[2] == 3 and min(image.shape[:2]) >= _LEAST_SIDE
    good = shaped and image.is_floating_point() and bool(torch.isfinite(image).all())
    if not (good and float(image.min()) >= -1e-3 and float(image.max()) <= 1 + 1e-3):
        raise SceneError(
            f"an observation is a float RGB image in [0, 1], {_LEAST_SIDE} or more pixels a side",
            field="image",
            value=f"{tuple(image.shape)}, {image.dtype}",
            remedy="use observation_from_array for 8-bit photographs; divide others by their range",
        )


def _check_mask(mask: Tensor, image: Tensor) -> None:
    if mask.shape != image.shape[:2] or mask.dtype != torch.bool or not bool(mask.any()):
        raise SceneError(
            "a mask is boolean, of the photograph's size, and leaves some pixel",
            field="mask",
            value=f"{tuple(mask.shape)}, {mask.dtype}, {int(mask.sum())} pixels count",
            remedy="masks are true where a pixel counts; invert it if it marks what to ignore",
        )


def _check_pixels(pixels: np.ndarray, file: StrPath | None) -> None:
    if pixels.ndim != 3 or pixels.shape[2] not in (3, 4) or pixels.dtype != np.uint8:
        raise SceneError(
            "a photograph is an 8-bit RGB or RGBA image",
            file=file,
            field="pixels",
            value=f"{pixels.shape}, {pixels.dtype}",
            remedy="convert it to 8-bit RGB; grey or 16-bit values do not compare with a field's "
            "colours",
        )


def _composited(
    image: Tensor, background: tuple[float, float, float] | None, file: StrPath | None
) -> Tensor:
    share = image[..., 3:]
    if background is None and float(share.min()) < 1:
        raise SceneError(
            "the photograph has transparent pixels, and the field has no background to show there",
            file=file,
            field="background",
            remedy="name the background colour, or save the photograph without opacity and mask it",
        )
    behind = image.new_tensor(background or (0.0, 0.0, 0.0))
    return image[..., :3] * share + behind * (1 - share)
