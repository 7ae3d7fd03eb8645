"""The posed images of one object of a data set, as the official loaders of pixelNeRF see them.

An object's cameras share one lens. Images are reduced before they are rounded to eight bits, so
that what a loader returns is what the official code computes; :func:`object_scene` rounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from maskfield.core.errors import SceneError
from maskfield.core.files import StrPath
from maskfield.data.pixel_sampling import mask_boxes
from maskfield.data.readers.images import Plan, decode_images, probe_images
from maskfield.data.scene import Scene
from maskfield.geometry.cameras import Cameras, check_poses


@dataclass(frozen=True, kw_only=True)
class ObjectPlace:
    """Where an object lies.

    Attributes:
        name: of the object. category: of the object, "" where the data set has none.
        path: its folder. near, far: distances along rays between which it lies.
        radius: half the side of a box about the origin that holds it.
        up_known: the data set's +Z points up.
    """

    name: str
    path: Path
    near: float
    far: float
    radius: float
    category: str = ""
    up_known: bool = True


@dataclass(frozen=True, kw_only=True)
class ObjectViews:
    """One object, decoded.

    Attributes:
        images: [view, h, w, 3] in [0, 1].
        masks: [view, h, w] in [0, 1], or None.
        boxes: [view, 4] first column, first row, last column, last row of the masks, in pixels;
            fractions where the images were resized. None without masks.
        poses: [view, 3, 4] camera-to-world, OpenCV axes.
        intrinsics: fx, fy, cx, cy in pixels, of all views; the official code takes a pixel's index
            for its image position (see ``ObjectDataConfig.official_centres``).
        names: one per view.
        world_from_source: [4, 4] how the world of the files was turned, moved and scaled.
    """

    images: Float[Tensor, "view h w 3"]
    masks: Float[Tensor, "view h w"] | None
    boxes: Float[Tensor, "view 4"] | None
    poses: Float[Tensor, "view 3 4"]
    intrinsics: tuple[float, float, float, float]
    names: tuple[str, ...]
    world_from_source: Float[Tensor, "4 4"]

    @property
    def encoder_images(self) -> Float[Tensor, "view 3 h w"]:
        """The images as an encoder takes them, in [-1, 1]."""
        return encoder_range(self.images)

    def resized(self, size: tuple[int, int] | None) -> ObjectViews:
        """Images (and masks) as area means in ``size`` = (height, width); None changes nothing.

        The lens and the boxes are scaled by the change of height.
        """
        height, width = self.images.shape[1:3]
        if size is None or size == (height, width):
            return self
        scale = size[0] / height
        fx, fy, cx, cy = (scale * value for value in self.intrinsics)
        images = F.interpolate(self.images.permute(0, 3, 1, 2), size=size, mode="area")
        masks = self.masks
        return replace(
            self,
            images=images.permute(0, 2, 3, 1),
            masks=masks
            if masks is None
            else F.interpolate(masks[:, None], size, mode="area")[:, 0],
            boxes=None if self.boxes is None else self.boxes * scale,
            intrinsics=(fx, fy, cx, cy),
        )

    def reduced(self, height: int | None) -> ObjectViews:
        """:meth:`resized` to a height, with the width in proportion; None changes nothing."""
        if height is None:
            return self
        h, w = self.images.shape[1:3]
        return self.resized((height, max(round(w * height / h), 1)))


def object_scene(views: ObjectViews, place: ObjectPlace) -> Scene:
    """The object as a scene, in eight bits.

    Raises:
        SceneError: a lens that does not fit the images, poses that are no rigid motions.
    """
    count, height, width = views.images.shape[:3]
    _check_lens(views.intrinsics, width, height, place.path)
    cameras = Cameras(
        camera_to_world=views.poses,
        intrinsics=torch.tensor(views.intrinsics).expand(count, 4).clone(),
        width=width,
        height=height,
    )
    return Scene(
        cameras=cameras,
        images=_eight_bits(views.images),
        opacity=None if views.masks is None else _eight_bits(views.masks),
        names=views.names,
        box=torch.tensor([[-place.radius] * 3, [place.radius] * 3]),
        split={"train": tuple(range(count))},
        near=place.near,
        far=place.far,
        world_from_source=views.world_from_source,
        up_known=place.up_known,
    ).validated(str(place.path))


def decode(paths: Sequence[Path], place: ObjectPlace) -> UInt8[np.ndarray, "view h w 4"]:
    """All images as straight RGBA; none, or of several sizes, is refused before decoding.

    Raises:
        SceneError: names the file.
    """
    if not paths:
        raise SceneError(
            "the object has no images",
            file=place.path,
            remedy="restore the images, or take the object out of the data set",
        )
    probes = probe_images(paths, [None] * len(paths))
    odd = next((i for i, p in enumerate(probes) if p.size != probes[0].size), None)
    if odd is not None:
        raise SceneError(
            "the images of an object have different sizes",
            file=paths[odd],
            field="width, height",
            value=f"{probes[odd].size}, but {paths[0].name} has {probes[0].size}",
            remedy="make them one size, and the object's intrinsics with them",
        )
    colour, opacity = decode_images(paths, probes, Plan(crop=probes[0].size, downscale=1))
    if opacity is None:
        opacity = np.full(colour.shape[:3], 255, np.uint8)
    return np.concatenate([colour, opacity[..., None]], axis=-1)


def unit_range(pixels: UInt8[np.ndarray, "*n"]) -> Float[Tensor, "*n"]:
    """Eight bits to [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(pixels)).float() / 255


def encoder_range(images: Float[Tensor, "view h w 3"]) -> Float[Tensor, "view 3 h w"]:
    """Images in [0, 1] as an encoder takes them: channels first, in [-1, 1]."""
    return images.permute(0, 3, 1, 2) * 2 - 1


def filled_boxes(
    masks: UInt8[np.ndarray, "view h w"], paths: Sequence[Path]
) -> Float[Tensor, "view 4"]:
    """Bounding boxes of the non-zero pixels.

    Raises:
        SceneError: names the file of the first mask that is empty.
    """
    boxes, filled = mask_boxes(masks)
    if not bool(filled.all()):
        empty = int((~filled).nonzero()[0])
        raise SceneError(
            "the mask of a view is empty: the view does not show the object",
            file=paths[empty],
            field=f"view {empty}",
            value=f"{int((~filled).sum())} of {len(filled)} masks are empty",
            remedy="take the view (or the object) out of the data set",
        )
    return boxes


def require_equal(counts: dict[str, int], place: ObjectPlace) -> None:
    """Refuse an object with, say, more images than poses.

    Raises:
        SceneError: names the folder and the counts.
    """
    if len(set(counts.values())) > 1:
        raise SceneError(
            "the object has unequal numbers of files",
            file=place.path,
            field=", ".join(counts),
            value=counts,
            remedy="one file per view in each of these folders: restore what is missing",
        )


def rigid(poses: Float[Tensor, "view 3 4"], file: StrPath) -> Float[Tensor, "view 3 4"]:
    """The poses in single precision, once they are known to be rigid motions.

    Raises:
        SceneError: names the file and the view.
    """
    check_poses(poses, file=str(file), tolerance=2e-2)
    return poses.float()


def positive_focal(focal: float, file: StrPath, field: str) -> float:
    """A focal length in pixels.

    Raises:
        SceneError: it is not a positive number.
    """
    if not (np.isfinite(focal) and focal > 0):
        raise SceneError(
            "the focal length must be a positive number of pixels",
            file=file,
            field=field,
            value=focal,
            remedy="repair the intrinsics of the object",
        )
    return focal


def _check_lens(
    intrinsics: tuple[float, float, float, float], width: int, height: int, file: Path
) -> None:
    """The official loaders take a focal length for other images without a word."""
    fx, fy, cx, cy = intrinsics
    seen = 0 <= cx <= width and 0 <= cy <= height
    plausible = 0.2 < fx / width < 20 and 0.2 < fy / height < 20
    if not (seen and plausible):
        raise SceneError(
            "the intrinsics are not for images of this size",
            file=file,
            field="fx, fy, cx, cy",
            value=f"{tuple(round(v, 3) for v in intrinsics)} for {width} x {height} pixels",
            remedy="scale the intrinsics as the images were scaled",
        )


def _eight_bits(values: Float[Tensor, "*n"]) -> UInt8[np.ndarray, "*n"]:
    return (values * 255 + 0.5).clamp(0, 255).to(torch.uint8).contiguous().numpy()
