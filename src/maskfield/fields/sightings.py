"""Which cameras see which points: projection with distortion and a test against distance maps."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float, Int
from numba import njit
from torch import Tensor

from maskfield.fields.threads import Workers
from maskfield.geometry.cameras import Cameras


def sightings(
    cameras: Cameras, reach: Float[Tensor, "camera h w"], points: Float[Tensor, "n 3"]
) -> Int[Tensor, " n"]:
    """Bit c is set where camera c has the point in its image and nearer than ``reach`` there.

    Args:
        cameras: at most 63. reach: distance along the ray, per pixel; may be infinite.
    """
    if len(cameras) > 63:
        raise ValueError(f"63 cameras fit the bits of an integer, not {len(cameras)}")
    poses, lenses = cameras.camera_to_world.numpy(), cameras.intrinsics.numpy()
    warp = cameras.distortion
    bends = np.zeros((len(cameras), 5), lenses.dtype) if warp is None else warp.numpy()
    found = np.zeros(len(points), np.int64)
    maps, where = reach.contiguous().numpy(), points.contiguous().numpy()
    with Workers(torch.get_num_threads()) as workers:
        workers.run(
            lambda _, a, b: _look(where, poses, lenses, bends, maps, a, b, found), len(points)
        )
    return torch.from_numpy(found)


@njit(nogil=True, cache=True)
def _look(points, poses, lenses, bends, reach, first, last, found):
    height, width = reach.shape[1], reach.shape[2]
    for c in range(poses.shape[0]):
        m, k, d = poses[c], lenses[c], bends[c]
        for i in range(first, last):
            x, y, z = points[i, 0] - m[0, 3], points[i, 1] - m[1, 3], points[i, 2] - m[2, 3]
            depth = m[0, 2] * x + m[1, 2] * y + m[2, 2] * z
            if depth <= 0:
                continue
            a = (m[0, 0] * x + m[1, 0] * y + m[2, 0] * z) / depth
            b = (m[0, 1] * x + m[1, 1] * y + m[2, 1] * z) / depth
            r = a * a + b * b
            bend = 1 + r * (d[0] + r * (d[1] + r * d[4]))
            u = k[0] * (a * bend + 2 * d[2] * a * b + d[3] * (r + 2 * a * a)) + k[2]
            v = k[1] * (b * bend + d[2] * (r + 2 * b * b) + 2 * d[3] * a * b) + k[3]
            if u < 0 or v < 0 or u >= width or v >= height:
                continue
            if math.sqrt(x * x + y * y + z * z) <= reach[c, int(v), int(u)]:
                found[i] |= 1 << c
