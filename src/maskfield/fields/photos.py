"""The photographs of a scene as rays with colours, drawn at random; masked pixels never come up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from maskfield.core.errors import SceneError
from maskfield.data.scene import Scene
from maskfield.geometry.rays import Rays

Background = Literal["mean", "random", "white", "black"]
_FEW_LENSES = 4


@dataclass(frozen=True, kw_only=True)
class PixelBatch:
    """Pixels to be explained.

    Attributes:
        rays: through the pixels' centres. target, background: float32 [ray, 3]; target shows the
            photograph in front of the background. image: int64 [ray], index into the scene.
    """

    rays: Rays
    target: np.ndarray
    background: np.ndarray
    image: np.ndarray


class Photographs:
    """Random access to the pixels of one split.

    Args:
        near: where rays start, scene units. background: behind images that have an opacity.

    Raises:
        SceneError: no such split, or the masks leave no pixel.
    """

    def __init__(
        self, scene: Scene, split: str, near: float, background: Background = "mean"
    ) -> None:
        self.scene, self.near, self.background = scene, near, background
        self.images = np.asarray(scene.indices(split), dtype=np.int64)
        self.size = scene.cameras.height * scene.cameras.width
        self._colours = scene.images.reshape(len(scene), self.size, 3)
        self._allowed = _allowed_pixels(scene, self.images)
        self._lens, self._local = _lenses(scene)
        self._rotation = scene.cameras.camera_to_world[:, :, :3].numpy()
        self._centre = scene.cameras.centres.numpy()
        self.mean_colour = self._mean_colour()

    def _mean_colour(self) -> np.ndarray:
        every = max(1, self.size // 1000)
        sample = self._colours[self.images][:, ::every]
        if self._allowed is not None:  # masked pixels say nothing about the scene
            sample = self._colours[self.images].reshape(-1, 3)[self._allowed[::every]]
        return (sample.reshape(-1, 3).mean(0) / 255).astype(np.float32)

    def draw(self, count: int, generator: np.random.Generator, patch: int = 1) -> PixelBatch:
        """About ``count`` random pixels, in squares of ``patch`` x ``patch`` neighbours."""
        if self._allowed is not None:
            chosen = self._allowed[generator.integers(0, len(self._allowed), count)]
            return self.batch(self.images[chosen // self.size], chosen % self.size, generator)
        width, height = self.scene.cameras.width, self.scene.cameras.height
        patch = min(patch, width, height)
        squares = max(1, count // patch**2)
        image = np.repeat(self.images[generator.integers(0, len(self.images), squares)], patch**2)
        column = generator.integers(0, width - patch + 1, squares)[:, None]
        row = generator.integers(0, height - patch + 1, squares)[:, None]
        v, u = np.divmod(np.arange(patch**2), patch)
        return self.batch(image, ((row + v) * width + column + u).reshape(-1), generator)

    def batch(
        self, image: np.ndarray, pixel: np.ndarray, generator: np.random.Generator
    ) -> PixelBatch:
        """Given pixels (row-major index) of given images."""
        target = self._colours[image, pixel].astype(np.float32) / 255
        behind = self._behind(len(image), generator)
        if self.scene.opacity is not None:
            flat = self.scene.opacity.reshape(len(self.scene), self.size)
            share = (flat[image, pixel].astype(np.float32) / 255)[:, None]
            target = target * share + behind * (1 - share)
        return PixelBatch(
            rays=self.rays(image, pixel), target=target, background=behind, image=image
        )

    def rays(self, image: np.ndarray, pixel: np.ndarray) -> Rays:
        """World rays through pixel centres."""
        if self._local is None:
            width = self.scene.cameras.width
            points = np.stack([pixel % width + 0.5, pixel // width + 0.5], axis=-1)
            return self.scene.cameras.rays(
                torch.from_numpy(image), torch.from_numpy(points).float(), self.near
            )
        local = self._local[self._lens[image], pixel]
        directions = np.einsum("nij,nj->ni", self._rotation[image], local)
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        origins = torch.from_numpy(self._centre[image])
        return Rays(
            origins=origins,
            directions=torch.from_numpy(directions),
            near=torch.full((len(image),), self.near),
            far=torch.full((len(image),), torch.inf),
        )

    def _behind(self, count: int, generator: np.random.Generator) -> np.ndarray:
        if self.background == "random":
            return generator.random((count, 3), dtype=np.float32)
        value = {"white": 1.0, "black": 0.0, "mean": self.mean_colour}[self.background]
        return np.broadcast_to(np.float32(value), (count, 3)).copy()


def _allowed_pixels(scene: Scene, images: np.ndarray) -> np.ndarray | None:
    """Positions (image rank * size + pixel) that the masks let count; None: all."""
    if scene.masks is None:
        return None
    allowed = np.flatnonzero(scene.masks[images].reshape(-1))
    if len(allowed) == 0:
        raise SceneError(
            "the masks leave no pixel to fit",
            field="masks",
            value=0,
            remedy="masks are 1 where a pixel counts; invert them if they mark what to ignore",
        )
    return allowed


def _lenses(scene: Scene) -> tuple[np.ndarray, np.ndarray | None]:
    """Which lens each camera has, and each lens's pixel directions [lens, pixel, 3] (if few)."""
    cameras = scene.cameras
    table = cameras.intrinsics
    if cameras.distortion is not None:
        table = torch.cat([table, cameras.distortion], dim=1)
    kinds, lens = torch.unique(table, dim=0, return_inverse=True)
    if len(kinds) > _FEW_LENSES:
        return lens.numpy(), None
    local = []
    for kind in range(len(kinds)):
        camera = int((lens == kind).nonzero()[0])
        directions = cameras.image_rays(camera).directions
        local.append(directions @ cameras.camera_to_world[camera, :, :3])
    return lens.numpy(), torch.stack(local).numpy()
