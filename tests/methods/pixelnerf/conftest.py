"""A small network, source views and rays that the tests share."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from maskfield.geometry.camera_paths import look_at
from maskfield.geometry.rays import Rays
from maskfield.methods.pixelnerf.config import (
    MLPConfig,
    PixelNeRFConfig,
    SamplingConfig,
    SmallEncoderConfig,
)
from maskfield.methods.pixelnerf.model.network import PixelNeRF

MLP = MLPConfig(blocks=3, hidden=16, combine_layer=2)
SMALL = PixelNeRFConfig(
    encoder=SmallEncoderConfig(widths=(8, 16)),
    mlp=MLP,
    mlp_fine=MLP,
    sampling=SamplingConfig(coarse=8, fine=6, fine_depth=2),
)


def built(config: PixelNeRFConfig = SMALL, seed: int = 0, spread: float = 0.3) -> PixelNeRF:
    """A network whose residual branches do something (they start as zeros)."""
    torch.manual_seed(seed)
    network = config.build()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("fc_1.weight"):
                parameter.normal_(0, spread)
            if name.endswith("lin_out.bias"):
                parameter.add_(1.0)
    return network.eval()


def source_views(objects: int = 1, views: int = 2, side: int = 16) -> tuple[Tensor, ...]:
    """Images, poses (looking at the origin from distance 1.3) and intrinsics."""
    generator = torch.Generator().manual_seed(2)
    images = torch.rand(objects, views, 3, side, side, generator=generator) * 2 - 1
    places = torch.randn(objects * views, 3, generator=generator)
    places = 1.3 * places / places.norm(dim=1, keepdim=True)
    poses = look_at(places, torch.zeros_like(places), (0.0, 0.0, 1.0))
    lens = torch.tensor([side, side, side / 2, side / 2]).float()
    return (
        images,
        poses[:, :3].reshape(objects, views, 3, 4),
        lens.expand(objects, views, 4).clone(),
    )


def some_rays(count: int = 10) -> Rays:
    generator = torch.Generator().manual_seed(3)
    origins = torch.randn(count, 3, generator=generator)
    origins = 1.3 * origins / origins.norm(dim=1, keepdim=True)
    targets = 0.2 * torch.randn(count, 3, generator=generator)
    directions = targets - origins
    return Rays(
        origins=origins,
        directions=directions / directions.norm(dim=1, keepdim=True),
        near=torch.full((count,), 0.8),
        far=torch.full((count,), 1.8),
    )


@pytest.fixture(scope="session")
def small() -> SimpleNamespace:
    """The functions and configs of this file."""
    return SimpleNamespace(config=SMALL, built=built, source_views=source_views, rays=some_rays)
