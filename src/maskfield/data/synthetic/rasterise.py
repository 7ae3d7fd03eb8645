"""Rooms straight to voxels: the radiance and density a field fitted to photographs would hold.

Density lives in a shell below visible surfaces (what is deep inside a solid is never seen), colour
is the shaded colour of the nearest surface point. sd = signed distance, v = voxel size, metres.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numba import njit

from maskfield.data.radiance_grid import NERF_MAE_STEP, DensityKind, RadianceGrid
from maskfield.data.synthetic.bvh import primitive_bounds
from maskfield.data.synthetic.classes import CLASS_NAMES
from maskfield.data.synthetic.lighting import Lights, ambient, display, surface, towards
from maskfield.data.synthetic.primitives import BOX, Record
from maskfield.data.synthetic.room import Room
from maskfield.data.synthetic.shadows import visibility
from maskfield.data.synthetic.solids import Vec, nearest_point, signed_distance, to_object, to_world
from maskfield.geometry.boxes import Boxes3D
from maskfield.geometry.grids import resolution_for_box

SHELL = 2.4  # voxels below the surface where density ends
PEAK_ALPHA = 0.88  # official alpha of a voxel that is full of matter
NGP_SPAN = 1.5  # instant-ngp units of the box's longest side, as in HM3D
_EMPTY = 1e30


class RoomGrids(NamedTuple):
    """A room on voxels.

    radiance: colour and density. labels [x, y, z] int16 class ids, 0 where nothing is.
    instances [x, y, z] int32, row of ``boxes`` + 1. boxes: world frame. class_names: index = id.
    """

    radiance: RadianceGrid
    labels: np.ndarray
    instances: np.ndarray
    boxes: Boxes3D
    class_names: tuple[str, ...]


@njit(cache=True)
def _overlap(middle: float, half: float, v: float) -> float:
    """Share of the interval middle ± v/2 that lies in [-half, half]."""
    return max(0.0, min(middle + 0.5 * v, half) - max(middle - 0.5 * v, -half)) / v


@njit(cache=True)
def _coverage(solid: Record, x: float, y: float, z: float, sd: float, v: float) -> float:
    """Share of a voxel (taken as aligned with the object) that primitive p fills."""
    h = solid.half
    share = _overlap(x, h[0], v) * _overlap(y, h[1], v) * _overlap(z, h[2], v)
    return share if solid.kind == BOX else min(share, min(1.0, max(0.0, 0.5 - sd / v)))


@njit(cache=True, nogil=True)
def _occupy(
    prims: np.ndarray,
    bounds: np.ndarray,
    low: np.ndarray,
    cell: np.ndarray,
    shape: tuple[int, int, int],
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Per voxel: share of matter, of matter that casts shadows, signed distance, its owner."""
    dark = np.zeros(shape, np.float32)
    filled, nearest = np.zeros(shape, np.float32), np.full(shape, _EMPTY, np.float32)
    owner = np.full(shape, -1, np.int32)
    v = (cell[0] * cell[1] * cell[2]) ** (1.0 / 3.0)
    start, stop = np.empty(3, np.int64), np.empty(3, np.int64)
    for p in range(prims.shape[0]):
        solid = prims[p]
        for a in range(3):
            first = np.floor((bounds[p, 0, a] - low[a]) / cell[a] - 0.5)
            last = np.ceil((bounds[p, 1, a] - low[a]) / cell[a] + 0.5)
            start[a], stop[a] = max(0, int(first)), min(shape[a], int(last))
        for i in range(start[0], stop[0]):
            for j in range(start[1], stop[1]):
                for k in range(start[2], stop[2]):
                    q = to_object(
                        solid,
                        low[0] + (i + 0.5) * cell[0] - solid.centre[0],
                        low[1] + (j + 0.5) * cell[1] - solid.centre[1],
                        low[2] + (k + 0.5) * cell[2] - solid.centre[2],
                    )
                    sd = signed_distance(solid, q[0], q[1], q[2])
                    if sd > v:
                        continue
                    share = _coverage(solid, q[0], q[1], q[2], sd, v)
                    if share > 0.0:
                        filled[i, j, k] = 1.0 - (1.0 - filled[i, j, k]) * (1.0 - share)
                        if solid.shadow:
                            dark[i, j, k] = 1.0 - (1.0 - dark[i, j, k]) * (1.0 - share)
                        if sd < nearest[i, j, k]:
                            nearest[i, j, k], owner[i, j, k] = sd, p
    return filled, dark, nearest, owner


@njit(cache=True, nogil=True)
def _rasterise(
    prims: np.ndarray,
    bounds: np.ndarray,
    lights: Lights,
    low: np.ndarray,
    cell: np.ndarray,
    shape: tuple[int, int, int],
    shell: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """rgb [3, x, y, z] display colour, share of matter [x, y, z], labels, instances."""
    filled, dark, nearest, owner = _occupy(prims, bounds, low, cell, shape)
    seen = visibility(lights, dark, low, cell)
    rgb = np.zeros((3, shape[0], shape[1], shape[2]), np.float32)
    labels, instances = np.zeros(shape, np.int16), np.zeros(shape, np.int32)
    v = (cell[0] * cell[1] * cell[2]) ** (1.0 / 3.0)
    for i in range(shape[0]):
        for j in range(shape[1]):
            for k in range(shape[2]):
                depth = -nearest[i, j, k] / v
                filled[i, j, k] *= min(1.0, max(0.0, (shell - depth) / (shell - 0.5)))
                p = owner[i, j, k]
                if p < 0 or filled[i, j, k] < 0.01:
                    filled[i, j, k] = 0.0
                    continue
                x = (
                    low[0] + (i + 0.5) * cell[0],
                    low[1] + (j + 0.5) * cell[1],
                    low[2] + (k + 0.5) * cell[2],
                )
                solid: Record = prims[p]
                x = _surface_point(solid, lights, x)
                c = _shade_voxel(solid, lights, seen, low, cell, x)
                rgb[0, i, j, k], rgb[1, i, j, k] = display(c[0]), display(c[1])
                rgb[2, i, j, k] = display(c[2])
                labels[i, j, k], instances[i, j, k] = solid.label, solid.instance
    return rgb, filled, labels, instances


@njit(cache=True)
def _shade_voxel(
    solid: Record,
    lights: Lights,
    seen: np.ndarray,
    low: np.ndarray,
    cell: np.ndarray,
    x: Vec,
) -> Vec:
    """As ``lighting.shade``, but shadows are looked up in the voxels before the surface."""
    n, albedo = surface(solid, x)
    glow = solid.emission
    if glow > 0.0:
        return (albedo[0] * glow, albedo[1] * glow, albedo[2] * glow)
    a = min(max(int((x[0] - low[0]) / cell[0] + 1.5 * n[0]), 0), seen.shape[1] - 1)
    b = min(max(int((x[1] - low[1]) / cell[1] + 1.5 * n[1]), 0), seen.shape[2] - 1)
    c = min(max(int((x[2] - low[2]) / cell[2] + 1.5 * n[2]), 0), seen.shape[3] - 1)
    red, green, blue = ambient(lights, x, n)
    for i in range(lights.lamps.shape[0]):
        strength, _, _ = towards(lights, i, x, n, 0.0, 0.0)
        strength *= seen[i, a, b, c]
        red += strength * lights.lamps[i].colour[0]
        green += strength * lights.lamps[i].colour[1]
        blue += strength * lights.lamps[i].colour[2]
    e = lights.air[0].exposure
    return (e * red * albedo[0], e * green * albedo[1], e * blue * albedo[2])


@njit(cache=True)
def _surface_point(solid: Record, lights: Lights, x: Vec) -> Vec:
    """Nearest point on the solid; where walls run on behind each other, moved into the room."""
    c = solid.centre
    q = to_object(solid, x[0] - c[0], x[1] - c[1], x[2] - c[2])
    q = nearest_point(solid, q[0], q[1], q[2])
    w = to_world(solid, q[0], q[1], q[2])
    w = (w[0] + c[0], w[1] + c[1], w[2] + c[2])
    low, high = lights.air[0].interior[0], lights.air[0].interior[1]
    away = 0
    for a in range(3):
        away += w[a] < low[a] - 1e-6 or w[a] > high[a] + 1e-6
    if away == 0:
        return w
    return (
        min(max(w[0], low[0]), high[0]),
        min(max(w[1], low[1]), high[1]),
        min(max(w[2], low[2]), high[2]),
    )


def peak_sigma_ngp() -> float:
    """Density of a full voxel per instant-ngp unit: 1 - exp(-sigma * 0.01) = PEAK_ALPHA."""
    return float(-np.log(1.0 - PEAK_ALPHA) / NERF_MAE_STEP)


def rasterise_room(
    room: Room, resolution: int = 64, *, density_kind: DensityKind = "sigma", shell: float = SHELL
) -> RoomGrids:
    """A room as a radiance grid with labels, instances and boxes; no photographs are taken.

    Args:
        room: the room; the grid spans ``room.box``.
        resolution: voxels along the longest side; voxels are near-cubic.
        density_kind: "sigma" (per metre) or "alpha" (the official rule already applied).
        shell: voxels below the surface where density ends.

    Returns:
        RoomGrids; colours are display colours as in the photographs, 0 where nothing is.
    """
    shape = resolution_for_box(room.box, resolution)
    low, high = room.box.double().numpy()
    cell = (high - low) / np.array(shape)
    rgb, filled, labels, instances = _rasterise(
        room.prims, primitive_bounds(room.prims), room.lights, low, cell, shape, float(shell)
    )
    scale = NGP_SPAN / float((high - low).max())
    share = torch.from_numpy(filled)[None]
    sigma_ngp = share * peak_sigma_ngp()
    alpha = density_kind == "alpha"
    grid = RadianceGrid(
        rgb=torch.from_numpy(rgb),
        density=1 - torch.exp(-sigma_ngp * NERF_MAE_STEP) if alpha else sigma_ngp * scale,
        box=room.box,
        density_kind=density_kind,
        unit_length_m=1.0,
        ngp_scale=scale,
        ngp_offset=_offset(scale, 0.5 * (low + high)),
    )
    return RoomGrids(grid, labels, instances, room.boxes, CLASS_NAMES)


def _offset(scale: float, centre: np.ndarray) -> tuple[float, float, float]:
    x, y, z = (0.5 - scale * centre).tolist()
    return x, y, z
