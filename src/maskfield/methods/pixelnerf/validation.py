"""Whole held-out views: what they are rendered from, and two answers without a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from maskfield.data.object_batches import near_far, source_images
from maskfield.data.object_sets import ObjectSet
from maskfield.data.scene import Scene
from maskfield.engine.seeding import mixed_seed
from maskfield.geometry.cameras import Cameras
from maskfield.metrics.image import psnr, ssim

_STREAM = 7  # of the views that are held out: the same in every run
_AVERAGED = 256  # training objects whose images are averaged


@dataclass(frozen=True, kw_only=True)
class HeldOutView:
    """One view of one object to be rendered from others.

    Attributes:
        name: of the object.
        images: [1, source, 3, h, w] source views in [-1, 1]. poses: [1, source, 3, 4].
        intrinsics: [1, source, 4].
        camera: of the view, length 1. near, far: distances along its rays.
        image: [h, w, 3] the true view. nearest: [h, w, 3] the source view from the most similar
            direction. average: [h, w, 3] the mean of all training images.
    """

    name: str
    images: Float[Tensor, "1 source 3 h w"]
    poses: Float[Tensor, "1 source 3 4"]
    intrinsics: Float[Tensor, "1 source 4"]
    camera: Cameras
    near: float
    far: float
    image: Float[Tensor, "h w 3"]
    nearest: Float[Tensor, "h w 3"]
    average: Float[Tensor, "h w 3"]

    def to(self, device: torch.device | str) -> HeldOutView:
        """Tensors and camera on another device."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        movable = {k: v.to(device) for k, v in values.items() if isinstance(v, Tensor | Cameras)}
        return replace(self, **movable)


def held_out_views(
    objects: ObjectSet,
    training: ObjectSet,
    sources: int,
    *,
    per_object: int = 1,
    most: int | None = None,
) -> list[HeldOutView]:
    """``per_object`` views of each object, rendered from ``sources`` others; always the same ones.

    Args:
        training: objects whose images are averaged for the second answer without a network.
        most: objects at most.
    """
    count = len(objects) if most is None else min(most, len(objects))
    average = mean_image(training)
    return [
        view
        for index in range(count)
        for view in _of_object(objects, index, sources, per_object, average)
    ]


def mean_image(objects: ObjectSet) -> Float[Tensor, "h w 3"]:
    """The mean of all images of (some of) the objects, which share one size."""
    count = min(len(objects), _AVERAGED)
    total = np.mean(
        [objects[i].images.mean(axis=0, dtype=np.float64) for i in range(count)], axis=0
    )
    return torch.from_numpy(total).float() / 255


def image_scores(image: Tensor, view: HeldOutView) -> dict[str, float]:
    """PSNR and SSIM of a rendered view, and PSNR of the answers without a network."""
    image = image.clamp(0, 1).to(view.image)
    with torch.autocast(image.device.type, enabled=False):  # SSIM is made of convolutions
        return {
            "psnr": float(psnr(image, view.image)),
            "ssim": float(ssim(image, view.image)),
            "psnr_nearest_source": float(psnr(view.nearest, view.image)),
            "psnr_mean_image": float(psnr(view.average, view.image)),
        }


def _of_object(
    objects: ObjectSet, index: int, sources: int, per_object: int, average: Tensor
) -> list[HeldOutView]:
    scene = objects[index]
    generator = torch.Generator().manual_seed(mixed_seed(_STREAM, index))
    order = torch.randperm(len(scene), generator=generator)
    chosen, targets = order[:sources], order[sources : sources + per_object]
    return [_view(objects.names[index], scene, chosen, int(t), average) for t in targets]


def _view(name: str, scene: Scene, sources: Tensor, target: int, average: Tensor) -> HeldOutView:
    near, far = near_far(scene)
    nearest = nearest_view(scene.cameras, sources.tolist(), target)
    return HeldOutView(
        name=name,
        images=source_images(scene, sources)[None],
        poses=scene.cameras.camera_to_world[sources][None],
        intrinsics=scene.cameras.intrinsics[sources][None],
        camera=scene.cameras[target],
        near=near,
        far=far,
        image=_picture(scene, target),
        nearest=_picture(scene, nearest),
        average=average,
    )


def nearest_view(cameras: Cameras, sources: Sequence[int], target: int) -> int:
    """The source whose viewing direction is most like the target's."""
    axes = cameras.forward_axes
    alike = axes[list(sources)] @ axes[target]
    return list(sources)[int(alike.argmax())]


def _picture(scene: Scene, index: int) -> Float[Tensor, "h w 3"]:
    return torch.from_numpy(np.array(scene.images[index])).float() / 255
