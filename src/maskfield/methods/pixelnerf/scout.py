"""Where along an image's rays there may be something: a coarse lattice of questions, asked first.

The lattice fills the frustum of the rays, two rays wide and a coarse sample deep. One in
``_PHASES`` of its cells is asked, neighbouring columns at different depths, so that neither a thin
rod nor a thin sheet passes between; what is found is then grown by ``_GROW`` cells. Questions are
asked in the viewing direction of the rays, since densities depend on it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from maskfield.geometry.rays import Rays

Find = Callable[[Float[Tensor, "point 3"], Float[Tensor, "point 3"]], Bool[Tensor, " point"]]

_WIDE = 2.0  # rays per cell and axis
_PHASES = 4  # of the cells of a column that one question answers for
_OFFSETS = ((0, 2), (3, 1))  # which of these a column asks, by its parity
_GROW: tuple[int, int, int] = (2, 2, 3)  # cells by which what is found grows: across, across, along
_LEAST_FORWARD = 0.2  # cosine to the mean direction, beyond which rays do not make a frustum
_SAME_ORIGIN = 1e-5  # of the distance to far


@dataclass(frozen=True, kw_only=True)
class Frustum:
    """Rays of one camera as a lattice: two axes across, one along the rays.

    Attributes:
        origin: [3]. axes: [3, 3] rows right, down, forward.
        low: [2] smallest slopes, where the first columns are. cell: slope per cell.
        near, far: of all rays. cells: across, across, along.
    """

    origin: Float[Tensor, " 3"]
    axes: Float[Tensor, "3 3"]
    low: Float[Tensor, " 2"]
    cell: float
    near: float
    far: float
    cells: tuple[int, int, int]

    def columns(self, directions: Float[Tensor, "ray 3"]) -> Int[Tensor, "ray 2"]:
        """The column that each ray runs in."""
        place = (_slopes(directions, self.axes) - self.low) / self.cell + 0.5
        last = torch.tensor(self.cells[:2], device=place.device) - 1
        return place.floor().long().clamp_min(0).minimum(last)

    def depths(self, t: Float[Tensor, "ray sample"]) -> Int[Tensor, "ray sample"]:
        """The cell along a column at each distance."""
        share = (t - self.near) / max(self.far - self.near, 1e-12)
        return (share * self.cells[2]).floor().long().clamp(0, self.cells[2] - 1)


@dataclass(frozen=True, kw_only=True)
class Scouted:
    """What is known of a frustum.

    Attributes:
        occupied: [x, y, depth] False where nothing was found round about.
    """

    frustum: Frustum
    occupied: Bool[Tensor, "x y z"]

    def at(
        self, directions: Float[Tensor, "ray 3"], t: Float[Tensor, "ray sample"]
    ) -> Bool[Tensor, "ray sample"]:
        """Whether samples on rays of the frustum may meet something."""
        column = self.frustum.columns(directions)
        flat = (column[:, 0] * self.frustum.cells[1] + column[:, 1]) * self.frustum.cells[2]
        return self.occupied.flatten()[flat[:, None] + self.frustum.depths(t)]


def scout(rays: Rays, depth_cells: int, find: Find) -> Scouted | None:
    """Ask a lattice in the frustum of ``rays``; None where they do not come from one camera.

    Args:
        depth_cells: cells along the rays.
        find: whether there may be something at points, seen in directions.
    """
    frustum = frustum_of(rays, depth_cells)
    if frustum is None:
        return None
    index = _asked(frustum, rays.origins.device)
    points, directions = _places(frustum, index)
    occupied = torch.zeros(frustum.cells, device=points.device)
    occupied[index.unbind(1)] = find(points, directions).to(occupied.dtype)
    size = tuple(2 * g + 1 for g in _GROW)
    grown = F.max_pool3d(occupied[None], size, stride=1, padding=_GROW)[0]
    return Scouted(frustum=frustum, occupied=grown > 0)


def frustum_of(rays: Rays, depth_cells: int) -> Frustum | None:
    """The lattice that rays from one point fill; None where they come from several, or scatter."""
    if len(rays) == 0:
        return None
    far, origin = float(rays.far.max()), rays.origins[0]
    apart = float((rays.origins - origin).abs().max())
    forward = F.normalize(rays.directions.mean(0), dim=0)
    ahead = float((rays.directions @ forward).min())
    if apart > _SAME_ORIGIN * far or not ahead > _LEAST_FORWARD:
        return None
    axes = _axes(forward)
    slopes = _slopes(rays.directions, axes)
    low, high = slopes.amin(0), slopes.amax(0)
    extent = (high - low).clamp_min(1e-6)
    cell = _WIDE * float((extent.prod() / len(rays)).sqrt())
    across = [math.ceil(n) + 1 for n in (extent / cell).tolist()]
    return Frustum(
        origin=origin,
        axes=axes,
        low=low,
        cell=cell,
        near=float(rays.near.min()),
        far=far,
        cells=(across[0], across[1], depth_cells),
    )


def _asked(frustum: Frustum, device: torch.device) -> Int[Tensor, "n 3"]:
    """Cells of the lattice that are asked."""
    x, y, z = (torch.arange(n, device=device) for n in frustum.cells)
    offsets = torch.tensor(_OFFSETS, device=device)[x[:, None] % 2, y[None, :] % 2]
    chosen = (z % _PHASES)[None, None] == offsets[..., None]
    chosen[..., -1] = True  # what begins here has no other chance
    return chosen.nonzero()


def _places(frustum: Frustum, index: Tensor) -> tuple[Tensor, Tensor]:
    """Centres of cells, and the directions in which they are seen."""
    share = index.to(frustum.low.dtype)
    slopes = frustum.low + share[:, :2] * frustum.cell
    local = torch.cat([slopes, torch.ones_like(slopes[:, :1])], dim=1)
    directions = F.normalize(local, dim=1) @ frustum.axes
    t = frustum.near + (share[:, 2:] + 0.5) / frustum.cells[2] * (frustum.far - frustum.near)
    return frustum.origin + t * directions, directions


def _axes(forward: Float[Tensor, " 3"]) -> Float[Tensor, "3 3"]:
    """Any right-handed axes round a direction."""
    other = torch.zeros_like(forward)
    other[int(forward.abs().argmin())] = 1.0
    right = F.normalize(torch.linalg.cross(forward, other), dim=0)
    return torch.stack([right, torch.linalg.cross(forward, right), forward])


def _slopes(directions: Tensor, axes: Tensor) -> Tensor:
    """x / z and y / z of directions in the axes of a frustum."""
    local = directions @ axes.T
    return local[:, :2] / local[:, 2:].clamp_min(1e-6)
