"""Photographs by casting rays.

Rooms: colour, depth, instance and class per pixel. Single objects: colour over white and coverage.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange

from maskfield.data.synthetic.bvh import first_hit
from maskfield.data.synthetic.lighting import Lights, display, shade
from maskfield.data.synthetic.solids import Vec

_SKY = (0.55, 0.70, 0.88)  # linear light where a ray meets nothing


@njit(cache=True)
def measure_light(prims: np.ndarray, tree: np.ndarray, lights: Lights, eye: np.ndarray) -> float:
    """Mean linear light of what is seen all around from ``eye`` (glowing surfaces left out)."""
    total, seen, count = 0.0, 0, 192
    for i in range(count):
        z = 1.0 - (2.0 * i + 1.0) / count
        r, turn = math.sqrt(1.0 - z * z), 2.399963 * i
        o, d = (eye[0], eye[1], eye[2]), (r * math.cos(turn), r * math.sin(turn), z)
        p, t = first_hit(prims, tree, o, d)
        if p < 0 or prims[p].emission > 0.0:
            continue
        x = (o[0] + t * d[0], o[1] + t * d[1], o[2] + t * d[2])
        c = shade(prims, tree, lights, p, x, 0.618 * i, 0.755 * i)
        total += 0.25 * c[0] + 0.6 * c[1] + 0.15 * c[2]
        seen += 1
    return total / max(seen, 1)


@njit(cache=True)
def _direction(pose: np.ndarray, k: np.ndarray, u: float, v: float) -> Vec:
    """World direction through image point (u, v) with camera z = 1: distances are depths."""
    x, y = (u - k[2]) / k[0], (v - k[3]) / k[1]
    return (
        pose[0, 0] * x + pose[0, 1] * y + pose[0, 2],
        pose[1, 0] * x + pose[1, 1] * y + pose[1, 2],
        pose[2, 0] * x + pose[2, 1] * y + pose[2, 2],
    )


@njit(cache=True)
def _look(
    prims: np.ndarray, tree: np.ndarray, lights: Lights, o: Vec, d: Vec, a: float, b: float
) -> Vec:
    """Display colour seen along one ray."""
    p, t = first_hit(prims, tree, o, d)
    if p < 0:
        return (display(_SKY[0]), display(_SKY[1]), display(_SKY[2]))
    x = (o[0] + t * d[0], o[1] + t * d[1], o[2] + t * d[2])
    c = shade(prims, tree, lights, p, x, a, b)
    return (display(c[0]), display(c[1]), display(c[2]))


@njit(parallel=True, cache=True)
def cast_images(
    prims: np.ndarray,
    tree: np.ndarray,
    lights: Lights,
    poses: np.ndarray,
    intrinsics: np.ndarray,
    samples: int,
    rgb: np.ndarray,
    depth: np.ndarray,
    instance: np.ndarray,
    semantic: np.ndarray,
) -> None:
    """Fill the images [camera, height, width, ...].

    Colour is the mean of ``samples`` x ``samples`` rays per pixel, each looking at its own point of
    every light; depth and ids belong to the ray through the pixel centre. Every pixel is computed
    alone, so the result does not depend on the number of threads.
    """
    cameras, height, width = depth.shape
    for row in prange(cameras * height):
        i, v = row // height, row % height
        pose, k = poses[i], intrinsics[i]
        o = (pose[0, 3], pose[1, 3], pose[2, 3])
        for u in range(width):
            p, t = first_hit(prims, tree, o, _direction(pose, k, u + 0.5, v + 0.5))
            depth[i, v, u] = t if p >= 0 else 0.0
            instance[i, v, u] = prims[p].instance if p >= 0 else 0
            semantic[i, v, u] = prims[p].label if p >= 0 else 0
            # a low-discrepancy pattern over the pixels keeps the grain of soft shadows fine
            shift, lift = 0.7548776662 * u + 0.5698402910 * v, 0.5698402910 * u - 0.7548776662 * v
            red, green, blue = 0.0, 0.0, 0.0
            for s in range(samples * samples):
                a, b = (s % samples + 0.5) / samples, (s // samples + 0.5) / samples
                d = _direction(pose, k, u + a, v + b)
                c = _look(prims, tree, lights, o, d, a + shift, b + lift)
                red, green, blue = red + c[0], green + c[1], blue + c[2]
            scale = 255.0 / (samples * samples)
            rgb[i, v, u, 0] = np.uint8(red * scale + 0.5)
            rgb[i, v, u, 1] = np.uint8(green * scale + 0.5)
            rgb[i, v, u, 2] = np.uint8(blue * scale + 0.5)


@njit(nogil=True, cache=True)
def cast_object(
    prims: np.ndarray,
    tree: np.ndarray,
    lights: Lights,
    poses: np.ndarray,
    intrinsics: np.ndarray,
    samples: int,
    rgb: np.ndarray,
    opacity: np.ndarray,
) -> None:
    """Fill colour over white [camera, height, width, 3] and coverage [camera, height, width].

    Both are means over ``samples`` x ``samples`` rays per pixel, so that edges are smooth; 255 is
    white, or fully covered. One thread: objects are many and small, threads share them out.
    """
    cameras, height, width = opacity.shape
    scale = 255.0 / (samples * samples)
    for i in range(cameras):
        pose, k = poses[i], intrinsics[i]
        o = (pose[0, 3], pose[1, 3], pose[2, 3])
        for v in range(height):
            for u in range(width):
                shift, lift = 0.7548776662 * u + 0.569840291 * v, 0.569840291 * u - 0.7548776662 * v
                red, green, blue, hits = 0.0, 0.0, 0.0, 0
                for s in range(samples * samples):
                    a, b = (s % samples + 0.5) / samples, (s // samples + 0.5) / samples
                    d = _direction(pose, k, u + a, v + b)
                    p, t = first_hit(prims, tree, o, d)
                    if p < 0:
                        continue
                    x = (o[0] + t * d[0], o[1] + t * d[1], o[2] + t * d[2])
                    c = shade(prims, tree, lights, p, x, a + shift, b + lift)
                    red, green, blue = (
                        red + display(c[0]),
                        green + display(c[1]),
                        blue + display(c[2]),
                    )
                    hits += 1
                white = samples * samples - hits
                rgb[i, v, u, 0] = np.uint8((red + white) * scale + 0.5)
                rgb[i, v, u, 1] = np.uint8((green + white) * scale + 0.5)
                rgb[i, v, u, 2] = np.uint8((blue + white) * scale + 0.5)
                opacity[i, v, u] = np.uint8(hits * scale + 0.5)
