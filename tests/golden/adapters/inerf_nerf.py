"""inerf: the vanilla NeRF network and its deterministic rendering."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from golden.case import Case
from golden.registry import golden
from maskfield.fields.nerf import NeRFField, NeRFNetwork
from maskfield.fields.nerf_config import NeRFViewing
from maskfield.fields.nerf_convert import (
    load_official_network,
    nerf_from_official,
    network_config,
)
from maskfield.geometry.cameras import Cameras, opencv_from_opengl
from maskfield.methods.inerf.view import FieldView, field_view
from maskfield.nn.positional import octave_code
from maskfield.ops.compositing import accumulated_depth
from maskfield.rendering.ndc import NDCSampler
from maskfield.rendering.samplers import ImportanceSampler, StratifiedSampler


@golden("inerf/vanilla_nerf_mlp")
@torch.no_grad()
def vanilla_nerf_mlp(case: Case) -> dict[str, Tensor]:
    points, directions = case.inputs["points"], case.inputs["viewdirs"]
    network = NeRFNetwork(network_config(case.weights))
    load_official_network(network, case.weights)
    c = case.config["config"]
    views = c.get("multires_views", 4)
    return {
        "raw_rgb_sigma": network(points, directions[:, None]),
        f"posenc{c['multires']}": octave_code(points.flatten(0, 1), c["multires"]),
        f"posenc{views}": octave_code(directions, views),
    }


def viewing_of(config: Mapping[str, Any]) -> NeRFViewing:
    """Official words for how a field is rendered."""
    return NeRFViewing(
        near=config["near"],
        far=config["far"],
        coarse_samples=config["N_samples"],
        fine_samples=config["N_importance"],
        spacing="disparity" if config.get("lindisp") else "linear",
        background=(1.0, 1.0, 1.0) if config["white_bkgd"] else None,
        ndc=(config["focal"], config["W"], config["H"]) if config["ndc"] else None,
    )


def nerf_of(case: Case) -> NeRFField:
    """The field of a case, its weights entering as a user's checkpoint would."""
    content = {
        f"{name}_state_dict": case.under(name)
        for name in ("network_fn", "network_fine")
        if case.under(name)
    }
    return nerf_from_official(content, viewing_of(case.config["config"])).requires_grad_(False)


def official_directions(pixels: Tensor, config: Mapping[str, Any]) -> Tensor:
    """z = 1 directions of official pixels (column, row): rays run through whole numbers."""
    h, w, focal = config["H"], config["W"], config["focal"]
    camera = Cameras(
        camera_to_world=torch.eye(4)[None, :3],
        intrinsics=torch.tensor([[focal, focal, w / 2, h / 2]]),
        width=w,
        height=h,
    )
    flat = pixels.reshape(-1, 2)
    local = camera.unproject(torch.zeros(len(flat), dtype=torch.long), flat.float())
    return local.reshape(*pixels.shape[:-1], 3)


@golden("inerf/nerf_render")
@torch.no_grad()
def nerf_render(case: Case) -> dict[str, Tensor]:
    field, config = nerf_of(case), case.config["config"]
    view = field_view(field)
    pose = opencv_from_opengl(case.inputs["pose_c2w"])[:3]
    directions = official_directions(case.inputs["pixels_xy"], config)
    rays = view.rays(pose[None], directions[None])
    first, second, ndc = *samplers_of(view), field.ndc()
    # official distances are depths along camera z, or shares of a ray's way through the cube
    inner_rays = rays if ndc is None else ndc.rays(rays)
    unit = torch.ones(len(rays)) if ndc is None else inner_rays.far
    keeping = replace(view, compositing=replace(view.compositing, keep_weights=True))
    shown = keeping.render(rays)
    assert shown.weights is not None
    depth = accumulated_depth(shown.weights, second(inner_rays, field).t / unit[:, None])
    coarse_view = replace(
        view,
        field=field.coarse,
        sampler=first if ndc is None else NDCSampler(sampler=first, ndc=ndc),
    )
    added = replace(second, union=False)(inner_rays, field).t / unit[:, None]
    return {
        "rays_o": rays.origins,
        "rays_d": turned(directions, pose),
        "rgb": shown.colour,
        "acc": shown.opacity,
        "disp": 1 / (depth / shown.opacity).clamp_min(1e-10),
        "rgb_coarse": coarse_view.render(rays).colour,
        "raw_fine": field.shown.raw(view.sampler(rays, field)),
        "z_std": added.std(-1, unbiased=False),
    }


def samplers_of(view: FieldView) -> tuple[StratifiedSampler, ImportanceSampler]:
    """The first pass's samples and all samples, in the space the networks see."""
    both = view.sampler.sampler if isinstance(view.sampler, NDCSampler) else view.sampler
    assert isinstance(both, ImportanceSampler)
    return both.coarse, both


def turned(directions: Tensor, pose: Tensor) -> Tensor:
    """World directions that keep their length."""
    return directions @ pose[:, :3].T
