"""nerf_mae: the building blocks of encoder and decoder, masking and layouts."""

from __future__ import annotations

import re

import torch
from torch import Tensor, nn

from golden.case import Case
from golden.registry import golden
from golden.words import find
from maskfield.masking import blocks_from_draws, first_quarter_blocks, grid_blocks, slab_blocks
from maskfield.methods.nerf_mae.layout import pad_to_cube, patchify, unpatchify, valid_voxels
from maskfield.nn.positional import sincos_1d, sincos_3d
from maskfield.nn.swin3d import PatchMerging, Swin3D, SwinBlock, merge_neighbours
from maskfield.nn.unet3d import FullResolutionEncoder, OutBlock, ResidualBlock, UpBlock
from maskfield.nn.window_attention import WindowAttention

BLOCK = 4  # tokens per masked block axis, fixed in the official code
PATCH = 4


def loaded(module: nn.Module, weights: dict[str, Tensor]) -> nn.Module:
    """``module`` in eval mode with exactly these weights."""
    module.load_state_dict(weights)
    return module.eval()


@golden("nerf_mae/pos_embed")
def pos_embed(case: Case) -> dict[str, Tensor]:
    tables = {f"pos_e{e}_g{g}": sincos_3d(e, (g, g, g)) for e, g in case.config["configs"]}
    words = find(case.config, "sincos1d", r"(sincos1d_e(\d+)):.*positions 0\.\.(\d+)")
    width, last = int(words.group(2)), int(words.group(3))
    return {**tables, words.group(1): sincos_1d(width, torch.arange(last + 1.0))}


@golden("nerf_mae/window_attention")
@torch.no_grad()
def window_attention(case: Case) -> dict[str, Tensor]:
    outputs = {}
    for c in case.config["cases"]:
        key = str(c["index"])
        module = WindowAttention(c["dim"], c["heads"], tuple(c["window"]), tuple(c["shift"]))
        loaded(module, case.under(key))
        outputs[f"{key}.y"] = module(case.inputs[f"{key}.x"])
        outputs[f"{key}.relative_position_bias"] = module.bias()
    return outputs


@golden("nerf_mae/swin_block")
@torch.no_grad()
def swin_block(case: Case) -> dict[str, Tensor]:
    c, x = case.config, case.inputs["x"]
    block = SwinBlock(c["dim"], c["heads"], tuple(c["window"]), tuple(c["shift"]))
    loaded(block, case.weights)
    return {"y": block(x), "attn_branch": block.attn(block.norm1(x))}


@golden("nerf_mae/patch_merging")
@torch.no_grad()
def patch_merging(case: Case) -> dict[str, Tensor]:
    outputs = {}
    for name, x in case.inputs.items():
        key = name.removesuffix(".x")
        module = PatchMerging(x.shape[-1], expand_dim=key.endswith("True"))
        outputs[f"{key}.y"] = loaded(module, case.under(key))(x)
        outputs[f"{key}.cat"] = merge_neighbours(x)
    return outputs


@golden("nerf_mae/unet_blocks")
@torch.no_grad()
def unet_blocks(case: Case) -> dict[str, Tensor]:
    names = sorted({name.rsplit(".", 1)[0] for name in case.inputs})
    outputs = {}
    for name in names:
        weights = case.under(name)
        x = [case.inputs[k] for k in (f"{name}.x0", f"{name}.x1") if k in case.inputs]
        outputs[f"{name}.y"] = loaded(_decoder_block(weights, x), weights)(*x)
    return outputs


def _decoder_block(weights: dict[str, Tensor], x: list[Tensor]) -> nn.Module:
    """The block these official keys belong to."""
    if "transp_conv.weight" in weights:
        into, out, factor, *_ = weights["transp_conv.weight"].shape
        return UpBlock(into, out, factor, skip_channels=x[1].shape[1] if len(x) > 1 else 0)
    if "layer.conv1.weight" in weights:
        out, into = weights["layer.conv1.weight"].shape[:2]
        return FullResolutionEncoder(into, out)
    if "conv.weight" in weights:
        out, into = weights["conv.weight"].shape[:2]
        return OutBlock(into, out)
    out, into = weights["conv1.weight"].shape[:2]
    return ResidualBlock(into, out)


@golden("nerf_mae/pad_to_cube")
def pad(case: Case) -> dict[str, Tensor]:
    side, outputs = case.config["resolution"], {}
    for name, grid in case.inputs.items():
        key = name.removesuffix(".x")
        padded, sizes = pad_to_cube([grid], side)
        outputs[f"{key}.padded"] = padded
        valid = valid_voxels(sizes, (side, side, side))
        outputs[f"{key}.mask"] = valid[:, None].expand_as(padded).float()
    return outputs


@golden("nerf_mae/patchify")
def patches(case: Case) -> dict[str, Tensor]:
    made = patchify(case.inputs["x"], PATCH)
    return {
        "patches": made,
        "mask_patches": patchify(case.inputs["mask"][:, :1], PATCH).int(),
        "unpatchified": unpatchify(made, PATCH).permute(0, 2, 3, 4, 1),
    }


@golden("nerf_mae/masking")
@torch.no_grad()
def masking(case: Case) -> dict[str, Tensor]:
    outputs = {}
    for c in case.config["cases"]:
        key, same = c["key"], re.search(r"same x/token as (\w+)", c["strategy"])
        source = same.group(1) if same else key
        x, token = case.inputs[f"{source}.x"], case.inputs[f"{source}.token"]
        mask = _strategy_mask(case, c, (x.shape[1], x.shape[2], x.shape[3]))
        mask = mask.expand(x.shape[0], -1, -1, -1)
        outputs[f"{key}.mask"] = mask[..., None].float()
        outputs[f"{key}.y"] = _tokens_only(token).embed(x, mask)
    return outputs


def _strategy_mask(case: Case, c: dict, tokens: tuple[int, int, int]) -> Tensor:
    words: str = c["strategy"]
    if words == "random":
        return blocks_from_draws(case.inputs[f"{c['key']}.draws"], tokens, BLOCK, c["p"])
    if words.startswith("grid: 3 masked then 1 kept"):
        return grid_blocks(tokens, BLOCK)
    if words.startswith("what the current class calls grid"):
        return first_quarter_blocks(tokens, BLOCK)
    if words.startswith("three slabs"):
        return slab_blocks(tokens, BLOCK, case.inputs[f"{c['key']}.h_starts"].tolist())
    raise LookupError(f"unknown masking strategy: {words!r}")


def _tokens_only(token: Tensor) -> Swin3D:
    """An encoder whose input already is its tokens."""
    encoder = Swin3D(embed_dim=token.numel(), depths=(), heads=(), mask_token=True)
    encoder.patch_partition = nn.Identity()
    encoder.mask_token = nn.Parameter(token)
    return encoder
