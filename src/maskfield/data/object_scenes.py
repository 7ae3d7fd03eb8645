"""Any capture as an object: over white, without lens distortion, in the size of the network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from maskfield.data.scene import Scene
from maskfield.geometry.cameras import Cameras, distort


def is_object(scene: Scene, height: int | None) -> bool:
    """Whether :func:`as_object` would change nothing."""
    plain = scene.opacity is None and scene.cameras.distortion is None
    return plain and height in (None, scene.cameras.height)


def as_object(scene: Scene, height: int | None = None) -> Scene:
    """Images over white, pinhole cameras, images of a height with the width in proportion.

    Depths, masks and labels are left behind. ``opacity`` stays, as the mask of the object.
    """
    size = _size(scene.cameras, height)
    straight = replace(scene.cameras, distortion=None)
    images, opacity = np.empty((len(scene), *size, 3), np.uint8), None
    if scene.opacity is not None:
        opacity = np.empty((len(scene), *size), np.uint8)
    for i in range(len(scene)):
        rgba = F.interpolate(
            _undistorted(_over_white(scene, i), scene.cameras[i]), size, mode="area"
        )
        images[i] = _eight_bits(rgba[0, :3].permute(1, 2, 0))
        if opacity is not None:
            opacity[i] = _eight_bits(rgba[0, 3])
    return replace(
        scene,
        cameras=straight.resized(size[1], size[0]),
        images=images,
        opacity=opacity,
        masks=None,
        depths=None,
        instances=None,
        semantics=None,
        class_names=(),
    )


def views_of(scene: Scene, views: tuple[int, ...]) -> Scene:
    """Some views of a scene, in that order."""
    chosen = list(views)
    return replace(
        scene,
        cameras=scene.cameras[chosen],
        images=scene.images[chosen],
        opacity=None if scene.opacity is None else scene.opacity[chosen],
        names=tuple(scene.names[i] for i in chosen),
        split={"train": tuple(range(len(chosen)))},
        masks=None,
        depths=None,
        instances=None,
        semantics=None,
    )


def _size(cameras: Cameras, height: int | None) -> tuple[int, int]:
    if height is None:
        return cameras.height, cameras.width
    return height, max(round(cameras.width * height / cameras.height), 1)


def _over_white(scene: Scene, index: int) -> Float[Tensor, "1 4 h w"]:
    colour = torch.from_numpy(np.array(scene.images[index])).permute(2, 0, 1).float() / 255
    alpha = torch.ones_like(colour[:1])
    if scene.opacity is not None:
        alpha = torch.from_numpy(np.array(scene.opacity[index]))[None].float() / 255
    return torch.cat([colour * alpha + (1 - alpha), alpha])[None]


def _undistorted(image: Float[Tensor, "1 4 h w"], camera: Cameras) -> Float[Tensor, "1 4 h w"]:
    """What a pinhole camera with the same focal lengths would show; the border repeats."""
    if camera.distortion is None:
        return image
    height, width = image.shape[2:]
    rows, columns = torch.meshgrid(
        torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij"
    )
    focal, centre = camera.intrinsics[0, :2], camera.intrinsics[0, 2:]
    seen = distort((torch.stack([columns, rows], dim=-1) - centre) / focal, camera.distortion[0])
    place = (seen * focal + centre) / torch.tensor([width, height]) * 2 - 1
    return F.grid_sample(image, place[None], padding_mode="border", align_corners=False)


def _eight_bits(values: Float[Tensor, "*n"]) -> UInt8[np.ndarray, "*n"]:
    return (values * 255 + 0.5).clamp(0, 255).to(torch.uint8).numpy()
