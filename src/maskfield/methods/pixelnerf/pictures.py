"""Held-out views as a picture: what the network was given, what is there, what it renders."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from maskfield.core.files import StrPath
from maskfield.figures.pictures import (
    Picture,
    depth_picture,
    resized,
    save_picture,
    table_of,
    to_picture,
)
from maskfield.methods.pixelnerf.model.network import PixelNeRF
from maskfield.methods.pixelnerf.predict import render_view
from maskfield.methods.pixelnerf.validation import HeldOutView

TITLES = ("source", "true view", "rendered", "opacity", "depth")
_HEIGHT, _ROWS = 128, 8


def save_views(model: PixelNeRF, views: Sequence[HeldOutView], path: StrPath) -> None:
    """One row per view, of at most eight."""
    rows = [view_row(model, view) for view in views[:_ROWS]]
    save_picture(table_of(rows, titles=TITLES), path)


@torch.no_grad()
def view_row(model: PixelNeRF, view: HeldOutView) -> list[Picture]:
    """Source, true view, rendered view, opacity and depth, enlarged."""
    image = render_view(model, view)
    opacity = image.opacity.cpu()[..., None].expand(-1, -1, 3)
    depth = torch.where(image.opacity > 0.5, image.depth, torch.zeros_like(image.depth))
    pictures = [
        to_picture((view.images[0, 0].permute(1, 2, 0) + 1) / 2),
        to_picture(view.image),
        to_picture(image.colour),
        to_picture(opacity),
        depth_picture(depth.cpu().numpy()),
    ]
    return [resized(p, height=_HEIGHT) for p in pictures]
