"""Photo-consistency: do the photographs agree with the poses? A coarse plane sweep says.

For pairs of neighbouring cameras, patches of one image are searched along their rays in the other.
Under the right poses most textured patches find themselves; under a wrong convention few do.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from maskfield.data.scene import Scene
from maskfield.geometry.cameras import Cameras

_LONG_SIDE = 96  # working size in pixels
_DEPTHS = 32
_PAIRS = 8
_PATCH = torch.cartesian_prod(torch.arange(-3, 4), torch.arange(-3, 4)).float()
_SAME_WAY = 0.8  # cosine between viewing directions, about 37 degrees
_MIN_CONTRAST = 0.03  # standard deviation of a patch's grey values, of 1


def photo_consistency(scene: Scene, cameras: Cameras, near: float, far: float) -> float | None:
    """Median over textured patches of the best normalised correlation along their rays, [-1, 1].

    ``cameras`` may differ from the scene's (a hypothesis about its convention); ``near`` and
    ``far`` bound the search along camera z. None: no pair of neighbours or no texture.
    """
    grey, small = _small(scene, cameras)
    scores = [_pair_score(grey, small, a, b, near, far) for a, b in _pairs(cameras)]
    values = torch.cat(scores) if scores else torch.empty(0)
    return float(values.median()) if len(values) >= 30 else None


def _small(scene: Scene, cameras: Cameras) -> tuple[Float[Tensor, "n h w"], Cameras]:
    step = max(1, max(cameras.width, cameras.height) // _LONG_SIDE)
    h, w = cameras.height // step, cameras.width // step
    grey = np.empty((len(cameras), h, w), np.float32)
    for i in range(len(cameras)):
        image = np.asarray(scene.images[i])[: h * step, : w * step]
        grey[i] = image.reshape(h, step, w, step, 3).mean((1, 3, 4)) / 255
    shrunk = replace(cameras, intrinsics=cameras.intrinsics / step, width=w, height=h)
    return torch.from_numpy(grey), shrunk


def _pairs(cameras: Cameras) -> list[tuple[int, int]]:
    """Nearest neighbours that do not share a place, for evenly chosen cameras.

    Cameras that look the same way are nearer: side by side in a room, two may share no view.
    """
    centres, forward = cameras.centres, cameras.forward_axes
    distance = torch.cdist(centres, centres)
    same = distance < 1e-3 * distance.max()
    turned = (forward @ forward.T) < _SAME_WAY
    distance = distance + turned * (1 + distance.max())
    distance[same] = float("inf")
    chosen = np.unique(np.linspace(0, len(centres) - 1, _PAIRS).round().astype(int))
    best = distance.min(1)
    return [(int(i), int(best.indices[i])) for i in chosen if torch.isfinite(best.values[i])]


def _pair_score(
    grey: Float[Tensor, "n h w"], cameras: Cameras, a: int, b: int, near: float, far: float
) -> Float[Tensor, " patch"]:
    """Best correlation of every textured patch of image a along its rays in image b."""
    v, u = torch.meshgrid(
        torch.arange(6, cameras.height - 6, 8), torch.arange(6, cameras.width - 6, 8), indexing="ij"
    )
    centre = torch.stack([u.reshape(-1), v.reshape(-1)], -1).float() + 0.5
    pixels = centre[:, None] + _PATCH
    patch = _sample(grey[a], pixels)
    keep = patch.std(-1) > _MIN_CONTRAST
    if not keep.any():
        return torch.empty(0)
    rays = cameras.rays(
        torch.full((int(keep.sum()) * len(_PATCH),), a), pixels[keep].reshape(-1, 2)
    )
    along = (rays.directions * cameras.forward_axes[a]).sum(-1)
    depths = 1 / torch.linspace(1 / near, 1 / far, _DEPTHS)
    best = torch.full((int(keep.sum()),), -1.0)
    for z in depths:
        points = rays.origins + rays.directions * (z / along)[:, None]
        uv, depth = cameras[b].project(points)
        found = _sample(grey[b], uv[0].view(-1, len(_PATCH), 2))
        inside = (depth[0] > 0) & (uv[0] > 1).all(-1)
        inside &= (uv[0, :, 0] < cameras.width - 1) & (uv[0, :, 1] < cameras.height - 1)
        score = _correlation(patch[keep], found)
        best = torch.where(inside.view(-1, len(_PATCH)).all(1), torch.maximum(best, score), best)
    return best


def _sample(image: Float[Tensor, "h w"], pixels: Float[Tensor, "n k 2"]) -> Float[Tensor, "n k"]:
    """Nearest pixels, clamped at the border."""
    index: Int[Tensor, "n k 2"] = pixels.floor().nan_to_num(0, 0, 0).clamp(-1e6, 1e6).long()
    h, w = image.shape
    return image[index[..., 1].clamp(0, h - 1), index[..., 0].clamp(0, w - 1)]


def _correlation(a: Float[Tensor, "n k"], b: Float[Tensor, "n k"]) -> Float[Tensor, " n"]:
    a, b = a - a.mean(-1, keepdim=True), b - b.mean(-1, keepdim=True)
    return (a * b).sum(-1) / (a.norm(dim=-1) * b.norm(dim=-1)).clamp_min(1e-6)
