"""pixelnerf: metrics and their files, photographs, meshes, the DTU film, small helpers."""

from __future__ import annotations

import torch
from torch import Tensor

from golden.case import Case
from golden.registry import golden
from maskfield.geometry.camera_paths import dtu_film
from maskfield.geometry.cameras import opengl_from_opencv
from maskfield.metrics.image import psnr, ssim
from maskfield.metrics.lpips import lpips_from_weights


@golden("pixelnerf/metrics_psnr_ssim")
def metrics_psnr_ssim(case: Case) -> dict[str, Tensor]:
    prediction, truth = case.inputs["pred"], case.inputs["gt"]
    written = (prediction * 255).to(torch.uint8) / 255
    found = {}
    for suffix, images in (("", prediction), ("_after_uint8", written)):
        pairs = list(zip(images, truth, strict=True))
        found[f"psnr{suffix}"] = torch.stack([psnr(a, b) for a, b in pairs])
        found[f"ssim{suffix}"] = torch.stack([ssim(a, b, window="uniform") for a, b in pairs])
    return found


@golden("pixelnerf/lpips_vgg")
def lpips_vgg(case: Case) -> dict[str, Tensor]:
    model = lpips_from_weights(case.weights)
    a, b = case.inputs["a"], case.inputs["b"]
    return {
        "distance": model(a, b)[:, None, None, None],
        "per_layer": model.per_layer(a, b),
        "shift": model.shift,
        "scale": model.scale,
    }


@golden("pixelnerf/dtu_trajectory")
def dtu_trajectory(case: Case) -> dict[str, Tensor]:
    frames = 6 * (case.config["config"]["num_views"] // 5)  # spec 10, Q23
    poses = opengl_from_opencv(dtu_film(frames))
    bottom = torch.tensor([0.0, 0.0, 0.0, 1.0]).expand(frames, 1, 4)
    return {"poses": torch.cat([poses, bottom], dim=1)}
