"""Photographs of rooms as arrays and as a Scene."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from maskfield.core.errors import SceneError
from maskfield.data.scene import Scene, with_split
from maskfield.data.synthetic.casting import cast_images
from maskfield.data.synthetic.classes import CLASS_NAMES
from maskfield.data.synthetic.config import RoomConfig
from maskfield.data.synthetic.room import Room, build_room
from maskfield.data.synthetic.trajectories import CLEARANCE, room_cameras
from maskfield.geometry.cameras import Cameras


class RoomImages(NamedTuple):
    """Images of one room, [camera, height, width].

    rgb uint8 (+ channel), depth float32 metres along camera z (0 = nothing), instance int32
    (row of ``room.boxes`` + 1, 0 = nothing), semantic int16 class ids.
    """

    rgb: np.ndarray
    depth: np.ndarray
    instance: np.ndarray
    semantic: np.ndarray


def render_room(room: Room, cameras: Cameras, *, samples: int = 2) -> RoomImages:
    """Photograph a room; ``samples`` squared rays per pixel and as many points per light.

    Raises:
        SceneError: the cameras have lens distortion, which the simulator does not know.
    """
    if cameras.distortion is not None:
        raise SceneError(
            "procedural photographs are taken with ideal pinholes",
            field="cameras.distortion",
            remedy="leave the distortion out",
        )
    shape = (len(cameras), cameras.height, cameras.width)
    images = RoomImages(
        rgb=np.empty((*shape, 3), np.uint8),
        depth=np.empty(shape, np.float32),
        instance=np.empty(shape, np.int32),
        semantic=np.empty(shape, np.int16),
    )
    poses = np.ascontiguousarray(cameras.camera_to_world.double().numpy())
    intrinsics = np.ascontiguousarray(cameras.intrinsics.double().numpy())
    cast_images(room.prims, room.tree, room.lights, poses, intrinsics, samples, *images)
    return images


def room_scene(
    seed: int,
    views: int = 100,
    width: int = 160,
    height: int = 120,
    *,
    holdout: int = 8,
    fov: float = 75.0,
    samples: int = 2,
    config: RoomConfig | None = None,
) -> Scene:
    """A metric Scene of room ``seed``: posed photographs, depth, instances, semantics, boxes.

    Every ``holdout``-th view is for testing (0: none). Same arguments, same bits.
    """
    room = build_room(seed, config or RoomConfig())
    cameras = room_cameras(room, views, width, height, fov=fov)
    images = render_room(room, cameras, samples=samples)
    scene = Scene(
        cameras=cameras,
        images=images.rgb,
        names=tuple(f"room{seed:06d}_{i:04d}.png" for i in range(views)),
        box=room.box,
        split={},
        depths=images.depth,
        instances=images.instance,
        semantics=images.semantic,
        boxes=room.boxes,
        class_names=CLASS_NAMES,
        near=CLEARANCE / 2,
        far=float(torch.linalg.norm(room.box[1] - room.box[0])),
        metric=True,
        up_known=True,
        unit_length_m=1.0,
    )
    return with_split(scene, holdout).validated(f"room {seed}")
