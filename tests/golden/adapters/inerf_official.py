"""inerf: the official loop on pixelNeRF, with the random numbers that a case gives."""

from __future__ import annotations

import torch
from torch import Tensor

from golden.adapters.pixelnerf_networks import official_network
from golden.adapters.pixelnerf_render import given_noise, object_passes
from golden.case import Case
from golden.registry import golden
from maskfield.geometry.cameras import opengl_from_opencv
from maskfield.geometry.rays import Rays
from maskfield.methods.inerf.observation import Observation
from maskfield.methods.inerf.official import OfficialSearch
from maskfield.methods.inerf.view import FieldView
from maskfield.methods.pixelnerf.model.field import PixelNeRFField
from maskfield.methods.pixelnerf.model.network import PixelNeRF
from maskfield.methods.pixelnerf.model.views import SourceViews
from maskfield.methods.pixelnerf.official_rays import official_cameras
from maskfield.methods.pixelnerf.sampling import compositing_of, level_sampler
from maskfield.rendering.field import Field
from maskfield.rendering.levels import LevelNoise


@golden("inerf/official_loop")
def official_loop(case: Case) -> dict[str, Tensor]:
    given, c = case.inputs, case.config["config"]
    network, side = official_network(case), c["size"]
    cameras = official_cameras(given["input_pose"][None], side, side, c["focal"])
    source = SourceViews(
        images=given["input_image"][None],
        poses=cameras.camera_to_world,
        intrinsics=cameras.intrinsics,
    )
    target = given["target_rgb_flat"].reshape(side, side, 3)
    views = StepViews(case, network)
    search = OfficialSearch(
        host_of(network, source),
        source,
        views.make,
        Observation(image=target, camera=cameras),
        cameras.camera_to_world[0],
        c["lr"],
    )
    network.train(c["encoder_batchnorm"].startswith("batch statistics"))
    steps = [search.step(pixels) for pixels in given["pixel_indices"]]
    return {
        "loss": torch.tensor([s.loss for s in steps]),
        "grad_pose": opengl_from_opencv(torch.stack([s.gradient for s in steps])),
        "pose_after_step": opengl_from_opencv(torch.stack([s.pose for s in steps])),
        "rgb": torch.stack([s.colours for s in steps]),
    }


@torch.no_grad()
def host_of(network: PixelNeRF, source: SourceViews) -> Field:
    parts = (source.images, source.poses, source.intrinsics)
    return network.field(network.encode(*(part[None] for part in parts)))


class StepViews:
    """The view of each step, with the numbers it draws."""

    def __init__(self, case: Case, network: PixelNeRF) -> None:
        self.case, self.network, self.step = case, network, 0

    def make(self, field: Field) -> StepView:
        names = ("u_coarse", "u_fine", "jitter_fine", "n_depth")
        numbers = {k: self.case.inputs[k][self.step] for k in names if k in self.case.inputs}
        self.step += 1
        return StepView(self.case, self.network, field, given_noise(numbers))


class StepView:
    def __init__(self, case: Case, network: PixelNeRF, field: Field, noise: LevelNoise) -> None:
        assert isinstance(field, PixelNeRFField)
        self.network, self.field, self.noise = network, field, noise
        self.plain = FieldView(
            field=field,
            sampler=level_sampler(network.config),
            compositing=compositing_of(network.config),
            near=case.config["config"]["z_near"],
            far=case.config["config"]["z_far"],
        )

    def rays(self, poses: Tensor, directions: Tensor) -> Rays:
        return self.plain.rays(poses, directions)

    def colours(self, rays: Rays, generator: torch.Generator | None = None) -> Tensor:
        return object_passes(self.network, self.field, rays, self.noise)[1].colour
