"""Which cells of a box may hold matter: a conservative grid that lets samplers skip the rest."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from maskfield.core.errors import ConfigError, GridError
from maskfield.geometry.grids import voxel_centres
from maskfield.ops.march import cell_index
from maskfield.rendering.field import Field, FieldOutput, RaySamples

_CELLS_AT_ONCE = 65536


@dataclass(frozen=True, kw_only=True, eq=False)
class OccupancyGrid:
    """Cells of a world box with the density seen in them.

    Attributes:
        density: [x, y, z] running estimate of the largest density in each cell, 1 / scene unit.
        occupied: [x, y, z] True where that estimate, dilated, exceeds ``threshold``.
        box: [2, 3] world-frame min and max. threshold: density below which a cell counts as empty.
        dilation: by how many cells occupied space is grown. 1 makes a grid of voxel densities
            exact for trilinear look-ups, which reach half a voxel beyond a cell.
    """

    density: Float[Tensor, "x y z"]
    occupied: Bool[Tensor, "x y z"]
    box: Float[Tensor, "2 3"]
    threshold: float
    dilation: int = 1

    @staticmethod
    def from_density(
        density: Float[Tensor, "x y z"],
        box: Float[Tensor, "2 3"],
        *,
        threshold: float = 0.0,
        dilation: int = 1,
        coarsen: int = 1,
    ) -> OccupancyGrid:
        """From voxel densities; a cell covers ``coarsen``³ voxels and holds their maximum.

        Raises:
            GridError: NaN in the density, or a size that ``coarsen`` does not divide.
        """
        _check_density(density, coarsen)
        # grown at the fine resolution, before coarsening: the tightest grid that is conservative
        grown = dilate(density, dilation)
        return OccupancyGrid(
            density=_max_pool(density, coarsen, stride=coarsen, padding=0),
            occupied=_max_pool(grown, coarsen, stride=coarsen, padding=0) > threshold,
            box=box.to(density.device),
            threshold=threshold,
            dilation=dilation,
        )

    @staticmethod
    def full(
        box: Float[Tensor, "2 3"],
        resolution: tuple[int, int, int],
        *,
        threshold: float = 0.01,
        dilation: int = 1,
    ) -> OccupancyGrid:
        """All cells occupied: the start of a fit, before anything is known."""
        return OccupancyGrid(
            density=torch.full(resolution, torch.inf, device=box.device),
            occupied=torch.ones(resolution, dtype=torch.bool, device=box.device),
            box=box,
            threshold=threshold,
            dilation=dilation,
        )

    @property
    def resolution(self) -> tuple[int, int, int]:
        x, y, z = self.occupied.shape
        return x, y, z

    @property
    def share(self) -> float:
        """Share of cells that are occupied."""
        return float(self.occupied.float().mean())

    def updated(
        self, field: Field, *, decay: float = 0.95, generator: torch.Generator | None = None
    ) -> OccupancyGrid:
        """A grid that has looked at ``field`` again: density = max(decay * old, seen now).

        Each cell is seen at its centre, or at one random point of it when a generator is given;
        several updates then see all of a cell. ``decay`` 0 forgets the past.
        """
        seen = self._look(field, generator)
        old = torch.where(torch.isinf(self.density), torch.zeros_like(seen), self.density.to(seen))
        density = torch.maximum(old * decay, seen)
        return replace(
            self, density=density, occupied=dilate(density, self.dilation) > self.threshold
        )

    def query(self, points: Float[Tensor, "*n 3"]) -> Bool[Tensor, "*n"]:
        """Whether world points lie in the box and in an occupied cell."""
        box = self.box.to(points)
        inside = ((points >= box[0]) & (points <= box[1])).all(-1)
        return inside & self.occupied[cell_index(points, box, self.resolution)]

    def to(self, device: torch.device | str) -> OccupancyGrid:
        return replace(
            self,
            density=self.density.to(device),
            occupied=self.occupied.to(device),
            box=self.box.to(device),
        )

    @torch.no_grad()
    def _look(self, field: Field, generator: torch.Generator | None) -> Tensor:
        points = voxel_centres(self.box.to(self.density), self.resolution).reshape(-1, 3)
        size = (self.box[1] - self.box[0]).to(points) / torch.tensor(self.resolution).to(points)
        if generator is not None:
            drawn = torch.rand(points.shape, generator=generator, device=generator.device)
            points = points + (drawn.to(points) - 0.5) * size
        step = float(size.min())
        parts = [density_at(field, part, step) for part in points.split(_CELLS_AT_ONCE)]
        return torch.cat(parts).reshape(self.resolution).to(self.density.dtype)


def density_at(
    field: Field, points: Float[Tensor, "point 3"], step: float
) -> Float[Tensor, " point"]:
    """Density of a field at world points, seen along +z; alpha is taken to belong to ``step``.

    Raises:
        ConfigError: the field answers with weights, which exist along a ray only.
    """
    flat = torch.full_like(points[:, :1], step)
    along = torch.zeros_like(points)
    along[:, 2] = 1
    output = field(
        RaySamples(
            points=points[:, None],
            directions=along[:, None],
            t=torch.zeros_like(flat),
            delta=flat,
            mask=torch.ones_like(flat, dtype=torch.bool),
        )
    )
    return _density(output, step)[:, 0]


def _density(output: FieldOutput, step: float) -> Tensor:
    if output.density is not None:
        return output.density
    if output.alpha is None:
        raise ConfigError(
            "a field that answers with weights has no density at a point",
            field="occupancy",
            remedy="use a stratified or importance sampler for this field",
        )
    return -torch.log1p(-output.alpha.clamp_max(1 - 1e-7)) / step


def dilate(density: Float[Tensor, "x y z"], cells: int) -> Float[Tensor, "x y z"]:
    """Largest value within ``cells`` cells in each direction."""
    return density if cells == 0 else _max_pool(density, 2 * cells + 1, stride=1, padding=cells)


def _max_pool(density: Tensor, kernel: int, stride: int, padding: int) -> Tensor:
    return F.max_pool3d(density[None, None], kernel, stride, padding)[0, 0]


def _check_density(density: Tensor, coarsen: int) -> None:
    if torch.isnan(density).any():
        raise GridError(
            "the density holds NaN", field="density", remedy="repair the field or the grid first"
        )
    if coarsen < 1 or any(n % coarsen for n in density.shape):
        raise GridError(
            "a coarser occupancy grid needs sizes that its factor divides",
            field="coarsen",
            value=(coarsen, tuple(density.shape)),
            remedy="choose a factor that divides all three sizes, or coarsen=1",
        )
