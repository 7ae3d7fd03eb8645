"""Single views in evaluation: what they are drawn from, how, and what is there (spec 8.1)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from maskfield.core.errors import DataError
from maskfield.data.object_batches import source_images
from maskfield.data.scene import Scene
from maskfield.geometry.cameras import Cameras
from maskfield.methods.pixelnerf.config import PixelNeRFConfig, RenderOptions, SamplingConfig
from maskfield.methods.pixelnerf.model.network import PixelNeRF
from maskfield.methods.pixelnerf.model.views import SourceViews
from maskfield.methods.pixelnerf.sampling import compositing_of, counts_at, level_sampler
from maskfield.rendering.renderer import ImageOutput, render_image

LEAST_COARSE = 64  # first-pass samples in evaluation, at least
_COARSE_ONLY_FINE = 128

# a camera (of length 1), near, far and a generator or None -> its image
DrawView = Callable[[Cameras, float, float, torch.Generator | None], ImageOutput]
Prepare = Callable[[SourceViews], DrawView]  # encodes the source views of an object once


def pixelnerf_views(
    model: PixelNeRF,
    *,
    coarse_only: bool = False,
    least_coarse: int = LEAST_COARSE,
    memory_mb: float = 512,
    options: RenderOptions | None = None,
) -> Prepare:
    """How a network draws views in evaluation: 64 first-pass samples or more, no gradients.

    The network is put into eval mode: batch norms use their running statistics.

    Args:
        least_coarse: first-pass samples at least; 1 takes the network's own number.
        options: ways to draw faster, of use where no generator is given.
    """
    model.eval()
    config = evaluation_sampling(model.config, coarse_only=coarse_only, least_coarse=least_coarse)
    samplers = {jitter: level_sampler(config, jitter=jitter) for jitter in (False, True)}
    compositing = compositing_of(config)
    device = next(model.parameters()).device

    @torch.no_grad()
    def prepare(views: SourceViews) -> DrawView:
        given = (views.images, views.poses, views.intrinsics)
        encoded = model.encode(*(part[None].to(device) for part in given))
        field = model.field(encoded, options=options)
        field = field.proposal if coarse_only else field

        def draw(
            camera: Cameras, near: float, far: float, generator: torch.Generator | None
        ) -> ImageOutput:
            return render_image(
                field,
                camera.to(device),
                0,
                samplers[generator is not None],
                compositing,
                near=near,
                far=far,
                generator=generator,
                memory_mb=memory_mb,
            )

        return draw

    return prepare


def evaluation_sampling(
    config: PixelNeRFConfig, *, coarse_only: bool = False, least_coarse: int = LEAST_COARSE
) -> PixelNeRFConfig:
    """The config with the sample counts of evaluation; its schedule is at the end."""
    coarse, fine = counts_at(config.sampling)
    coarse = max(coarse, least_coarse)
    if coarse_only:
        coarse, fine = LEAST_COARSE, _COARSE_ONLY_FINE
    sampling: SamplingConfig = replace(config.sampling, coarse=coarse, fine=fine, schedule=())
    return replace(config, sampling=sampling)


def weights_identity(model: torch.nn.Module) -> str:
    """A short name of a network's weights: results of others are not mixed with its own."""
    digest = hashlib.sha256()
    for name, value in model.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def source_views(scene: Scene, views: Sequence[int]) -> SourceViews:
    """Some views of an object, as a network encodes them."""
    chosen = torch.tensor(list(views))
    return SourceViews(
        images=source_images(scene, chosen),
        poses=scene.cameras.camera_to_world[chosen],
        intrinsics=scene.cameras.intrinsics[chosen],
    )


def true_view(
    scene: Scene, view: int, size: tuple[int, int] | None = None
) -> Float[Tensor, "h w 3"]:
    """A photograph in [0, 1]; ``size`` = (height, width) by area means."""
    image = torch.from_numpy(np.array(scene.images[view])).float() / 255
    if size is None or size == image.shape[:2]:
        return image
    return F.interpolate(image.permute(2, 0, 1)[None], size, mode="area")[0].permute(1, 2, 0)


def other_views(
    name: str,
    scene: Scene,
    sources: Sequence[int],
    listed: Sequence[int] | None,
    *,
    include_sources: bool = False,
) -> list[int]:
    """The views to render: all, or those listed, without the sources.

    Raises:
        DataError: a view that the object does not have, or nothing left to render.
    """
    wrong = [v for v in (*sources, *(listed or ())) if not 0 <= v < len(scene)]
    targets = range(len(scene)) if listed is None else listed
    left = [v for v in targets if include_sources or v not in sources]
    if wrong or not left:
        raise DataError(
            "the object does not have such a view" if wrong else "no view is left to be rendered",
            file=name,
            field="source and target views",
            value=wrong or tuple(sources),
            remedy=f"the object has views 0 to {len(scene) - 1}",
        )
    return left


def truncated(image: Float[Tensor, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """Eight bits without rounding, as the official tools write colours in [0, 1]."""
    return (image.clamp(0, 1) * 255).to(torch.uint8).contiguous().numpy()
