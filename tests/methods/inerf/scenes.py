"""A scene whose colours are known everywhere, and photographs of it."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

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
