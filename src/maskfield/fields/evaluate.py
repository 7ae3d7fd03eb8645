"""Pictures of a voxel field from a scene's cameras, and how well they match its photographs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from maskfield.data.scene import Scene
from maskfield.fields.nerf import NeRFField
from maskfield.fields.sampler import VoxelMarch
from maskfield.fields.voxel import VoxelField
from maskfield.geometry.cameras import Cameras
from maskfield.metrics.image import psnr, ssim
from maskfield.rendering.compositing import Compositing
from maskfield.rendering.renderer import ImageOutput, render_image


@dataclass(frozen=True, kw_only=True)
class FieldScore:
    """Means over images; ``per_image``: name, psnr and ssim of each."""

    psnr: float
    ssim: float
    per_image: tuple[dict[str, float | str], ...]


def field_image(field: VoxelField | NeRFField, cameras: Cameras, index: int) -> ImageOutput:
    """What one camera sees, in front of the field's background."""
    if isinstance(field, NeRFField):
        # unit directions and limits of each ray's own, instead of planes and long directions
        plain = replace(field.compositing(), norm_in_delta=False)
        rays = field.rays(cameras, index)
        return render_image(field, cameras, index, field.sampler(), plain, rays=rays)
    r, g, b = (float(v) for v in field.background)
    compositing = Compositing(background=(r, g, b), early_stop=min(field.settings.stop, 1e-3))
    return render_image(field, cameras, index, VoxelMarch(), compositing, near=field.settings.near)


def evaluate_field(
    field: VoxelField,
    scene: Scene,
    split: str = "test",
    *,
    indices: Sequence[int] | None = None,
) -> FieldScore:
    """PSNR and SSIM of a split (or of given images) at the photographs' size; masks are respected.

    Images with an opacity are compared in front of the field's background.

    Raises:
        SceneError: no such split.
    """
    chosen = scene.indices(split) if indices is None else indices
    rows = [_score(field, scene, index) for index in chosen]
    count = max(len(rows), 1)
    return FieldScore(
        psnr=sum(float(r["psnr"]) for r in rows) / count,
        ssim=sum(float(r["ssim"]) for r in rows) / count,
        per_image=tuple(rows),
    )


def photograph(scene: Scene, index: int, background: Float[Tensor, " 3"]) -> Float[Tensor, "h w 3"]:
    """One photograph in [0, 1], in front of ``background`` where it has an opacity."""
    image = torch.from_numpy(scene.images[index].copy()).float() / 255
    if scene.opacity is None:
        return image
    share = torch.from_numpy(scene.opacity[index].copy()).float()[..., None] / 255
    return image * share + background.to(image) * (1 - share)


def _score(field: VoxelField, scene: Scene, index: int) -> dict[str, float | str]:
    shown = field_image(field, scene.cameras, index).colour.float().clamp(0, 1)
    truth = photograph(scene, index, field.background)
    mask = None if scene.masks is None else torch.from_numpy(scene.masks[index].copy()) > 0
    return {
        "name": scene.names[index],
        "psnr": float(psnr(shown, truth, mask)),
        "ssim": float(ssim(shown, truth, mask)),
    }
