"""RadianceGrid from any Field: density at voxel centres, colour as the photographs' cameras see it.

A camera sees a voxel when the voxel's centre lies in its image and not behind the surface that the
field shows there. Colour is the mean over the cameras that see it; a voxel that nobody sees (it is
flagged) or that is empty gets the mean over all directions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from maskfield.core.errors import ConfigError
from maskfield.data.radiance_grid import RadianceGrid
from maskfield.data.scene import Scene
from maskfield.fields.evaluate import field_image
from maskfield.fields.ply import write_ply
from maskfield.fields.points import AT_ONCE, ask, point_density, point_samples
from maskfield.fields.sightings import sightings
from maskfield.fields.voxel import VoxelField
from maskfield.geometry.cameras import Cameras
from maskfield.geometry.grids import resolution_for_box, voxel_centres
from maskfield.rendering.field import Field
from maskfield.rendering.renderer import render_image
from maskfield.rendering.samplers import Sampler, StratifiedSampler

__all__ = ["Extraction", "extract", "extract_grid", "write_ply"]

NGP_SPAN = 1.5  # instant-ngp units of the box's longest side, as in HM3D (spec nerf_mae 2.2)
_MOST_VIEWS = 48  # their bits fit one integer
_DEPTH_SIDE = 128  # longest side of the depth maps of the visibility test, pixels
_SLACK = 2.0  # a voxel may lie this many voxels behind the surface
_EMPTY = 1e-3  # optical depth of one voxel below which its colour shows nowhere
_FP16_MAX = 60000.0


@dataclass(frozen=True, kw_only=True)
class Extraction:
    """A grid, and which of its voxels [x, y, z] some camera sees."""

    grid: RadianceGrid
    seen: Bool[Tensor, "x y z"]


def extract_grid(
    field: Field,
    scene: Scene,
    box: Float[Tensor, "2 3"] | None = None,
    longest: int = 160,
    *,
    sampler: Sampler | None = None,
) -> RadianceGrid:
    """The grid of :func:`extract`, without the flags."""
    return extract(field, scene, box, longest, sampler=sampler).grid


@torch.no_grad()
def extract(
    field: Field,
    scene: Scene,
    box: Float[Tensor, "2 3"] | None = None,
    longest: int = 160,
    *,
    sampler: Sampler | None = None,
) -> Extraction:
    """Sample a field on near-cubic voxels.

    Args:
        scene: whose training cameras look at the voxels.
        box: world box of the grid; the scene's box (which readers put around what the cameras look
            at, or move in) unless given.
        longest: voxels along the longest side.
        sampler: for the depth maps; a VoxelField brings its own.

    Raises:
        ConfigError: ``longest`` is below 2. GridError: nothing in the box.
    """
    if longest < 2:
        raise ConfigError(
            "a grid needs at least 2 voxels along its longest side",
            field="longest",
            value=longest,
            remedy="give 160, 200, 256 or 384",
        )
    box = (scene.box if box is None else box).float()
    shape = resolution_for_box(box, longest)
    centres = voxel_centres(box, shape).reshape(-1, 3)
    density = torch.cat([point_density(field, p) for p in centres.split(AT_ONCE)])
    voxel = float((box[1] - box[0]).max()) / longest
    cameras = _views(scene)
    sights = sightings(
        cameras, _distance_maps(field, cameras, scene, sampler) + _SLACK * voxel, centres
    )
    matter = density * voxel > _EMPTY
    colour = torch.cat([_mean_colour(field, p) for p in centres.split(AT_ONCE)])
    chosen = (matter & (sights != 0)).nonzero()[:, 0]
    colour[chosen] = _seen_colour(field, cameras, centres[chosen], sights[chosen])
    seen = sights != 0
    scale = NGP_SPAN / float((box[1] - box[0]).max())
    x, y, z = (float(v) for v in 0.5 - box.mean(0) * scale)
    grid = RadianceGrid(
        rgb=colour.reshape(*shape, 3).permute(3, 0, 1, 2).contiguous(),
        density=density.clamp(max=_FP16_MAX).reshape(1, *shape),
        box=box,
        density_kind="sigma",
        activation="none",
        unit_length_m=scene.unit_length_m,
        ngp_scale=scale,
        ngp_offset=(x, y, z),
    )
    return Extraction(grid=grid.validated(), seen=seen.reshape(shape))


def _views(scene: Scene) -> Cameras:
    """Training cameras, at most _MOST_VIEWS of them, with small images."""
    chosen = list(scene.indices("train"))
    step = max(1, -(-len(chosen) // _MOST_VIEWS))
    cameras = scene.cameras[chosen[::step]]
    side = max(cameras.width, cameras.height)
    factor = min(1.0, _DEPTH_SIDE / side)
    return cameras.resized(round(cameras.width * factor), round(cameras.height * factor))


def _seen_colour(
    field: Field,
    cameras: Cameras,
    points: Float[Tensor, "n 3"],
    sights: Int[Tensor, " n"],
) -> Float[Tensor, "n 3"]:
    """Mean colour over the cameras whose bit is set; every point has one."""
    total, times = torch.zeros_like(points), torch.zeros(len(points))
    for index in range(len(cameras)):
        looking = ((sights >> index) & 1).nonzero()[:, 0]
        for part in looking.split(AT_ONCE):
            directions = F.normalize(points[part] - cameras.centres[index], dim=-1)
            total[part] += ask(field, points[part], directions).colour[:, 0].float()
            times[part] += 1
    return total / times[:, None]


def _distance_maps(
    field: Field, cameras: Cameras, scene: Scene, sampler: Sampler | None
) -> Float[Tensor, "camera h w"]:
    """Distance along the ray to what the field shows; infinite where it shows nothing."""
    maps = []
    for index in range(len(cameras)):
        if isinstance(field, VoxelField) and sampler is None:
            image = field_image(field, cameras, index)
        else:
            chosen = sampler or StratifiedSampler(count=256)
            far = scene.far or float((scene.box[1] - scene.box[0]).norm()) * 2
            image = render_image(field, cameras, index, chosen, near=scene.near or 0.0, far=far)
        maps.append(torch.where(image.opacity > 0.5, image.distance, torch.inf))
    return torch.stack(maps)


def _mean_colour(field: Field, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
    """Mean over directions: of a voxel field its constant harmonic, else over the six axes."""
    axes = torch.cat([torch.eye(3), -torch.eye(3)]).to(points)
    if isinstance(field, VoxelField):
        samples = point_samples(points, axes[:1].expand(len(points), 3))
        return field(samples, view_dependent=False).colour[:, 0].float()
    shown = [ask(field, points, axis.expand(len(points), 3)).colour[:, 0] for axis in axes]
    return torch.stack(shown).mean(0).float()
