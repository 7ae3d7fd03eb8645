"""VoxelField: density and spherical-harmonics colour on a voxel grid, optionally of all space.

Legend: p point in the field's frame, where its box is [-1, 1] per axis; sigma = softplus(raw +
shift) / (unit * stretch), 1 / scene unit. The volume covers [-1, 1], or all of space, contracted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from maskfield.fields.contraction import contract, frame_of_box, stretch, uncontract
from maskfield.geometry.grids import resolution_for_box, voxel_centres
from maskfield.geometry.rays import Rays
from maskfield.geometry.se3 import apply
from maskfield.geometry.sh import sh_basis, sh_size
from maskfield.ops.trilinear import TrilinearBackend, trilinear
from maskfield.rendering.compositing import Compositing
from maskfield.rendering.field import FieldOutput, FusedRender, RaySamples
from maskfield.rendering.samplers import Sampler

MULTIPLE = 4  # voxels per axis come in fours: occupancy cells are 2 voxels wide
CELL = 2
UNITS = 128  # a sigma unit is the longest side of the box / 128, whatever the resolution


@dataclass(frozen=True, kw_only=True)
class VoxelSettings:
    """How a field is marched and activated.

    Attributes:
        degree: of the harmonics. shell: thickness of contracted space around the box; 0: none.
        shift: added to raw density before the softplus. step: marching step, voxels.
        stop, w_min: see ``VoxelFitConfig``. max_samples: on one ray. near: of rays, scene units.
    """

    degree: int = 1
    shell: float = 0.0
    shift: float = -4.0
    step: float = 1.0
    stop: float = 1e-4
    w_min: float = 1e-4
    max_samples: int = 1024
    near: float = 0.0


class VoxelField(nn.Module):
    """An explicit radiance field; speaks the Field protocol.

    Args:
        box: [2, 3] world box; inside it voxels are near-cubic and uncontracted.
        longest: voxels along the longest side of the volume.

    Attributes:
        density: [x, y, z] raw. colour: [x, y, z, 3 * terms], channel = rgb * terms + term.
        field_from_world: [4, 4] world to field frame. background: [3] colour behind everything.
        occupancy: uint8 [x/2, y/2, z/2], 0: cell is empty.
    """

    density: nn.Parameter
    colour: nn.Parameter
    field_from_world: Tensor
    background: Tensor
    occupancy: Tensor

    def __init__(
        self, box: Float[Tensor, "2 3"], longest: int, settings: VoxelSettings | None = None
    ) -> None:
        super().__init__()
        self.settings = settings or VoxelSettings()
        shape = resolution_for_box(box, longest, MULTIPLE)
        self.register_buffer("field_from_world", frame_of_box(box))
        self.register_buffer("background", torch.zeros(3))
        self._allocate(shape)

    def _allocate(self, shape: tuple[int, int, int]) -> None:
        """Volumes of zeros from NumPy, whose large arrays take huge pages: twice as fast here."""
        channels = 3 * sh_size(self.settings.degree)
        kind, device = self.background.dtype, self.background.device
        form = {torch.float32: np.float32, torch.float64: np.float64}[kind]
        self.density = nn.Parameter(torch.from_numpy(np.zeros(shape, form)).to(device))
        self.colour = nn.Parameter(torch.from_numpy(np.zeros((*shape, channels), form)).to(device))
        cells = [n // CELL for n in shape]
        self.register_buffer("occupancy", torch.ones(cells, dtype=torch.uint8, device=device))

    # ------------------------------------------------------------ geometry

    @property
    def resolution(self) -> tuple[int, int, int]:
        x, y, z = self.density.shape
        return x, y, z

    @property
    def box(self) -> Float[Tensor, "2 3"]:
        """World box of the uncontracted part."""
        m = self.field_from_world
        half, centre = 1 / m.diagonal()[:3], -m[:3, 3] / m.diagonal()[:3]
        return torch.stack([centre - half, centre + half]).to(self.background.dtype)

    @property
    def extent(self) -> float:
        """The volume covers [-extent, extent] of (contracted) field space."""
        return 1.0 + self.settings.shell

    @property
    def contracted(self) -> bool:
        """All of space is inside; else only the box."""
        return self.settings.shell > 0

    @property
    def unit(self) -> float:
        """Scene units per unit of 1 / sigma."""
        box = self.box.double()
        return float((box[1] - box[0]).max()) / UNITS

    @property
    def length(self) -> float:
        """Half the box's longest side: the unit of the distortion loss, scene units."""
        return self.unit * UNITS / 2

    @property
    def step(self) -> float:
        """Marching step inside the box, scene units."""
        box = self.box.double()
        voxel = (box[1] - box[0]) * self.extent / torch.tensor(self.resolution)
        return self.settings.step * float(voxel.min())

    def voxel_coordinates(
        self, points: Float[Tensor, "*n 3"]
    ) -> tuple[Float[Tensor, "*n 3"], Float[Tensor, "*n"]]:
        """World points to voxel coordinates (centre at +0.5) and their stretch; outside: 0."""
        p = apply(self.field_from_world.to(points.dtype), points)
        inside = p.abs().amax(-1) <= 1
        shell = self.settings.shell
        longer = stretch(p, shell) if shell > 0 else inside.to(p.dtype)
        q = contract(p, shell) if shell > 0 else p
        size = points.new_tensor(self.resolution)
        return (q / self.extent + 1) / 2 * size, longer

    def world_of_grid(self, shape: tuple[int, int, int]) -> Float[Tensor, "x y z 3"]:
        """World positions of the voxel centres of a grid over the field's space, float64."""
        reach = torch.full((2, 3), self.extent, dtype=torch.float64)
        reach[0] *= -1
        q = voxel_centres(reach, shape).to(self.field_from_world.device)
        p = uncontract(q, self.settings.shell) if self.contracted else q
        return apply(torch.linalg.inv(self.field_from_world.double()), p)

    def world_of_voxels(self) -> Float[Tensor, "x y z 3"]:
        """World positions of the field's own voxel centres, float64."""
        return self.world_of_grid(self.resolution)

    # ------------------------------------------------------------ the Field protocol

    def forward(
        self,
        samples: RaySamples,
        backend: TrilinearBackend = "auto",
        *,
        view_dependent: bool = True,
    ) -> FieldOutput:
        """Answer samples; zero density in empty cells and outside a bounded field.

        Args:
            backend: of the trilinear look-up.
            view_dependent: False leaves out all harmonics but the constant one.
        """
        chosen, points, longer = self._matter(samples)
        raw = trilinear(self.density[..., None], points, backend=backend)[:, 0]
        sigma = F.softplus(raw + self.settings.shift) / (self.unit * longer)
        basis = sh_basis(samples.directions, self.settings.degree).expand(*samples.t.shape, -1)
        if not view_dependent:
            basis = torch.cat([basis[..., :1], torch.zeros_like(basis[..., 1:])], dim=-1)
        mixed = trilinear(self.colour, points, backend=backend).unflatten(-1, (3, -1))
        colour = torch.sigmoid((mixed * basis[chosen][:, None]).sum(-1))
        blank = samples.points.new_zeros(samples.t.shape)
        return FieldOutput(
            density=blank.masked_scatter(chosen, sigma),
            colour=blank[..., None]
            .expand(*blank.shape, 3)
            .masked_scatter(chosen[..., None].expand(*blank.shape, 3), colour),
        )

    def _matter(self, samples: RaySamples) -> tuple[Bool[Tensor, "ray sample"], Tensor, Tensor]:
        """Samples that may see something, their voxel coordinates and stretch."""
        points, longer = self.voxel_coordinates(samples.points)
        cells = points.new_tensor(self.occupancy.shape)
        index = (points.detach() / points.new_tensor(self.resolution) * cells).long()
        index = torch.minimum(index.clamp_min(0), (cells - 1).long())
        full = self.occupancy[index[..., 0], index[..., 1], index[..., 2]] != 0
        chosen = samples.mask & full & (longer > 0)
        return chosen, points[chosen], longer[chosen]

    def prepare(self, views: object | None = None) -> VoxelField:
        return self

    def fused(self, sampler: Sampler, compositing: Compositing) -> FusedRender | None:
        """The numba path, for float tensors on the CPU and what it supports; see voxel_fused."""
        from maskfield.fields.voxel_fused import fused_render

        return fused_render(self, sampler, compositing)

    def motion(
        self, rays: Rays, compositing: Compositing
    ) -> tuple[Float[Tensor, "ray 3"], Float[Tensor, "ray 3 6"]]:
        """Colours of rays and their derivatives by a left twist (v, w) of the camera; CPU only."""
        from maskfield.fields.motion import ray_motion
        from maskfield.fields.sampler import VoxelMarch

        found = ray_motion(self, rays, VoxelMarch(), compositing)
        return found.numbers[:, :3], found.by_twist(rays)[:, :3]

    # ------------------------------------------------------------ change of resolution or box

    @torch.no_grad()
    def resampled(self, box: Float[Tensor, "2 3"] | None, longest: int) -> VoxelField:
        """The same field on another grid, trilinearly; ``box`` None keeps the box."""
        other = VoxelField(self.box if box is None else box, longest, self.settings)
        other.to(self.background.device, self.background.dtype)
        other.field_from_world.copy_(frame_of_box(other.box if box is None else box))
        if box is None:
            other.field_from_world.copy_(self.field_from_world)
        other.background.copy_(self.background)
        target = other.world_of_voxels().flatten(0, 2)
        points, _ = self.voxel_coordinates(target)
        points = points.to(self.density.dtype)
        raw = trilinear(self.density[..., None], points)[:, 0]
        other.density.copy_(raw.reshape(other.resolution))
        other.colour.copy_(trilinear(self.colour, points).reshape(other.colour.shape))
        return other

    def adopt(self, other: VoxelField) -> None:
        """Become ``other``, in place: whoever holds this field holds the new one."""
        self.density, self.colour = other.density, other.colour
        for name in ("field_from_world", "background", "occupancy"):
            setattr(self, name, getattr(other, name))
        self.settings = other.settings

    @torch.no_grad()
    def update_occupancy(self, alpha: float) -> float:
        """Mark the cells whose densest voxel gives one step an opacity above ``alpha``.

        Returns:
            share of cells that stay occupied.
        """
        from maskfield.fields.voxel_update import occupied_cells

        optical = -np.log1p(-min(alpha, 0.999)) * self.unit / self.step
        lowest = float(np.log(np.expm1(optical))) - self.settings.shift if optical > 0 else -np.inf
        cells = np.zeros(tuple(self.occupancy.shape), np.uint8)
        raw = self.density.detach().cpu().numpy().reshape(-1)
        occupied_cells(raw, self.resolution, raw.dtype.type(lowest), cells)
        self.occupancy.copy_(torch.from_numpy(cells))
        return float(cells.mean())

    # ------------------------------------------------------------ storing

    def adapt_to(self, shapes: dict[str, list[int]]) -> None:
        """Take the resolution of stored weights before they are loaded."""
        shape = shapes.get("density", [])
        if len(shape) == 3 and tuple(shape) != self.resolution:
            self._allocate((shape[0], shape[1], shape[2]))

    def header(self) -> dict[str, Any]:
        """Plain data from which :func:`field_from_weights` rebuilds the field."""
        return {"settings": dict(vars(self.settings))}

    def with_settings(self, settings: VoxelSettings) -> VoxelField:
        """Change how the field is marched, in place."""
        self.settings = replace(settings)
        return self


def field_from_weights(weights: dict[str, Tensor], header: dict[str, Any]) -> VoxelField:
    """A field from its stored tensors and :meth:`VoxelField.header`."""
    settings = VoxelSettings(**header["settings"])
    field = VoxelField(torch.tensor([[-1.0] * 3, [1.0] * 3]), MULTIPLE, settings)
    field.adapt_to({k: list(v.shape) for k, v in weights.items()})
    field.load_state_dict(weights)
    return field
