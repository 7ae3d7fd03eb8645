"""nerf_mae: the whole masked autoencoder: forward, losses, training steps."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor, nn

from golden.adapters.nerf_mae_blocks import BLOCK
from golden.case import Case
from golden.registry import golden
from golden.words import number
from maskfield.engine.config import OptimConfig, ScheduleConfig
from maskfield.engine.optim import build_optimiser, clip_gradients
from maskfield.engine.schedule import build_schedule
from maskfield.masking import blocks_from_draws
from maskfield.methods.nerf_mae.config import NerfMAEConfig
from maskfield.methods.nerf_mae.convert import load_official_weights, to_official
from maskfield.methods.nerf_mae.layout import pad_to_cube
from maskfield.methods.nerf_mae.losses import mae_loss
from maskfield.methods.nerf_mae.metrics import official_metrics
from maskfield.methods.nerf_mae.model import NerfMAE

CHANNELS_LAST = ("patch_partition", "tokens_masked", "stage")


@golden("nerf_mae/mae_forward", channels_last=CHANNELS_LAST)
def mae_forward(case: Case) -> dict[str, Tensor]:
    return _forward(case, case.grids())


@golden("nerf_mae/full_mae", channels_last=CHANNELS_LAST)
def full_mae(case: Case) -> dict[str, Tensor]:
    if "grid_names" in case.config:
        return _forward(case, case.grids())
    return _forward(case, [case.grid(case.config["grid_name"], tuple(case.config["grid_shape"]))])


@torch.no_grad()
def _forward(case: Case, grids: list[Tensor]) -> dict[str, Tensor]:
    model = official_model(case).eval()
    cubes, sizes = model.pad(grids)
    mask = token_mask(case, model, len(grids), "")
    seen = record(model)
    out = model(cubes, sizes, mask)
    loss, parts = mae_loss(out, cubes, mask, sizes)
    return {
        **seen,
        "out": out,
        "loss": loss,
        "loss_rgb": parts["loss_rgb"],
        "loss_alpha": parts["loss_alpha"],
        **official_metrics(out, cubes),
    }


def model_config(c: dict[str, Any]) -> NerfMAEConfig:
    """The config of a case; options it does not state keep the official values."""
    patch = set(c.get("patch", [4]))
    if len(patch) != 1:
        raise LookupError(f"patches that are not cubes are unknown: {c['patch']}")
    return NerfMAEConfig(
        resolution=c["resolution"],
        embed_dim=c["embed_dim"],
        depths=tuple(c["depths"]),
        heads=tuple(c["num_heads"]),
        window=tuple(c.get("window", (4, 4, 4))),
        patch=patch.pop(),
        mask_ratio=c["masking_prob"],
        block_size=BLOCK,
        stochastic_depth=c.get("stochastic_depth_prob", 0.1),
        compat="official",
    )


def official_model(case: Case) -> NerfMAE:
    """The case's model with the case's weights, entered as an official checkpoint."""
    model = model_config(case.config).build()
    load_official_weights(model, case.state_dict(to_official(model.state_dict())))
    return model


def token_mask(case: Case, model: NerfMAE, batch: int, prefix: str) -> Tensor:
    """From the stored draws, or the stored mask where there are none."""
    if f"{prefix}block_draws" not in case.inputs:
        return case.inputs[f"{prefix}token_mask"][..., 0].bool()
    g, draws = model.config.tokens, case.inputs[f"{prefix}block_draws"]
    mask = blocks_from_draws(draws, (g, g, g), BLOCK, case.config["masking_prob"])
    return mask.expand(batch, -1, -1, -1)


def record(model: NerfMAE) -> dict[str, Tensor]:
    """A dictionary that the next forward pass fills with the tensors the cases store."""
    seen: dict[str, Tensor] = {}
    encoder, decoder = model.encoder, model.decoder

    def keep(module: nn.Module, name: str) -> None:
        module.register_forward_hook(lambda _m, _x, y: seen.__setitem__(name, y))

    keep(encoder.patch_partition, "patch_partition")
    first = encoder.stages[0][0]
    first.register_forward_pre_hook(lambda _m, x: seen.__setitem__("tokens_masked", x[0]))
    for i, stage in enumerate(encoder.stages):
        keep(stage[-1], f"stage{i}")
    for name in ("decoder4", "decoder3", "decoder2", "decoder1"):
        keep(getattr(decoder, name), name)
    return seen


@golden("nerf_mae/mae_loss")
def reconstruction_loss(case: Case) -> dict[str, Tensor]:
    c, name = case.config, f"loss{case.config['seed']}"
    grids = [case.grid(f"{name}.grid{i}", tuple(s)) for i, s in enumerate(c["grid_shapes"])]
    cubes, sizes = pad_to_cube(grids, c["resolution"])
    u = torch.from_numpy(case.unit(f"{name}.pred", tuple(cubes.shape)))
    prediction = (2 * (2 * u - 1)).float().requires_grad_()
    mask = case.inputs["token_mask"][..., 0].bool()
    loss, parts = mae_loss(prediction, cubes, mask, sizes)
    (gradient,) = torch.autograd.grad(loss, prediction)
    step = int(number(c, "stored_stride", "sub-sampled by N on each spatial axis"))
    return {
        "loss": loss,
        "loss_rgb": parts["loss_rgb"],
        "loss_alpha": parts["loss_alpha"],
        "occupied": parts["occupied"],
        "grad_pred_sub": gradient[:, :, ::step, ::step, ::step],
    }


@golden("nerf_mae/mae_train_steps")
def train_steps(case: Case) -> dict[str, Tensor]:
    c, outputs = case.config, {}
    model = official_model(case).train()
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    optimiser = build_optimiser([{"params": list(trained.values())}], _optim(c))
    schedule = build_schedule(optimiser, ScheduleConfig(), c["total_steps"])
    for step in range(c["steps"]):
        prefix = f"step{step}."
        group = optimiser.param_groups[0]
        outputs[f"{prefix}lr_used"] = torch.tensor(group["lr"])
        outputs[f"{prefix}beta1_used"] = torch.tensor(group["betas"][0])
        optimiser.zero_grad()
        outputs |= {prefix + k: v for k, v in _backward(case, model, step).items()}
        limit = number(c, "clip_grad_norm", "clip_grad_norm N")
        outputs[f"{prefix}grad_norm"] = clip_gradients(trained.values(), limit)
        grads = to_official({n: p.grad.clone() for n, p in trained.items()})
        outputs |= {f"{prefix}clipped_grad.{n}": g for n, g in grads.items()}
        optimiser.step()
        schedule.step()
    return outputs | {f"final.{n}": p for n, p in to_official(model.state_dict()).items()}


def _optim(c: dict[str, Any]) -> OptimConfig:
    return OptimConfig(
        lr=number(c, "max_lr", "max_lr N"), weight_decay=number(c, "weight_decay", "wd N")
    )


def _backward(case: Case, model: NerfMAE, step: int) -> dict[str, Tensor]:
    """Loss and gradients of one step; the losses by name."""
    shapes = _step_shapes(case.config)
    grids = [case.grid(f"{case.name}.s{step}.grid{i}", s) for i, s in enumerate(shapes)]
    cubes, sizes = model.pad(grids)
    mask = token_mask(case, model, len(grids), f"step{step}.")
    keep = case.inputs.get(f"step{step}.stochastic_depth_keep")
    out = model(cubes, sizes, mask, keep=None if keep is None else keep.bool())
    loss, parts = mae_loss(out, cubes, mask, sizes)
    loss.backward()
    return {"loss": loss, "loss_rgb": parts["loss_rgb"], "loss_alpha": parts["loss_alpha"]}


def _step_shapes(c: dict[str, Any]) -> list[tuple[int, int, int]]:
    """Grid shapes of a step: a list, or the [4,W,L,H] in the words of ``grid_names``."""
    stated = c.get("grid_shapes") or re.findall(r"\[4,(\d+),(\d+),(\d+)\]", c["grid_names"])
    return [(int(w), int(h), int(d)) for w, h, d in stated]
