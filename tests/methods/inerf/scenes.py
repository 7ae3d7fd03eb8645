"""A scene whose colours are known everywhere, and photographs of it."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import nn

from maskfield.fields.pooling import raw_density
from maskfield.fields.voxel import VoxelField, VoxelSettings
from maskfield.geometry.camera_paths import look_at
from maskfield.geometry.cameras import Cameras
from maskfield.methods.inerf.observation import Observation
from maskfield.methods.inerf.view import FieldView
from maskfield.rendering.compositing import Compositing
from maskfield.rendering.field import FieldOutput, RaySamples
from maskfield.rendering.samplers import StratifiedSampler

BALLS = ((0.5, 0.1, 0.2), (-0.5, 0.3, -0.1), (0.0, -0.5, 0.4), (0.1, 0.4, -0.5))
COLOURS = ((0.9, 0.1, 0.1), (0.1, 0.7, 0.2), (0.1, 0.2, 0.9), (0.9, 0.8, 0.1))


class Balls(nn.Module):
    """Four soft balls of different colours."""

    def __init__(self) -> None:
        super().__init__()
        self.centres = nn.Parameter(torch.tensor(BALLS))
        self.colours = nn.Parameter(torch.tensor(COLOURS))

    def forward(self, samples: RaySamples) -> FieldOutput:
        away = (samples.points[..., None, :] - self.centres).square().sum(-1)
        inside = torch.exp(-away / 0.04)
        share = inside / inside.sum(-1, keepdim=True).clamp_min(1e-12)
        return FieldOutput(colour=share @ self.colours, density=12 * inside.sum(-1))

    def prepare(self, views: object | None = None) -> Balls:
        return self

    def fused(self, sampler: object, compositing: object) -> None:
        return None


def ball_view(count: int = 20) -> FieldView:
    return FieldView(
        field=Balls(),
        sampler=StratifiedSampler(count=count),
        compositing=Compositing(background=(1.0, 1.0, 1.0)),
        near=2.0,
        far=4.5,
    )


def camera(width: int = 32, height: int = 24) -> Cameras:
    pose = look_at(torch.tensor([[1.5, -2.5, 1.0]]), torch.zeros(1, 3))
    return Cameras(
        camera_to_world=pose,
        intrinsics=torch.tensor([[36.0, 36.0, width / 2, height / 2]]),
        width=width,
        height=height,
    )


def photograph(view: FieldView, taken: Cameras) -> Observation:
    """What the camera sees; the observation does not know where it stood."""
    blank = Observation(image=torch.zeros(taken.height, taken.width, 3), camera=taken)
    return replace(blank, image=view.image(blank, taken.camera_to_world[0]).clamp(0, 1))


def make_blob(side: int = 32) -> VoxelField:
    """A lopsided body of three coloured balls on voxels, before white."""
    box = torch.tensor([[-1.0] * 3, [1.0] * 3])
    field = VoxelField(box, side, VoxelSettings(degree=1, near=0.5))
    points = field.world_of_voxels().float()
    centres = torch.tensor([[-0.4, 0.0, -0.2], [0.35, 0.2, 0.1], [0.1, -0.45, 0.5]])
    radii = torch.tensor([0.45, 0.35, 0.2])
    inside = (radii - (points[..., None, :] - centres).norm(dim=-1)) * 32
    optical = 4 * torch.sigmoid(inside).amax(-1) + 1e-4
    paint = torch.tensor([[3.0, -2.0, -2.0], [-2.0, 2.0, -1.0], [-1.0, -2.0, 3.0]])
    colour = (F.softmax(inside, -1)[..., None] * paint).sum(-2)
    colour = colour + 1.5 * torch.sin(6 * points[..., [1, 2, 0]])
    with torch.no_grad():
        field.density.copy_(raw_density(optical, field.settings.shift))
        field.colour.view(side, side, side, 3, 4)[..., 0] = colour / 0.282
        field.background.fill_(1)
    field.update_occupancy(1e-3)
    return field.requires_grad_(False)
