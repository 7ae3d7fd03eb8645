"""Whole images from a network and its source views."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import mean

import torch

from maskfield.methods.pixelnerf.model.field import PixelNeRFField
from maskfield.methods.pixelnerf.model.network import PixelNeRF
from maskfield.methods.pixelnerf.sampling import compositing_of, level_sampler
from maskfield.methods.pixelnerf.validation import HeldOutView, image_scores
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


def score_views(model: PixelNeRF, views: Iterable[tuple[int, HeldOutView]]) -> dict[str, float]:
    """Means by number n of source views: ``psnr_n``, ``ssim_n``, ``psnr_n_nearest_source`` ...

    Args:
        views: each with the number of its source views.
    """
    rows: dict[str, list[float]] = {}
    for sources, view in views:
        for name, value in image_scores(render_view(model, view).colour, view).items():
            metric, _, rest = name.partition("_")
            key = f"{metric}_{sources}" + (f"_{rest}" if rest else "")
            rows.setdefault(key, []).append(value)
    return {name: mean(values) for name, values in rows.items()}
