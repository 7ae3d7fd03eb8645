"""inerf: motions of poses, start poses and errors, LLFF poses, the learning rate."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor

from golden.case import Case
from golden.registry import golden
from golden.words import words_of
from maskfield.data.readers.llff_world import average_pose, official_llff
from maskfield.geometry.se3 import exp
from maskfield.methods.inerf.config import PoseConfig
from maskfield.methods.inerf.poses import community_screw, homogeneous, left_exponential
from maskfield.methods.inerf.protocol import euler_perturbed, perturbed
from maskfield.metrics.pose import rotation_error, translation_error


def house_twist(xi: Tensor) -> Tensor:
    """(w, v), rotation first, to the house's (v, w)."""
    return xi.roll(3, dims=-1)


@golden("inerf/exp_map_se3")
def exp_map_se3(case: Case) -> dict[str, Tensor]:
    xi = case.inputs["xi_f64"].clone().requires_grad_()
    motion = homogeneous(exp(house_twist(xi)))
    (motion * case.inputs["C_f64"]).sum().backward()
    assert xi.grad is not None
    moved = left_exponential(house_twist(xi), case.inputs["T0_f64"][:, :3])
    return {
        "T_f64": motion,
        "grad_xi_of_sum_TC_f64": xi.grad,
        "T_times_T0_f64": homogeneous(moved),
    }


@golden("inerf/screw_wvtheta_community")
def screw(case: Case) -> dict[str, Tensor]:
    i = case.inputs
    parameters = torch.cat([i["w"], i["v"], i["theta"][:, None]], dim=-1)
    return {"pose": homogeneous(community_screw(parameters, i["T0"][:, :3]))}


@golden("inerf/lr_schedule")
def lr_schedule(case: Case) -> dict[str, Tensor]:
    config = PoseConfig()
    return {"lr": torch.tensor([config.learning_rate(int(t)) for t in case.inputs["step"]])}


@golden("inerf/perturb_and_errors")
def perturb_and_errors(case: Case) -> dict[str, Tensor]:
    i = case.inputs
    true, angles = i["T_true_f64"], torch.deg2rad(i["delta_phi_theta_psi_deg_t_f64"][:, :3])
    shift = i["delta_phi_theta_psi_deg_t_f64"][:, 3]
    offset = (i["axis_f64"], i["angle_rad_f64"], i["translation_f64"])
    left, centred = perturbed(true, *offset), perturbed(true, *offset, "camera")
    euler = {
        f"start_euler_{layout}_f64": homogeneous(
            euler_perturbed(true, *angles.unbind(-1), shift, layout)
        )
        for layout in ("blender", "llff")
    }
    errors: dict[str, Tensor] = {}
    shares = []
    for name, start in (("left", left), ("cam", centred)):
        degrees, units = rotation_error(start, true), translation_error(start, true)
        errors |= {f"rot_err_deg_{name}_f64": degrees, f"trans_err_{name}_f64": units}
        shares += [(degrees < 5.0).double().mean(), (units < 0.05).double().mean()]
    return {
        "start_left_f64": homogeneous(left),
        "start_camera_centred_f64": homogeneous(centred),
        **euler,
        **errors,
        "success_fractions_f64": torch.stack(shares),
    }


@golden("inerf/llff_poses")
def llff_poses(case: Case) -> dict[str, Any]:
    table, options = case.inputs["poses_bounds_f64"].numpy(), llff_options(case)
    plain = official_llff(table, **options)
    sphere = official_llff(table, **options, spherify=True)
    rows = plain.rows()
    average = average_pose(official_llff(table, **options, recentre=False).camera_to_world)
    return {
        "recentred": rows,
        "bounds": plain.bounds,
        "average_pose": torch.cat([torch.from_numpy(average), torch.from_numpy(rows[0, :, 4:])], 1),
        # the official code gives every spherified row the first camera's lens
        "spherified": torch.cat(
            [
                torch.from_numpy(sphere.camera_to_world),
                torch.from_numpy(rows[:1, :, 4:]).expand(len(rows), 3, 1),
            ],
            dim=2,
        ),
        "spherified_bounds": sphere.bounds,
    }


def llff_options(case: Case) -> dict[str, Any]:
    """Size, reduction and bound factor, which the case states in words."""
    words = case.config["config"]
    text = words if isinstance(words, str) else words_of(case.config)
    factor = re.search(r"factor ([\d.]+)", text)
    size = re.search(r"size (\d+)x(\d+)", text)
    bound = re.search(r"bd_factor (None|[\d.]+)", text)
    assert size is not None
    given = bound.group(1) if bound else "0.75"
    return {
        "size": (int(size.group(1)), int(size.group(2))),
        "factor": float(factor.group(1)) if factor else 1.0,
        "bound_factor": None if given == "None" else float(given),
    }
