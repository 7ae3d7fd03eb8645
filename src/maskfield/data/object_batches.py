"""Training examples of objects: a few source views, and rays with their colours.

Only chosen views are converted and only chosen rays are built; pixels stay uint8 (usually in memory
maps) until then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from maskfield.core.errors import SceneError
from maskfield.data.colour_jitter import (
    ColourJitter,
    draw_jitter,
    jitter_images,
    jitter_pixels,
    tinted_grey,
)
from maskfield.data.object_config import ObjectDataConfig
from maskfield.data.pixel_sampling import draw_anywhere, draw_in_boxes, mask_boxes
from maskfield.data.scene import Scene
from maskfield.geometry.rays import Rays

_GREY_PIXELS = 16  # rows and columns looked at for an image's mean grey


@dataclass(frozen=True, kw_only=True)
class RayTargets:
    """Rays of some objects and what the photographs show there.

    Attributes:
        origins, directions: [object, ray, 3] world frame, unit directions.
        near, far: [object] distances along the rays.
        colours: [object, ray, 3] in [0, 1].
    """

    origins: Float[Tensor, "object ray 3"]
    directions: Float[Tensor, "object ray 3"]
    near: Float[Tensor, " object"]
    far: Float[Tensor, " object"]
    colours: Float[Tensor, "object ray 3"]

    def rays(self, index: int) -> Rays:
        """The rays of one object."""
        origins, count = self.origins[index], self.origins.shape[1]
        return Rays(
            origins=origins,
            directions=self.directions[index],
            near=self.near[index].expand(count),
            far=self.far[index].expand(count),
        )

    def map(self, change: Callable[[Tensor], Tensor]) -> RayTargets:
        """Every tensor changed."""
        return RayTargets(**{name: change(getattr(self, name)) for name in _names(self)})


@dataclass(frozen=True, kw_only=True)
class ObjectBatch:
    """What a training step needs of some objects.

    Attributes:
        images: [object, source, 3, h, w] source views in [-1, 1].
        poses: [object, source, 3, 4] camera-to-world, OpenCV axes.
        intrinsics: [object, source, 4] fx, fy, cx, cy in pixels.
        sources: [object, source] which views of the object these are.
        boxed: rays inside the bounding boxes of the masks; without masks, or when the config says
            so, drawn over whole images as well.
        anywhere: rays over whole images.
    """

    images: Float[Tensor, "object source 3 h w"]
    poses: Float[Tensor, "object source 3 4"]
    intrinsics: Float[Tensor, "object source 4"]
    sources: Int64[Tensor, "object source"]
    boxed: RayTargets
    anywhere: RayTargets

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, objects: slice) -> ObjectBatch:
        """Some of the objects (a process takes its share of a batch so)."""
        return self.map(lambda x: x[objects])

    def to(self, device: torch.device | str, non_blocking: bool = False) -> ObjectBatch:
        return self.map(lambda x: x.to(device, non_blocking=non_blocking))

    def with_sources(self, count: int) -> ObjectBatch:
        """The same rays with the first ``count`` source views only."""
        views = ("images", "poses", "intrinsics", "sources")
        kept: dict[str, Any] = {name: getattr(self, name)[:, :count] for name in views}
        return replace(self, **kept)

    def map(self, change: Callable[[Tensor], Tensor]) -> ObjectBatch:
        """Every tensor changed."""
        changed: dict[str, Any] = {}
        for name in _names(self):
            value = getattr(self, name)
            rays = isinstance(value, RayTargets)
            changed[name] = value.map(change) if rays else change(value)
        return ObjectBatch(**changed)


def object_example(
    scene: Scene, config: ObjectDataConfig, generator: torch.Generator | None = None
) -> ObjectBatch:
    """One object: ``max(config.source_views)`` random views and ``config.rays`` random rays.

    Source views are drawn without replacement; their pixels may be drawn as targets as well.

    Args:
        generator: None draws the same as last time and leaves colours alone (validation).

    Raises:
        SceneError: fewer views than sources, or nothing says how near and far the object is.
    """
    jitter = draw_jitter(generator) if generator is not None and config.colour_jitter else None
    draw = torch.Generator().manual_seed(0) if generator is None else generator
    sources = _draw_sources(scene, max(config.source_views), draw)
    return ObjectBatch(
        images=source_images(scene, sources, jitter)[None],
        poses=scene.cameras.camera_to_world[sources][None],
        intrinsics=scene.cameras.intrinsics[sources][None],
        sources=sources[None],
        boxed=_targets(scene, config.rays, jitter, draw, boxed=config.boxes),
        anywhere=_targets(scene, config.rays, jitter, draw, boxed=False),
    )


def collate_objects(examples: Sequence[ObjectBatch]) -> ObjectBatch:
    """Several objects as one batch.

    Raises:
        SceneError: their images have different sizes.
    """
    shapes = {tuple(e.images.shape[1:]) for e in examples}
    if len(shapes) > 1:
        raise SceneError(
            "the objects of a batch have images of different sizes",
            field="height, width",
            value=sorted((h, w) for _, _, h, w in shapes),
            remedy="set data.image_size, or train with data.batch_size 1",
        )
    return _joined(examples)


def source_images(
    scene: Scene, views: Int64[Tensor, " source"], jitter: ColourJitter | None = None
) -> Float[Tensor, "source 3 h w"]:
    """Some of a scene's images as an encoder takes them, in [-1, 1]."""
    pixels = torch.from_numpy(np.ascontiguousarray(scene.images[views.numpy()]))
    images = pixels.permute(0, 3, 1, 2).float() / 255
    return (images if jitter is None else jitter_images(images, jitter)) * 2 - 1


def near_far(scene: Scene) -> tuple[float, float]:
    """Distances between which the object lies: the scene's own, else those of its box.

    Raises:
        SceneError: neither is known (a box that is unbounded says nothing).
    """
    if scene.near is not None and scene.far is not None and scene.far > scene.near:
        return scene.near, scene.far
    if scene.unbounded:
        raise SceneError(
            "nothing says how near and far the object is",
            field="near, far",
            value=(scene.near, scene.far),
            remedy="write near and far (scene units) into scene.json or transforms.json",
        )
    distance = (scene.cameras.centres - scene.box.mean(0)).norm(dim=1)
    radius = float((scene.box[1] - scene.box[0]).norm()) / 2
    far = float(distance.max()) + radius
    return max(float(distance.min()) - radius, 0.02 * far), far


def _draw_sources(scene: Scene, count: int, generator: torch.Generator) -> Int64[Tensor, " source"]:
    if count > len(scene):
        raise SceneError(
            "the object has fewer views than source views are asked for",
            field="data.source_views",
            value=f"{count} of {len(scene)} views",
            remedy="ask for fewer source views, or leave the object out",
        )
    return torch.randperm(len(scene), generator=generator)[:count]


def _targets(
    scene: Scene,
    count: int,
    jitter: ColourJitter | None,
    generator: torch.Generator,
    *,
    boxed: bool,
) -> RayTargets:
    height, width = scene.cameras.height, scene.cameras.width
    views = torch.randint(len(scene), (count,), generator=generator)
    if boxed and scene.opacity is not None:
        used, place = views.unique(return_inverse=True)
        boxes, _ = mask_boxes(scene.opacity[used.numpy()])
        pixels = draw_in_boxes(boxes, place, height, width, generator)
        pixels[:, 0] = views
    else:
        pixels = draw_anywhere(views, height, width, generator)
    return ray_targets(scene, pixels, jitter)


def ray_targets(
    scene: Scene, pixels: Int64[Tensor, "ray 3"], jitter: ColourJitter | None = None
) -> RayTargets:
    """Rays through the centres of ``pixels`` (view, row, column) and their colours; one object."""
    near, far = near_far(scene)
    view, row, column = pixels.unbind(1)
    rays = scene.cameras.rays(view, torch.stack([column, row], dim=1) + 0.5)
    colours = (
        torch.from_numpy(scene.images[view.numpy(), row.numpy(), column.numpy()]).float() / 255
    )
    if jitter is not None:
        colours = jitter_pixels(colours, _mean_grey(scene, view, jitter), jitter)
    return RayTargets(
        origins=rays.origins[None],
        directions=rays.directions[None],
        near=torch.tensor([near]),
        far=torch.tensor([far]),
        colours=colours[None],
    )


def _mean_grey(
    scene: Scene, views: Int64[Tensor, " ray"], jitter: ColourJitter
) -> Float[Tensor, " ray"]:
    """Mean grey of each ray's image, from a lattice of its pixels.

    The whole images would have to be converted for the exact mean; a tenth of the lattice's error
    of about 1 % is all that reaches a colour, since contrast changes by 10 % at most.
    """
    used, place = views.unique(return_inverse=True)
    height, width = scene.cameras.height, scene.cameras.width
    rows = np.unique(np.linspace(0, height - 1, _GREY_PIXELS).astype(int))
    columns = np.unique(np.linspace(0, width - 1, _GREY_PIXELS).astype(int))
    lattice = np.ix_(used.numpy(), rows, columns)
    colours = torch.from_numpy(scene.images[lattice]).float() / 255
    return tinted_grey(colours.flatten(1, 2), jitter)[place]


def _joined(examples: Sequence[ObjectBatch]) -> ObjectBatch:
    together: dict[str, Any] = {}
    for name in _names(examples[0]):
        parts = [getattr(e, name) for e in examples]
        rays = isinstance(parts[0], RayTargets)
        together[name] = _joined_rays(parts) if rays else torch.cat(parts)
    return ObjectBatch(**together)


def _joined_rays(parts: Sequence[RayTargets]) -> RayTargets:
    names = _names(parts[0])
    return RayTargets(**{n: torch.cat([getattr(p, n) for p in parts]) for n in names})


def _names(value: RayTargets | ObjectBatch) -> list[str]:
    return [item.name for item in fields(value)]
