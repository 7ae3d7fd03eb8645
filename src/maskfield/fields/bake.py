"""Any Field as a VoxelField: density and view-dependent colour sampled on voxels.

Densities are asked first on coarse voxels, then on fine ones where the coarse ones found matter.
Colours are asked along directions spread over the sphere; harmonics are fitted to them by weighted
least squares, a direction counting as much as light can leave the voxel towards its viewer, for
what a field says about surfaces seen from behind means nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from maskfield.core.errors import ConfigError
from maskfield.fields.points import ask, point_density
from maskfield.fields.pooling import filled, pooled, raw_density
from maskfield.fields.sampler import VoxelMarch
from maskfield.fields.voxel import VoxelField, VoxelSettings
from maskfield.geometry.rays import Rays
from maskfield.geometry.sh import sh_basis
from maskfield.rendering.compositing import Compositing
from maskfield.rendering.field import Field
from maskfield.rendering.renderer import render

_EMPTY = 1e-3  # optical depth of a voxel below which it shows nothing
_FAINT = 1e-4  # densities are kept between these, in softplus units: the surface of a body then
_DENSE = 10.0  # lies where half of a voxel's light is stopped, midway between voxels
_HIDDEN = 0.02  # share of light below which a direction does not count
_RIDGE = 1e-2
_LOGIT = 0.005  # colours are kept this far from 0 and 1


@dataclass(frozen=True, kw_only=True)
class BakeSettings:
    """How finely a field is baked.

    Attributes:
        longest: voxels along the longest side. degree: of the harmonics.
        directions: from how many sides colours are asked; with degree 0 as well.
        shell: thickness of contracted space around the box; 0: nothing outside it.
        tight: cut the box to what the coarse voxels find (bounded fields only).
        near: of rays, scene units. background: colour behind everything.
        points_at_once: asked of the field in one call.
    """

    longest: int = 160
    degree: int = 1
    directions: int = 24
    shell: float = 0.0
    tight: bool = True
    near: float = 0.0
    background: tuple[float, float, float] = (0.0, 0.0, 0.0)
    points_at_once: int = 1 << 16

    def __post_init__(self) -> None:
        enough = self.directions >= (self.degree + 1) ** 2
        if self.longest < 16 or not enough:
            raise ConfigError(
                "a bake needs 16 voxels and at least as many directions as harmonics",
                field="longest, directions",
                value=(self.longest, self.directions),
                remedy="give e.g. 160 voxels and 24 directions",
            )


@torch.no_grad()
def bake(
    field: Field, box: Float[Tensor, "2 3"], settings: BakeSettings | None = None
) -> VoxelField:
    """A voxel field that shows what ``field`` shows.

    Args:
        box: world box that holds the scene (``shell`` 0), or its middle.

    Raises:
        ConfigError: the field has no density at a point, or is empty in the box.
    """
    s = settings or BakeSettings()
    coarse = _densities(field, _blank(box.float(), max(16, s.longest // 2), s), s, None)
    _check_matter(coarse, box)
    if s.tight and s.shell == 0:
        box = _tight_box(coarse)
    fine = _densities(field, _blank(box.float(), s.longest, s), s, coarse)
    fine.update_occupancy(_EMPTY)
    _colour(field, fine, s)
    return fine.requires_grad_(False)


def _blank(box: Tensor, longest: int, s: BakeSettings) -> VoxelField:
    settings = VoxelSettings(degree=s.degree, shell=s.shell, near=s.near, stop=1e-3)
    field = VoxelField(box, longest, settings)
    field.background.copy_(torch.tensor(s.background))
    return field


def _densities(
    field: Field, blank: VoxelField, s: BakeSettings, coarse: VoxelField | None
) -> VoxelField:
    """``blank`` with the field's densities, asked where ``coarse`` has matter nearby."""
    centres = blank.world_of_voxels().reshape(-1, 3).float()
    chosen = torch.arange(len(centres)) if coarse is None else _near_matter(coarse, centres)
    sigma = torch.zeros(len(centres))
    for part in chosen.split(s.points_at_once):
        sigma[part] = point_density(field, centres[part]).float()
    _, longer = blank.voxel_coordinates(centres)
    optical = (sigma * blank.unit * longer).clamp(_FAINT, _DENSE).reshape(blank.resolution)
    blank.density.copy_(raw_density(optical, blank.settings.shift))
    return blank


def _near_matter(coarse: VoxelField, points: Float[Tensor, "n 3"]) -> Tensor:
    """Indices of points whose coarse voxel, or one beside it, holds matter."""
    found = F.max_pool3d(_matter(coarse)[None].float(), 3, 1, 1)[0] > 0
    place, _ = coarse.voxel_coordinates(points)
    last = torch.tensor(coarse.resolution) - 1
    x, y, z = torch.minimum(place.long().clamp_min(0), last).unbind(-1)
    return found[x, y, z].nonzero()[:, 0]


def _matter(field: VoxelField) -> Bool[Tensor, "x y z"]:
    optical = F.softplus(field.density + field.settings.shift) * field.step / field.unit
    return optical > _EMPTY


def _check_matter(field: VoxelField, box: Tensor) -> None:
    if not bool(_matter(field).any()):
        raise ConfigError(
            "the field is empty in this box",
            field="box",
            value=box.tolist(),
            remedy="give the box that holds the scene, world frame",
        )


def _tight_box(field: VoxelField) -> Float[Tensor, "2 3"]:
    """Box of the voxels that hold matter and their neighbours."""
    grown = F.max_pool3d(_matter(field)[None].float(), 3, 1, 1)[0] > 0
    centres = field.world_of_voxels()[grown].float()
    half = torch.full((3,), field.step / field.settings.step / 2)
    return torch.stack([centres.amin(0) - half, centres.amax(0) + half])


# ---------------------------------------------------------------------------- colour


def _colour(field: Field, baked: VoxelField, s: BakeSettings) -> None:
    """Fit the harmonics of the voxels that can be seen; the others take their neighbours'."""
    directions = sphere_directions(s.directions)
    centres = baked.world_of_voxels().float()
    matter = _matter(baked)
    light = _leaving_light(baked, directions, centres[matter])
    seen = light.amax(1) > _HIDDEN
    chosen = matter.nonzero()[seen]
    fitted = torch.cat(
        [
            _harmonics(field, centres[x, y, z], directions, part, s.degree)
            for (x, y, z), part in zip(
                (c.unbind(1) for c in chosen.split(_rows(s))),
                light[seen].split(_rows(s)),
                strict=True,
            )
        ]
    )
    x, y, z = chosen.unbind(1)
    known = torch.zeros(baked.resolution, dtype=torch.bool)
    known[x, y, z] = True
    baked.colour[x, y, z] = fitted
    baked.colour.copy_(filled(baked.colour, known, times=4))


def _rows(s: BakeSettings) -> int:
    return max(1, s.points_at_once // s.directions)


def sphere_directions(count: int) -> Float[Tensor, "count 3"]:
    """Unit vectors spread evenly over the sphere (golden angle)."""
    k = torch.arange(count)
    z = 1 - (2 * k + 1) / count
    turn, flat = k * math.pi * (3 - math.sqrt(5)), (1 - z * z).sqrt()
    return torch.stack([flat * turn.cos(), flat * turn.sin(), z], dim=-1)


def _leaving_light(
    baked: VoxelField, directions: Float[Tensor, "d 3"], points: Float[Tensor, "n 3"]
) -> Float[Tensor, "n d"]:
    """Share of light that gets from each point to a viewer who looks along each direction.

    On voxels of twice the size, from one of their sides on, so that a surface does not hide itself.
    """
    rough = pooled(baked, 2)
    place, _ = rough.voxel_coordinates(points)
    last = torch.tensor(rough.resolution) - 1
    cell = torch.minimum(place.long().clamp_min(0), last)
    flat = (cell[:, 0] * rough.resolution[1] + cell[:, 1]) * rough.resolution[2] + cell[:, 2]
    voxels, back = flat.unique(return_inverse=True)
    centres = rough.world_of_voxels().reshape(-1, 3)[voxels].float()
    return _light(rough, centres, directions)[back]


def _light(
    rough: VoxelField, points: Float[Tensor, "n 3"], directions: Float[Tensor, "d 3"]
) -> Float[Tensor, "n d"]:
    shares = []
    for direction in directions:
        rays = Rays(
            origins=points,
            directions=-direction.expand_as(points),
            near=torch.full_like(points[:, 0], 1.5 * rough.step),
            far=torch.full_like(points[:, 0], math.inf),
        )
        opacity = render(rough, rays, VoxelMarch(), Compositing(early_stop=1e-2)).opacity
        shares.append(1 - opacity)
    return torch.stack(shares, dim=1)


def _harmonics(
    field: Field,
    points: Float[Tensor, "n 3"],
    directions: Float[Tensor, "d 3"],
    light: Float[Tensor, "n d"],
    degree: int,
) -> Float[Tensor, "n channel"]:
    """Coefficients of the logit of colour, weighted by light; higher ones are drawn towards 0."""
    n, d = light.shape
    asked = ask(
        field,
        points[:, None].expand(n, d, 3).reshape(-1, 3),
        directions[None].expand(n, d, 3).reshape(-1, 3),
    ).colour
    target = torch.logit(asked.float().reshape(n, d, 3), eps=_LOGIT)
    weight = light / light.sum(1, keepdim=True).clamp_min(1e-6)
    basis = sh_basis(directions, degree)
    ridge = torch.full((basis.shape[1],), _RIDGE)
    ridge[0] = 0
    normal = torch.einsum("nd,da,db->nab", weight, basis, basis) + torch.diag(ridge)
    right = torch.einsum("nd,da,ndc->nac", weight, basis, target)
    return torch.linalg.solve(normal, right).transpose(1, 2).reshape(n, -1)
