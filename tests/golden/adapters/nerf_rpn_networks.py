"""nerf_rpn: backbones, pyramid, heads, the official state dicts."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from golden.adapters.nerf_mae_blocks import loaded
from golden.case import Case
from golden.registry import golden
from golden.words import words_of
from maskfield.engine.strict import load_strictly
from maskfield.methods.nerf_rpn.batches import GridBatch, pad_grids
from maskfield.methods.nerf_rpn.config import (
    BACKBONES,
    AnchorConfig,
    FCOSConfig,
    ObjectnessConfig,
    ResNetConfig,
    SwinConfig,
    VGGConfig,
)
from maskfield.methods.nerf_rpn.convert import (
    backbone_from_official,
    backbone_to_official,
    head_from_official,
    head_to_official,
)
from maskfield.methods.nerf_rpn.locations import level_locations, level_validity
from maskfield.methods.nerf_rpn.model.anchor_head import AnchorHead
from maskfield.methods.nerf_rpn.model.backbones import Backbone, BackboneConfig, build_backbone
from maskfield.methods.nerf_rpn.model.fcos_head import FCOSHead
from maskfield.methods.nerf_rpn.model.outputs import cells_of
from maskfield.methods.nerf_rpn.model.region_head import RegionHead
from maskfield.nn.fpn import FeaturePyramid
from maskfield.nn.swin3d import Swin3D

FULL_WIDTH, FULL_PYRAMID = 64, 256
FIRST_LEVEL = 2  # p2 is the level of stride 4


def small_backbone(
    config: dict[str, Any], weights: dict[str, Tensor]
) -> tuple[BackboneConfig, int]:
    """Backbone and pyramid channels of a case's own, small configuration."""
    if "patch_size" in config:
        return swin_config(config), config["out_channels"]
    width = FULL_WIDTH // config.get("width_divisor", 1)
    pyramid = FULL_PYRAMID // config.get("width_divisor", 1)
    if "cfg" in config:
        start = weights.get("starting_layers.0.weight")
        vgg = VGGConfig(
            variant=config["cfg"],
            width=width,
            input_size=config["input_size"],
            start_width=0 if start is None else start.shape[0],
        )
        return vgg, pyramid
    pool = config["is_max_pool"]
    return ResNetConfig(depths=tuple(config["layers"]), width=width, max_pool=pool), pyramid


def swin_config(config: dict[str, Any]) -> SwinConfig:
    """A Swin transformer in official words."""
    return SwinConfig(
        embed_dim=config["embed_dim"],
        depths=tuple(config["depths"]),
        heads=tuple(config["num_heads"]),
        window=tuple(config["window_size"]),
        patch=config["patch_size"][0],
        stochastic_depth=config.get("stochastic_depth_prob", 0.0),
    )


def official_backbone(backbone: Backbone, weights: dict[str, Tensor]) -> Backbone:
    """``backbone`` in eval mode with official weights."""
    load_strictly(backbone, backbone_from_official(weights), part="backbone")
    backbone.eval()
    return backbone


@golden("nerf_rpn/backbone")
@torch.no_grad()
def backbone_kind(case: Case) -> dict[str, Tensor]:
    config, channels = small_backbone(case.config["config"], case.weights)
    network = official_backbone(build_backbone(config, channels), case.weights)
    seen: dict[str, Tensor] = {}
    for name, module in network.encoder.named_modules():
        module.register_forward_hook(_keep(seen, f"mid.{name}"))
    answer = levels(network(case.inputs["x"]))
    answer.update(seen)
    if isinstance(network.encoder, Swin3D):
        stages = network.encoder(case.inputs["x"])
        answer.update({f"mid.stages.{i}": stage for i, stage in enumerate(stages)})
    if "train" in words_of(case.config):
        network.train()
        answer.update(levels(network(case.inputs["x"]), "train_"))
        state = backbone_to_official(network.state_dict())
        answer.update({f"train_after.{k}": v for k, v in state.items()})
    return answer


def _keep(seen: dict[str, Tensor], name: str) -> Any:
    def hook(module: nn.Module, arguments: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            seen.setdefault(name, output.clone())

    return hook


def levels(maps: list[Tensor], prefix: str = "") -> dict[str, Tensor]:
    """p2, p3, ... of a list of maps."""
    return {f"{prefix}p{i + FIRST_LEVEL}": m for i, m in enumerate(maps)}


@golden("nerf_rpn/fpn")
@torch.no_grad()
def fpn(case: Case) -> dict[str, Tensor]:
    c = case.config["config"]
    extra = c.get("add_extra_convs") or "pool"
    pyramid = FeaturePyramid(
        c["in_channels"],
        c["out_channels"],
        extra_levels=c["num_outs"] - len(c["in_channels"]),
        extra_source="on_input" if extra is True else extra,
        extra_relu=c.get("relu_before_extra_convs", False),
    )
    maps = [case.inputs[f"c{i}"] for i in range(len(c["in_channels"]))]
    found = loaded(pyramid, case.weights)(maps)
    return {f"p{i}": p for i, p in enumerate(found)}


@golden("nerf_rpn/full_backbone")
@torch.no_grad()
def full_backbone(case: Case) -> dict[str, Tensor]:
    network = build_backbone(BACKBONES[case.config["config"]["backbone"]])
    weights = case.state_dict(backbone_to_official(network.state_dict()))
    official_backbone(network, weights)
    x = case.unit(f"input:{case.name}", tuple(case.config["input_shape"]))
    return stored_maps(network(torch.from_numpy(x).float()))


def stored_maps(maps: list[Tensor]) -> dict[str, Tensor]:
    """As ``output_note`` says: every 32nd channel of big maps, and the mean over channels."""
    big = [m.shape[1] >= 64 and m[0, 0].numel() > 20 for m in maps]
    strided = [m[:, ::32] if b else m for m, b in zip(maps, big, strict=True)]
    means = {f"{k}_mean_over_channels": m.mean(1) for k, m in levels(maps).items()}
    return {**levels(strided), **means}


@golden("nerf_rpn/full_heads")
@torch.no_grad()
def full_heads(case: Case) -> dict[str, Tensor]:
    shapes = case.inputs["feature_shapes"].tolist()
    maps = [
        torch.from_numpy(-1 + 2 * case.unit(f"{case.name}:feature{i}", (1, FULL_PYRAMID, *s)))
        for i, s in enumerate(shapes)
    ]
    maps = [m.float() for m in maps]
    anchor = AnchorHead(AnchorConfig(rotated=case.config["obb"]))
    weights = case.state_dict(head_to_official(anchor.state_dict(), "anchor"))
    load_strictly(anchor, head_from_official(weights, "anchor"), part="head")
    outputs = anchor(maps)
    return {
        **fcos_outputs(official_fcos(case, FCOSConfig(rotated=case.config["obb"])), maps),
        **{f"rpn_objectness_{i}": out.logits for i, out in enumerate(outputs)},
        **{f"rpn_deltas_{i}": out.deltas for i, out in enumerate(outputs)},
    }


def official_fcos(case: Case, config: FCOSConfig, channels: int = FULL_PYRAMID) -> FCOSHead:
    """The anchor-free head with the case's weights."""
    head = FCOSHead(config, channels)
    weights = case.state_dict(head_to_official(head.state_dict(), "fcos"))
    own = {k: v for k, v in weights.items() if k.startswith("head.")}
    load_strictly(head, head_from_official(own, "fcos"), part="head")
    return head


def fcos_outputs(head: FCOSHead, maps: list[Tensor]) -> dict[str, Tensor]:
    """Outputs in eval-mode convention: distances in voxels."""
    outputs = head(maps)
    return {
        **{f"bbox_reg_{i}": r for i, r in enumerate(head.in_voxels(outputs))},
        **{f"logits_{i}": out.logits for i, out in enumerate(outputs)},
        **{f"centerness_{i}": out.centerness for i, out in enumerate(outputs)},
    }


@golden("nerf_rpn/mae_resolution_padding")
@torch.no_grad()
def mae_resolution_padding(case: Case) -> dict[str, Tensor]:
    resolution = case.config["resolution"]
    network = build_backbone(SwinConfig(table_resolution=resolution))
    template = backbone_to_official(network.state_dict())
    official_backbone(network, case.state_dict(template))
    head = official_fcos(case, FCOSConfig(convs=case.config["num_convs"]))
    sizes = [tuple(s) for s in case.inputs["original_sizes"].tolist()]
    grids = [
        torch.from_numpy(case.unit(f"{case.name}:grid{i}", (4, *s))).float()
        for i, s in enumerate(sizes)
    ]
    batch = pad_grids(grids, resolution)
    maps = network(batch.grids)
    table = template["base.pos_embed"][0]
    return {
        **stored_maps(maps),
        **fcos_outputs(head, maps),
        **padding_masks(batch, maps),
        "pos_embed_first_cell_and_123": table[(0, 1, 3), (0, 2, 1), (0, 3, 2)],
    }


def padding_masks(batch: GridBatch, maps: list[Tensor]) -> dict[str, Tensor]:
    """Which locations lie inside each scene, per level."""
    valid = level_validity(level_locations(cells_of(maps)), batch.sizes)
    return {f"padding_mask_{i}": v for i, v in enumerate(valid)}


@golden("nerf_rpn/state_dict_manifest")
def state_dict_manifest(case: Case) -> dict[str, Any]:
    """Keys, shapes and types of the official default models."""
    with torch.device("meta"):
        networks = _official_states()
    return {
        "manifest.json": {
            name: {
                k: [list(v.shape), str(v.dtype).removeprefix("torch.")] for k, v in state.items()
            }
            for name, state in networks.items()
        }
    }


def _official_states() -> dict[str, dict[str, Tensor]]:
    states = {
        f"backbone_state_dict {name}": backbone_to_official(build_backbone(c).state_dict())
        for name, c in BACKBONES.items()
    }
    tuned = build_backbone(SwinConfig(table_resolution=160))
    states["backbone_state_dict NeRF-MAE fine-tuned (resolution 160)"] = backbone_to_official(
        tuned.state_dict()
    )
    for rotated, word in ((True, "OBB"), (False, "AABB")):
        fcos = FCOSHead(FCOSConfig(rotated=rotated)).state_dict()
        states[f"fcos_state_dict ({word}, default)"] = head_to_official(fcos, "fcos")
        anchor = AnchorHead(AnchorConfig(rotated=rotated)).state_dict()
        key = f"rpn_head_state_dict ({word}, conv_depth 4)"
        states[key] = head_to_official(anchor, "anchor")
    full, plain = ObjectnessConfig(), ObjectnessConfig(extra_layers=False, flatten=False)
    for config, words in (
        (full, "OBB, output 3x3x3, is_add_layer, is_flatten, 2 classes"),
        (plain, "OBB, no add layer, mean pooling"),
    ):
        state = RegionHead(config).state_dict()
        states[f"RCNN_dict ({words})"] = head_to_official(state, "objectness")
    return states
