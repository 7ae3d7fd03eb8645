"""Whole images from a network and its source views."""

from __future__ import annotations

import torch

from maskfield.methods.pixelnerf.model.field import PixelNeRFField
from maskfield.methods.pixelnerf.model.network import PixelNeRF
from maskfield.methods.pixelnerf.sampling import compositing_of, level_sampler
from maskfield.methods.pixelnerf.validation import HeldOutView
from maskfield.rendering.renderer import ImageOutput, render_image


@torch.no_grad()
def render_view(model: PixelNeRF, view: HeldOutView) -> ImageOutput:
    """A held-out view as the network sees it from the source views; without noise."""
    encoded = model.encode(view.images, view.poses, view.intrinsics)
    field = PixelNeRFField(model, encoded)
    return render_image(
        field,
        view.camera,
        0,
        level_sampler(model.config),
        compositing_of(model.config),
        near=view.near,
        far=view.far,
    )
