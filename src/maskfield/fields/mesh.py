"""The surface of a field as triangles: marching cubes over its density on a regular lattice."""

from __future__ import annotations

import importlib.util
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from maskfield.core.errors import ConfigError, DataError, MissingPartError
from maskfield.fields.points import ask, point_density
from maskfield.geometry.grids import grid_nodes, resolution_for_box
from maskfield.rendering.field import Field

_AT_ONCE = 1 << 14  # image-conditioned fields keep some 20 kB per point
MeshCompat = Literal["maskfield", "official"]


@dataclass(frozen=True, kw_only=True)
class Mesh:
    """Triangles with outward normals.

    Attributes:
        vertices: [vertex, 3], world frame. normals: [vertex, 3] unit, out of the matter.
        triangles: [triangle, 3] indices of vertices, counter-clockwise seen from outside.
        colours: [vertex, 3] in [0, 1], where the mesh has them.
    """

    vertices: Float[Tensor, "vertex 3"]
    normals: Float[Tensor, "vertex 3"]
    triangles: Int[Tensor, "triangle 3"]
    colours: Float[Tensor, "vertex 3"] | None = None


def isosurface(
    values: Float[Tensor, "x y z"],
    level: float,
    box: Float[Tensor, "2 3"],
    *,
    compat: MeshCompat = "maskfield",
) -> Mesh:
    """The surface where ``values`` cross ``level``; greater values are inside.

    Args:
        values: at the nodes of a lattice whose outermost nodes lie on the box.
        box: [2, 3] world-frame min and max.
        compat: "official": pixelNeRF's step (max - min) / n between nodes instead of
            (max - min) / (n - 1), which shrinks the mesh towards ``box[0]`` (spec 10, Q22).

    Raises:
        MissingPartError: scikit-image is not installed. ConfigError: unknown ``compat``.
        DataError: fewer than two nodes on an axis, or the level is never crossed.
    """
    require_skimage()
    from skimage.measure import marching_cubes

    _check(values, level, compat)
    found, triangles, normals, _ = marching_cubes(
        values.detach().double().cpu().numpy(),
        level,
        gradient_direction="ascent",  # in our axes this turns the triangles outwards
    )
    nodes = torch.tensor(values.shape, dtype=torch.float64)
    step = (box[1] - box[0]).double().cpu() / (nodes if compat == "official" else nodes - 1)
    vertices = torch.from_numpy(found.astype(np.float64)) * step + box[0].double().cpu()
    outward = torch.from_numpy(normals.astype(np.float64)) / step
    return Mesh(
        vertices=vertices.float(),
        normals=F.normalize(outward, dim=-1).float(),
        triangles=torch.from_numpy(triangles.astype(np.int64)),
    )


@torch.no_grad()
def field_mesh(
    field: Field,
    box: Float[Tensor, "2 3"],
    *,
    longest: int = 128,
    level: float | None = None,
    coloured: bool = True,
    compat: MeshCompat = "maskfield",
) -> Mesh:
    """The surface of any field that has a density at a point.

    The density is asked for as seen by somebody outside who looks at the middle of the box; colours
    are those seen straight on.

    Args:
        box: world box to search. longest: nodes along its longest side.
        level: density of the surface, 1 / scene unit; unless given, that of which one step of the
            lattice stops half of the light (44 for 128 nodes on a box of side 2, where pixelNeRF
            takes 50), or half the greatest density of a field that is fainter.

    Raises:
        MissingPartError, ConfigError, DataError: as :func:`isosurface`; ConfigError also for a
            field that attends along rays.
    """
    require_skimage()
    shape = _lattice(box, longest)
    nodes = grid_nodes(box.float(), shape).reshape(-1, 3)
    inward = F.normalize(box.float().mean(0) - nodes, dim=-1)
    parts = zip(nodes.split(_AT_ONCE), inward.split(_AT_ONCE), strict=True)
    density = torch.cat([point_density(field, p, d).float() for p, d in parts])
    step = float((box[1] - box[0]).max()) / (longest - 1)
    natural = min(math.log(2) / step, float(density.max()) / 2)
    chosen = natural if level is None else level
    mesh = isosurface(density.reshape(shape), chosen, box, compat=compat)
    return _coloured(mesh, field) if coloured else mesh


def require_skimage() -> None:
    """Raises MissingPartError without scikit-image."""
    if importlib.util.find_spec("skimage") is None:
        raise MissingPartError(
            "meshes need scikit-image, which is not installed",
            field="skimage",
            remedy="pip install 'maskfield[image]'",
        )


def _coloured(mesh: Mesh, field: Field) -> Mesh:
    parts = zip(mesh.vertices.split(_AT_ONCE), mesh.normals.split(_AT_ONCE), strict=True)
    colours = [ask(field, p, -n).colour[:, 0].float().clamp(0, 1) for p, n in parts]
    return Mesh(
        vertices=mesh.vertices,
        normals=mesh.normals,
        triangles=mesh.triangles,
        colours=torch.cat(colours),
    )


def _lattice(box: Float[Tensor, "2 3"], longest: int) -> tuple[int, int, int]:
    if not 8 <= longest <= 1024:
        raise ConfigError(
            "out of range", field="longest", value=longest, remedy="give 8 to 1024 nodes"
        )
    x, y, z = resolution_for_box(box, longest)
    return max(x, 2), max(y, 2), max(z, 2)


def _check(values: Tensor, level: float, compat: str) -> None:
    if compat not in ("maskfield", "official"):
        raise ConfigError(
            "unknown way of placing vertices",
            field="compat",
            value=compat,
            remedy='choose "maskfield" or "official"',
        )
    if values.ndim != 3 or min(values.shape) < 2:
        raise DataError(
            "a surface needs values at two nodes or more along every axis",
            field="values",
            value=tuple(values.shape),
            remedy="sample the field on a finer lattice",
        )
    lowest, highest = float(values.min()), float(values.max())
    if not lowest < level < highest:
        raise DataError(
            "the field has no surface of this density",
            field="level",
            value=level,
            remedy=f"give a level between the least and the greatest density found, "
            f"{lowest:.4g} and {highest:.4g}",
        )
