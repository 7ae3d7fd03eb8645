"""A normalised photograph as a scene of one view, so that image-conditioned models can take it.

The camera is where pixelNeRF's real-car demo puts it (spec pixelnerf 8.5): at the object's height,
looking at it from -y of a Z-up world, with the lens and distances of the SRN cars.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image

from maskfield.core.errors import ConfigError, DataError
from maskfield.core.files import StrPath
from maskfield.data.photo import read_photo
from maskfield.data.scene import Scene
from maskfield.geometry.camera_paths import turn_table
from maskfield.geometry.cameras import Cameras

RADIUS = 1.3  # scene units, of the SRN cars
_LENS_WIDTH = 128  # pixels, of the picture that ``focal`` is for
_WHITE = 240  # the border of a normalised photograph is at least this bright


@dataclass(frozen=True, kw_only=True)
class PhotoCamera:
    """Where a photograph is taken to have been taken from.

    Attributes:
        focal: pixels, of a picture whose shorter side has 128. radius: distance to the object's
            middle. near, far: distances between which the object lies. All in scene units but for
            the focal length; the defaults are those of the SRN cars and of our procedural objects.
        official_centre: the principal point lies half a pixel further right and down, where the
            official code has it in effect.
    """

    focal: float = 131.25
    radius: float = RADIUS
    near: float = 0.8
    far: float = 1.8
    official_centre: bool = False

    def __post_init__(self) -> None:
        for name in ("focal", "radius", "near"):
            if not getattr(self, name) > 0:
                raise ConfigError(
                    "must be positive",
                    field=name,
                    value=getattr(self, name),
                    remedy="give a number above 0",
                )
        if not self.far > self.near:
            raise ConfigError(
                "the object must lie between near and far",
                field="near, far",
                value=(self.near, self.far),
                remedy="give far above near",
            )


def photo_scene(
    path: StrPath, camera: PhotoCamera | None = None, *, size: int = 128, white: bool = True
) -> Scene:
    """One view of an object about the origin.

    Args:
        size: shorter side to which the photograph is reduced, pixels.
        white: refuse a photograph whose border is not white, for models that know nothing else.

    Raises:
        DataError: missing, damaged, or not normalised.
    """
    camera = camera or PhotoCamera()
    colour, opacity = read_photo(path)
    image = _over_white(colour, opacity)
    if white:
        _require_white(image, path)
    image = _reduced(image, size)
    height, width = image.shape[:2]
    focal, half = camera.focal * min(height, width) / _LENS_WIDTH, 0.5 * camera.official_centre
    lens = Cameras(
        camera_to_world=torch.eye(4)[None, :3],
        intrinsics=torch.tensor([[focal, focal, width / 2 + half, height / 2 + half]]),
        width=width,
        height=height,
    )
    reach = (camera.far - camera.near) / 2
    return Scene(
        cameras=turn_table(lens, 1, radius=camera.radius, elevation_degrees=0.0),
        images=image[None],
        names=("photo",),
        box=torch.tensor([[-reach] * 3, [reach] * 3]),
        split={"train": (0,)},
        near=camera.near,
        far=camera.far,
        up_known=True,
    ).validated(str(path))


def _over_white(
    colour: UInt8[np.ndarray, "h w 3"], opacity: UInt8[np.ndarray, "h w"] | None
) -> UInt8[np.ndarray, "h w 3"]:
    if opacity is None:
        return colour
    share = opacity[..., None].astype(np.float32) / 255
    return (colour * share + 255 * (1 - share) + 0.5).astype(np.uint8)


def _reduced(image: UInt8[np.ndarray, "h w 3"], size: int) -> UInt8[np.ndarray, "h w 3"]:
    height, width = image.shape[:2]
    scale = size / min(height, width)
    if scale == 1:
        return image
    target = (round(width * scale), round(height * scale))
    return np.asarray(Image.fromarray(image).resize(target, Image.Resampling.BILINEAR))


def _require_white(image: UInt8[np.ndarray, "h w 3"], path: StrPath) -> None:
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]]).min(-1)
    share = float((border >= _WHITE).mean())
    if share < 0.5:
        raise DataError(
            "the photograph is not normalised: the model knows objects on white only",
            file=path,
            field="border",
            value=f"{share:.0%} of it is white",
            remedy="cut the object out first: `maskfield data normalize-photo PHOTO [--mask MASK]`",
        )
