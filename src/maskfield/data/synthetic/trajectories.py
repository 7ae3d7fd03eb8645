"""Cameras inside a room: spread around the walls at different heights, looking at furniture."""

from __future__ import annotations

import math

import numpy as np
import torch
from numba import njit

from maskfield.core.errors import DataError
from maskfield.data.synthetic.bvh import first_hit
from maskfield.data.synthetic.classes import CLASS_ID, FURNITURE
from maskfield.data.synthetic.room import Room
from maskfield.data.synthetic.solids import signed_distance, to_object
from maskfield.geometry.cameras import Cameras

CLEARANCE = 0.22  # metres between a camera and the nearest surface
STEEPEST = 0.6  # largest vertical part of a viewing direction
_STREAM = 0x43616D73
_TRIES = 200


@njit(cache=True)
def distance_to_surface(prims: np.ndarray, x: float, y: float, z: float) -> float:
    """Metres from a world point to the nearest surface, negative inside a solid."""
    best = 1e30
    for p in range(prims.shape[0]):
        c = prims[p].centre
        q = to_object(prims[p], x - c[0], y - c[1], z - c[2])
        best = min(best, signed_distance(prims[p], q[0], q[1], q[2]))
    return best


@njit(cache=True)
def view_depth(prims: np.ndarray, tree: np.ndarray, pose: np.ndarray, slope: float) -> float:
    """Smallest depth on five rays, ahead and half-way to the sides; ``slope`` = tan(fov / 2)."""
    o, nearest = (pose[0, 3], pose[1, 3], pose[2, 3]), 1e30
    for i in range(5):
        x = 0.5 * slope * ((i == 1) - (i == 2))
        y = 0.4 * slope * ((i == 3) - (i == 4))
        d = (
            pose[0, 0] * x + pose[0, 1] * y + pose[0, 2],
            pose[1, 0] * x + pose[1, 1] * y + pose[1, 2],
            pose[2, 0] * x + pose[2, 1] * y + pose[2, 2],
        )
        nearest = min(nearest, first_hit(prims, tree, o, d)[1])
    return nearest


def look_at(eye: np.ndarray, target: np.ndarray) -> np.ndarray:
    """OpenCV camera-to-world [3, 4] at ``eye`` looking at ``target``, no roll, Z up."""
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, (0.0, 0.0, 1.0))
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    return np.stack([right, down, forward, eye], axis=1)


def room_cameras(
    room: Room, views: int, width: int = 160, height: int = 120, *, fov: float = 75.0, seed: int = 0
) -> Cameras:
    """``views`` cameras in free space, evenly around the walls; ``fov`` = horizontal, degrees.

    Raises:
        DataError: no free place was found (a room packed to the ceiling).
    """
    rng = np.random.default_rng([room.seed, seed, _STREAM])
    slope = math.tan(math.radians(fov) / 2)
    poses = np.stack([_free_view(room, i / views, slope, rng) for i in range(views)])
    focal = width / 2 / slope
    intrinsics = torch.tensor([[focal, focal, width / 2, height / 2]]).repeat(views, 1)
    return Cameras(
        camera_to_world=torch.from_numpy(poses).float(),
        intrinsics=intrinsics,
        width=width,
        height=height,
    )


def _free_view(room: Room, place: float, slope: float, rng: np.random.Generator) -> np.ndarray:
    """The first drawn view that stands clear and does not stare at something close."""
    best, widest = None, 0.0
    for attempt in range(_TRIES):
        pose = look_at(_eye(room, place, attempt, rng), _target(room, rng))
        x, y, z = pose[:, 3]
        if abs(pose[2, 2]) > STEEPEST or distance_to_surface(room.prims, x, y, z) < CLEARANCE:
            continue
        depth = view_depth(room.prims, room.tree, pose, slope)
        if depth > 0.9:
            return pose
        if depth > widest:
            best, widest = pose, depth
    if best is None:
        raise DataError(
            "no free place for a camera",
            field="seed",
            value=room.seed,
            remedy="use another seed or fewer pieces of furniture",
        )
    return best


def _eye(room: Room, place: float, attempt: int, rng: np.random.Generator) -> np.ndarray:
    """A point on a ring around the room's middle; later attempts stray further."""
    low, high = room.interior
    angle = 2 * math.pi * (place + rng.normal(0, 0.01 + 0.004 * attempt))
    c, s = math.cos(angle), math.sin(angle)
    reach = rng.uniform(0.55, 0.97) / max(abs(c), abs(s)) ** 0.8
    half = 0.5 * (high - low)[:2] - 0.28
    xy = np.clip(np.array([c, s]) * reach, -1, 1) * half
    return np.array([xy[0], xy[1], rng.uniform(0.75, min(2.0, high[2] - 0.35))])


def _target(room: Room, rng: np.random.Generator) -> np.ndarray:
    """Mostly a piece of furniture, else any point of the room; never straight above or below."""
    low, high = room.interior
    last = CLASS_ID[FURNITURE[-1]]
    furniture = [i for i, t in enumerate(room.things) if t.label <= last and t.position[2] < 1.0]
    if furniture and rng.random() < 0.7:
        box = room.boxes.centre[furniture[int(rng.integers(len(furniture)))]].double().numpy()
        return box + rng.normal(0, 0.25, 3) * (1, 1, 0.6)
    return low + (high - low) * rng.uniform((0.15, 0.15, 0.1), (0.85, 0.85, 0.75))
