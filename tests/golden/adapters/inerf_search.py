"""inerf: whole steps of the search on a vanilla NeRF."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from golden.adapters.inerf_nerf import nerf_of, official_directions
from golden.adapters.inerf_poses import house_twist
from golden.case import Case
from golden.registry import golden
from maskfield.geometry.cameras import opencv_from_opengl
from maskfield.methods.inerf.config import Parameterisation, PoseConfig
from maskfield.methods.inerf.descent import Descent, DescentStep, photometric
from maskfield.methods.inerf.poses import MOTIONS, homogeneous
from maskfield.methods.inerf.view import field_view


@golden("inerf/pose_opt_vanilla_nerf")
def pose_opt(case: Case) -> dict[str, Tensor]:
    i = case.inputs
    screws = run(case, "wvtheta", i["init_w_v_theta"][None])
    twists = run(case, "se3", house_twist(i["init_xi"])[None])
    config = PoseConfig(lr=case.config["config"]["lr0"])
    steps = range(len(i["batch_xy"]))
    return {
        "wvtheta.loss": losses(screws),
        "wvtheta.pose": poses(screws),
        "wvtheta.params": torch.cat([free for _, free in screws]),
        "wvtheta.lr_next": torch.tensor([config.learning_rate(s + 1) for s in steps]),
        "se3.loss": losses(twists),
        "se3.pose": poses(twists),
        "se3.xi": house_twist(torch.cat([free for _, free in twists])),
    }


def run(case: Case, name: Parameterisation, free: Tensor) -> list[tuple[DescentStep, Tensor]]:
    """Each step, and the parameters after it."""
    c, i = case.config["config"], case.inputs
    view, config = field_view(nerf_of(case)), PoseConfig(lr=c["lr0"])
    image = i["observed_uint8"].float() / 255
    start = opencv_from_opengl(i["pose_start"])[None, :3]
    descent, found = Descent(MOTIONS[name], start, free), []
    for step, pixels in enumerate(i["batch_xy"]):
        colours = image[pixels[:, 1], pixels[:, 0]]
        compare = photometric(view, official_directions(pixels, c), colours)
        seen = descent.step(compare, config.learning_rate(step))
        found.append((seen, descent.free.clone()))
    return found


def losses(steps: Sequence[tuple[DescentStep, Tensor]]) -> Tensor:
    return torch.cat([seen.losses for seen, _ in steps])


def poses(steps: Sequence[tuple[DescentStep, Tensor]]) -> Tensor:
    return opencv_from_opengl(homogeneous(torch.cat([seen.poses for seen, _ in steps])))
