"""pixelnerf: sampling, compositing, both passes, losses, a whole training step."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from golden.adapters.pixelnerf_networks import encoded_views, official_network
from golden.case import Case
from golden.registry import golden
from golden.words import NUMBER
from maskfield.data.pixel_sampling import pixels_in_boxes
from maskfield.geometry.rays import Rays
from maskfield.methods.pixelnerf.config import LossConfig, PixelNeRFConfig, SamplingConfig
from maskfield.methods.pixelnerf.losses import (
    background_loss,
    colour_loss,
    level_losses,
    opacity_loss,
    uncertainty_loss,
)
from maskfield.methods.pixelnerf.model.field import PixelNeRFField
from maskfield.methods.pixelnerf.model.network import PixelNeRF
from maskfield.methods.pixelnerf.official_conf import model_config
from maskfield.methods.pixelnerf.official_rays import HALF_PIXEL, official_cameras
from maskfield.methods.pixelnerf.sampling import (
    coarse_sampler,
    compositing_of,
    counts_at,
    noisy_density,
    refinement,
    rows_passed,
)
from maskfield.rendering.compositing import Compositing
from maskfield.rendering.field import Field, FieldOutput, RaySamples
from maskfield.rendering.levels import LevelNoise, render_levels
from maskfield.rendering.renderer import RenderOutput, composite_samples
from maskfield.rendering.samplers import Sampler, next_gaps, samples_at

RESNET = {"mlp_coarse": {"type": "resnet"}, "mlp_fine": {"type": "resnet"}}


def renderer_config(renderer: Mapping[str, Any]) -> PixelNeRFConfig:
    """Sampling and background in official words."""
    return model_config(RESNET, renderer=renderer)


def rays_of(rows: Tensor) -> Rays:
    """Rays of rows [..., 8]: origin, direction, near, far."""
    flat = rows.reshape(-1, 8)
    return Rays(origins=flat[:, :3], directions=flat[:, 3:6], near=flat[:, 6], far=flat[:, 7])


def given_noise(inputs: Mapping[str, Tensor], rows: slice = slice(None)) -> LevelNoise:
    """The random numbers a case gives, of some of its rays."""
    uniform = None
    if "u_fine" in inputs:
        uniform = torch.cat([inputs["u_fine"], inputs["jitter_fine"]], dim=-1)
    noise = LevelNoise(strata=inputs["u_coarse"], uniform=uniform, normal=inputs.get("n_depth"))
    return noise[rows]


@golden("pixelnerf/render_samplers")
def render_samplers(case: Case) -> dict[str, Tensor]:
    given, rays = case.inputs, rays_of(case.inputs["rays"])
    sampling = renderer_config(case.config["config"]).sampling
    refine = refinement(sampling)
    answer = {"z_coarse": coarse_sampler(sampling).place(rays, given["u_coarse"]).t}
    if refine is not None and "u_fine" in given:
        answer["z_fine"] = refine.importance_distances(
            rays, given["weights"], given["u_fine"], given["jitter_fine"]
        )
    if refine is not None and "n_depth" in given:
        answer["z_fine_depth"] = refine.depth_distances(rays, given["depth"], given["n_depth"])
    return answer


@golden("pixelnerf/render_composite")
def render_composite(case: Case) -> dict[str, Any]:
    c, given = case.config["config"], case.inputs
    config = renderer_config({k: v for k, v in c.items() if k != "training"})
    rays, raw = rays_of(given["rays"]), given["rgb_sigma"]
    noise, std = torch.zeros_like(raw[..., 3]), 0.0
    if c.get("training") and "sigma_noise" in given:
        noise, std = given["sigma_noise"].reshape(noise.shape), config.sampling.noise_std
    samples = samples_at(rays, given["z"], next_gaps(given["z"], rays.far))
    output = FieldOutput(colour=raw[..., :3], density=noisy_density(raw[..., 3], noise, std))
    seen = composite_samples(rays, samples, output, compositing_of(config, keep_weights=True))
    return {"weights": seen.weights, "rgb": seen.colour, "depth": seen.depth}


@golden("pixelnerf/render_sched")
def render_sched(case: Case) -> dict[str, Tensor]:
    """In words: sched=[[10,25],[16,32],[8,16]], start 8/4, sched_step(4) called 8 times."""
    words = str(case.config["config"])
    numbers = [[int(n) for n in part.split(",")] for part in re.findall(r"\[([\d, ]+)\]", words)]
    coarse, fine, step, calls = (
        int(n)
        for pattern in (r"start (\d+)/(\d+)", r"sched_step\((\d+)\) called (\d+)")
        for n in re.findall(pattern, words)[0]
    )
    rows = tuple(zip(*numbers, strict=True))
    config = SamplingConfig(coarse=coarse, fine=fine, fine_depth=0, schedule=rows)
    seen = [step * (i + 1) for i in range(calls)]
    log = [[n, rows_passed(config, n), *counts_at(config, n)] for n in seen]
    return {"iter_lastsched_ncoarse_nfine": torch.tensor(log)}


@dataclass(frozen=True)
class ToyField:
    """``toy_field``: rgb = sigmoid(A x + B d + c), sigma = relu(q0 exp(-|x|^2 / q1) - q2)."""

    parts: Mapping[str, Tensor]
    level: int

    def __call__(self, samples: RaySamples) -> FieldOutput:
        a, b, c, q = (self.parts[name][self.level] for name in "ABcq")
        colour = samples.points @ a.T + samples.directions @ b.T + c
        near = torch.exp(-samples.points.square().sum(-1) / q[1])
        return FieldOutput(colour=colour.sigmoid(), density=(q[0] * near - q[2]).relu())

    def prepare(self, views: object | None = None) -> Field:
        return self

    def fused(self, sampler: Sampler, compositing: Compositing) -> None:
        return None


@golden("pixelnerf/render_full")
def render_full(case: Case) -> dict[str, Tensor]:
    leaves = {k: case.inputs[k].clone().requires_grad_() for k in ("rays", "A", "B", "c", "q")}
    config = renderer_config(case.config["config"])
    rays = rays_of(leaves["rays"])
    fields = ToyField(leaves, 0), ToyField(leaves, 1)
    coarse, fine = both_passes(fields, rays, config, given_noise(case.inputs))
    loss = coarse.colour.square().sum()
    (loss if fine is coarse else loss + fine.colour.square().sum()).backward()
    answer = level_answers(coarse, fine, leaves["rays"].shape[:2])
    return {**answer, **{f"grad_{k}": v.grad for k, v in leaves.items() if v.grad is not None}}


def both_passes(
    fields: tuple[Field, Field], rays: Rays, config: PixelNeRFConfig, noise: LevelNoise
) -> tuple[RenderOutput, RenderOutput]:
    return render_levels(
        *fields,
        rays,
        coarse_sampler(config.sampling),
        refinement(config.sampling),
        compositing_of(config, keep_weights=True),
        noise=noise,
    )


def level_answers(
    coarse: RenderOutput, fine: RenderOutput, shape: tuple[int, ...]
) -> dict[str, Tensor]:
    """Pixels and weights of both passes by their official names."""
    answer = {}
    for name, out in (("coarse", coarse), ("fine", fine)):
        parts = {"rgb": out.colour, "depth": out.depth, "weights": out.weights}
        for part, value in parts.items():
            if value is not None:
                answer[f"{name}.{part}"] = value.reshape(*shape, *value.shape[1:])
    return answer


@golden("pixelnerf/render_with_net")
@torch.no_grad()
def render_with_net(case: Case) -> dict[str, Tensor]:
    given, network = case.inputs, official_network(case)
    encoded = encoded_views(case, network, given["images"], given["poses_c2w"])
    count = given["rays"].shape[1]
    rows = []
    for i, rays in enumerate(given["rays"]):
        noise = given_noise(given, slice(i * count, (i + 1) * count))
        passes = object_passes(network, network.field(encoded, i), rays_of(rays), noise)
        rows.append(level_answers(*passes, (1, count)))
    return {k: torch.cat([row[k] for row in rows]) for k in rows[0]}


def object_passes(
    network: PixelNeRF, field: PixelNeRFField, rays: Rays, noise: LevelNoise
) -> tuple[RenderOutput, RenderOutput]:
    return both_passes((field.proposal, field), rays, network.config, noise)


@golden("pixelnerf/losses")
def losses(case: Case) -> dict[str, Tensor]:
    """Options of the opacity loss come in words: alpha: lambda .3 clamp 1.2 init_epoch 1; ..."""
    given, words = case.inputs, str(case.config["config"])
    colours = given["pred"], given["target"]

    def number(pattern: str, default: float) -> float:
        found = re.search(pattern.replace("N", NUMBER), words)
        return float(found.group(1)) if found else default

    pull = LossConfig(
        opacity=number(r"alpha: .*?lambda N", 0.0),
        opacity_clamp=number(r"clamp N", 100.0),
        opacity_start=int(number(r"init_epoch N", 5)),
    )
    opaque = LossConfig(opacity=number(r"opaque: .*?lambda N", 0.0), opacity_start=0, opaque=True)
    answer = {
        "mse": colour_loss(*colours, absolute=False),
        "l1": colour_loss(*colours, absolute=True),
        "alpha_opaque": opacity_loss(given["alpha"], opaque, 0),
    }
    for name, absolute in (("mse", False), ("l1", True)):
        answer[f"uncertainty_{name}"] = uncertainty_loss(*colours, given["beta"], absolute=absolute)
        answer[f"background_{name}"] = background_loss(*colours, given["beta"], absolute=absolute)
    for name, shape in case.config["tensors"]["outputs"].items():
        epoch = re.fullmatch(r"alpha_epoch(\d+)", name)
        if epoch:
            value = opacity_loss(given["alpha"], pull, int(epoch.group(1)))
            answer[name] = value.reshape(tuple(shape[:-1]))  # officially zero comes as [1]
    return answer


@golden("pixelnerf/train_step")
def train_step(case: Case) -> dict[str, Tensor]:
    c, given = case.config["config"], case.inputs
    network = official_network(case).train()
    config = model_config(c["model"], renderer=c["renderer"], loss=c["loss"])
    optimiser = torch.optim.Adam(network.parameters(), lr=c["lr"])
    sources = given["image_ord"]
    first = torch.arange(len(sources))[:, None]
    images, poses = given["images"][first, sources], given["poses"][first, sources]
    encoded = encoded_views(case, network, images, poses)
    rows = []
    for i in range(len(images)):
        rays, colours = object_rays(case, i)
        count = len(rays)
        noise = given_noise(given, slice(i * count, (i + 1) * count))
        passes = object_passes(network, network.field(encoded, i), rays, noise)
        rows.append(level_losses(*passes, colours, config.loss))
    parts = {k: torch.stack([row[k] for row in rows]).mean() for k in rows[0]}
    total = torch.stack([*parts.values()]).sum()
    total.backward()
    grads = {k: p.grad for k, p in network.named_parameters() if p.grad is not None}
    optimiser.step()
    named = case.config["grad_norm_keys"]
    return {
        "loss.rc": parts["coarse"],
        "loss.rf": parts.get("fine", parts["coarse"]),
        "loss.t": total,
        "grad_norms": torch.stack([grads[k].norm() for k in named]),
        **{f"grad.{k}": v for k, v in grads.items()},
        **{f"after_adam.{k}": v for k, v in network.state_dict().items()},
        **{f"after.{k}": v for k, v in network.state_dict().items()},
    }


def object_rays(case: Case, index: int) -> tuple[Rays, Tensor]:
    """The rays of one object that the case draws, and their colours."""
    c, given = case.config["config"], case.inputs
    images, poses = given["images"][index], given["poses"][index]
    height, width = images.shape[-2:]
    focal, centre = given["focal"][index], given["c"][index] if "c" in given else None
    cameras = official_cameras(poses, width, height, focal=focal, centre=centre)
    pixels = drawn_pixels(given, index, height, width)
    view, row, column = pixels.unbind(1)
    points = torch.stack([column, row], dim=1) + HALF_PIXEL
    rays = cameras.rays(view, points, c["z_near"], c["z_far"])
    return rays, images[view, :, row, column] * 0.5 + 0.5


def drawn_pixels(given: Mapping[str, Tensor], index: int, height: int, width: int) -> Tensor:
    """(view, row, column) in boxes, or over all images where no boxes are used."""
    if f"bbox_u_x_{index}" in given:
        draws = torch.stack([given[f"bbox_u_{axis}_{index}"] for axis in "xy"], dim=1)
        views = given[f"bbox_image_id_{index}"]
        return pixels_in_boxes(given["bbox"][index], views, draws, height, width)
    flat = next(v for k, v in given.items() if k.endswith(f"inds_{index}"))
    return torch.stack([flat // (height * width), flat // width % height, flat % width], dim=1)
