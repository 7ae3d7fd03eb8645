"""Cameras all around an object: at one distance, looking at the origin (SRN's convention)."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch

from maskfield.geometry.camera_paths import look_at
from maskfield.geometry.cameras import Cameras

DISTANCE, NEAR, FAR = 1.3, 0.8, 1.8
FOCAL_128 = 131.25  # pixels, for images of 128 pixels
ELEVATION = (-5.0, 60.0)  # degrees
CameraPath = Literal["random", "spiral"]


def object_cameras(
    views: int, size: int, path: CameraPath, rng: np.random.Generator | None = None
) -> Cameras:
    """``views`` cameras on the sphere of ``DISTANCE``, square images of ``size`` pixels.

    Args:
        path: "random": uniform over the band of ``ELEVATION``; "spiral": from its lower to its
            upper edge in even turns, the same for every object.
        rng: draws the random cameras; a spiral needs none.
    """
    low, high = (math.sin(math.radians(e)) for e in ELEVATION)
    if path == "spiral":
        share = (np.arange(views) + 0.5) / views
        z, turn = low + (high - low) * share, 2 * math.pi * max(1, round(0.8 * views**0.5)) * share
    else:
        rng = rng or np.random.default_rng(0)
        z, turn = rng.uniform(low, high, views), rng.uniform(0, 2 * math.pi, views)
    flat = np.sqrt(1 - z * z)
    eye = torch.from_numpy(DISTANCE * np.stack([flat * np.cos(turn), flat * np.sin(turn), z], 1))
    focal = FOCAL_128 * size / 128
    k = torch.tensor([focal, focal, size / 2, size / 2], dtype=torch.float32)
    return Cameras(
        camera_to_world=look_at(eye, torch.zeros_like(eye)).float(),
        intrinsics=k.repeat(views, 1),
        width=size,
        height=size,
    )
