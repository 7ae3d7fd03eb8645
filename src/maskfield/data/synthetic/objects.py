"""Procedural objects, one at a time: from a seed to a Scene of photographs over white."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from maskfield.core.errors import ConfigError
from maskfield.data.scene import Scene
from maskfield.data.synthetic.bvh import build_tree
from maskfield.data.synthetic.casting import cast_object
from maskfield.data.synthetic.lighting import Lights
from maskfield.data.synthetic.lights import pack_lights
from maskfield.data.synthetic.object_cameras import FAR, NEAR, CameraPath, object_cameras
from maskfield.data.synthetic.object_shapes import RADIUS, draw_object
from maskfield.data.synthetic.primitives import Placed, Shape, assemble
from maskfield.data.synthetic.splits import split_of
from maskfield.geometry.cameras import Cameras

_STREAM = 0x4F626A65  # keeps an object's random numbers apart from other uses of the same seed
_CAMERA_STREAM = 0x4F43616D
_OPEN_AIR = np.array([[-1e6] * 3, [1e6] * 3])  # no walls near, so no dark corners


class SyntheticObject(NamedTuple):
    """An object as the ray caster reads it. World: its front +y, Z up, inside a ball of 0.5."""

    seed: int
    category: str
    shape: Shape
    prims: np.ndarray
    tree: np.ndarray
    lights: Lights


def make_object(seed: int) -> SyntheticObject:
    """The object of a seed; same seed, same object.

    Raises:
        ConfigError: a negative seed.
    """
    if seed < 0:
        raise ConfigError(
            "a seed is not negative", field="seed", value=seed, remedy="give 0 or more"
        )
    rng = np.random.default_rng([seed, _STREAM])
    category, shape = draw_object(rng)
    prims = assemble([Placed(category, shape, (0.0, 0.0, 0.0), 0.0, 0, 1 + seed % 997)])
    return SyntheticObject(seed, category, shape, prims, build_tree(prims), studio_lights())


def studio_lights() -> Lights:
    """A wide lamp above, ahead and to the right, ambient light; the same for all objects."""
    key = _lamp((2.2, 2.6, 4.5), 0.7, 19.0, (1.03, 1.0, 0.95))
    ambient = np.array([(0.56, 0.57, 0.59), (0.34, 0.33, 0.32)])
    return pack_lights([key], ambient, _OPEN_AIR)


def _lamp(
    place: tuple[float, float, float], edge: float, strength: float, colour: tuple[float, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A square lamp; ``strength`` over its squared distance is what a facing surface gets."""
    u, v = np.array([edge, 0.0, 0.0]), np.array([0.0, edge, 0.0])
    return np.array(place), u, v, np.zeros(3), strength * np.array(colour)


def photograph(
    thing: SyntheticObject, cameras: Cameras, *, samples: int = 2
) -> tuple[np.ndarray, np.ndarray]:
    """Colour over white [camera, h, w, 3] and coverage [camera, h, w], both uint8."""
    shape = (len(cameras), cameras.height, cameras.width)
    rgb, opacity = np.empty((*shape, 3), np.uint8), np.empty(shape, np.uint8)
    poses = np.ascontiguousarray(cameras.camera_to_world.double().numpy())
    intrinsics = np.ascontiguousarray(cameras.intrinsics.double().numpy())
    cast_object(thing.prims, thing.tree, thing.lights, poses, intrinsics, samples, rgb, opacity)
    return rgb, opacity


def split_path(seed: int) -> CameraPath:
    """How the cameras around an object lie: at random for training, a spiral where held out."""
    return "random" if split_of(seed) == "train" else "spiral"


def seed_cameras(seed: int, views: int, size: int, path: CameraPath) -> Cameras:
    """The cameras around the object of a seed."""
    return object_cameras(views, size, path, np.random.default_rng([seed, _CAMERA_STREAM]))


def object_scene(
    seed: int,
    views: int = 24,
    size: int = 64,
    *,
    path: CameraPath | None = None,
    samples: int = 2,
) -> Scene:
    """Photographs of object ``seed`` from all around, over white, with its mask as opacity.

    Args:
        path: how the cameras lie, see ``object_cameras``; None: as the split of the seed has it.
        samples: rays per pixel, squared.

    Raises:
        ConfigError: a negative seed.
    """
    thing = make_object(seed)
    cameras = seed_cameras(seed, views, size, path or split_path(seed))
    rgb, opacity = photograph(thing, cameras, samples=samples)
    return scene_of(object_name(seed), cameras, rgb, opacity)


def object_name(seed: int) -> str:
    """Name of an object in a set."""
    return f"object-{seed:07d}"


def scene_of(name: str, cameras: Cameras, rgb: np.ndarray, opacity: np.ndarray) -> Scene:
    """A Scene around the photographs of one object."""
    return Scene(
        cameras=cameras,
        images=rgb,
        opacity=opacity,
        names=tuple(f"{name}_{i:04d}.png" for i in range(len(cameras))),
        box=torch.tensor([[-RADIUS] * 3, [RADIUS] * 3]),
        split={"train": tuple(range(len(cameras)))},
        near=NEAR,
        far=FAR,
        up_known=True,
    )
