"""nerf_mae: detector backbones, voxel labelling, super-resolution."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from golden.adapters.nerf_mae_blocks import loaded
from golden.case import Case
from golden.registry import golden
from maskfield.methods.nerf_mae.config import SIZES, NerfMAEConfig
from maskfield.methods.nerf_mae.convert import to_official
from maskfield.methods.nerf_mae.convert_downstream import (
    downstream_to_official,
    load_official_downstream,
)
from maskfield.methods.nerf_mae.downstream import (
    DetectorBackbone,
    PlainSuperResolution,
    SemanticNetwork,
    SuperResolution,
    scratch,
    super_resolution_loss,
)
from maskfield.methods.nerf_mae.layout import pad_to_cube
from maskfield.methods.nerf_mae.metrics import official_metrics
from maskfield.metrics.segmentation import class_counts, soft_iou
from maskfield.nn.fpn import FeaturePyramid

OFFICIAL_RESOLUTION = 160


def config_of(case: Case, *, pretrained: bool) -> NerfMAEConfig:
    """The case's size, as the pre-trained or the scratch variant."""
    c: dict[str, Any] = case.config["config"]
    size = NerfMAEConfig(
        resolution=case.config.get("resolution", OFFICIAL_RESOLUTION),
        embed_dim=c["embed_dim"],
        depths=tuple(c["depths"]),
        heads=tuple(c["num_heads"]),
        window=tuple(c["window"]),
        patch=c["patch"][0],
        compat="official",
    )
    return size if pretrained else scratch(size)


def official(case: Case, network: nn.Module, **known: Tensor) -> nn.Module:
    """``network`` with the case's weights; ``known`` are stored inputs that are weights."""
    weights = case.state_dict(downstream_to_official(network.state_dict()))
    load_official_downstream(network, {**weights, **known})
    return network.eval()


@golden("nerf_mae/fpn")
@torch.no_grad()
def fpn(case: Case) -> dict[str, Tensor]:
    c = case.config
    pyramid = loaded(FeaturePyramid(c["in_channels"], c["out_channels"]), case.weights)
    levels = pyramid([case.inputs[f"x{i}"] for i in range(len(c["in_channels"]))])
    return {f"y{i}": y for i, y in enumerate(levels)}


@golden("nerf_mae/det_backbone_pretrained")
@torch.no_grad()
def backbone_pretrained(case: Case) -> dict[str, Tensor]:
    config = config_of(case, pretrained=True)
    network = official(case, DetectorBackbone(config, case.config["fpn_out_channels"]))
    cubes, _ = pad_to_cube(case.grids(), config.resolution)
    return {f"level{i}": y for i, y in enumerate(network(cubes))}


@golden("nerf_mae/det_backbone_scratch")
@torch.no_grad()
def backbone_scratch(case: Case) -> dict[str, Tensor]:
    c = case.config
    config = config_of(case, pretrained=False)
    network = official(case, DetectorBackbone(config, c["fpn_out_channels"]))
    x = torch.from_numpy(case.unit(c["tensor_name"], tuple(c["input_shape"]))).float()
    return {f"level{i}": y for i, y in enumerate(network(x))}


@golden("nerf_mae/semantics_pretrained")
def semantics_pretrained(case: Case) -> dict[str, Any]:
    return _semantics(case, pretrained=True)


@golden("nerf_mae/semantics_scratch")
def semantics_scratch(case: Case) -> dict[str, Any]:
    return _semantics(case, pretrained=False)


@torch.no_grad()
def _semantics(case: Case, *, pretrained: bool) -> dict[str, Any]:
    config, classes = config_of(case, pretrained=pretrained), case.config["num_classes"]
    weights = case.inputs["class_weights"]
    network = official(
        case, SemanticNetwork(config, classes), **{"criterion.weight": weights.float()}
    )
    cubes, _ = pad_to_cube(case.grids(), config.resolution)
    stored = [case.inputs[f"labels{i}"].float() for i in range(len(cubes))]
    labels = pad_to_cube(stored, config.resolution)[0][:, 0].long()
    logits = network(cubes)
    loss, soft = network.loss(logits, labels), soft_iou(logits, labels).mean()
    guessed = logits.argmax(1)
    counts = class_counts(guessed, labels, classes)
    return {
        "logits": logits,
        "loss": loss,
        "ce_eval": loss,
        "iou_mean": soft,
        "iou_val": soft,
        "pred_labels_masked": torch.where(labels == 0, 0, guessed)[:, None],
        "intersection": counts.intersection,
        "union": counts.union,
        "target": counts.target,
        **{k: torch.tensor(v, dtype=torch.float64) for k, v in counts.summary().items()},
    }


@golden("nerf_mae/sr_skip")
@torch.no_grad()
def sr_skip(case: Case) -> dict[str, Tensor]:
    c = case.config
    config = config_of(case, pretrained=c["pretrained_variant"])
    network = official(case, SuperResolution(config, c["scale"]))
    cubes, _ = pad_to_cube(case.grids(), config.resolution)
    out = network(cubes)
    return {
        "pred": out,
        "out_size": torch.tensor(out.shape[-1]),
        **_errors(case, out),
    }


@golden("nerf_mae/sr_plain", channels_last=("pred",))
@torch.no_grad()
def sr_plain(case: Case) -> dict[str, Tensor]:
    c = case.config
    config = config_of(case, pretrained=c["pretrained_variant"])
    scale = c.get("scale", c["target_setting"] / OFFICIAL_RESOLUTION)
    network = official(case, PlainSuperResolution(config, scale))
    cubes, _ = pad_to_cube(case.grids(), config.resolution)
    patches = network.patches(cubes)
    return {
        "pred": patches,
        "patches": torch.tensor(patches.shape[1]),
        **_errors(case, network.voxels(patches)),
    }


def _errors(case: Case, out: Tensor) -> dict[str, Tensor]:
    targets, _ = pad_to_cube(case.grids("target"), out.shape[-1])
    metrics = official_metrics(out, targets)
    return {
        "loss": super_resolution_loss(out, targets),
        "mse": metrics["mse"],
        "psnr": metrics["psnr"],
    }


@golden("nerf_mae/state_dict_manifests")
def manifests(case: Case) -> dict[str, Any]:
    """Keys, shapes and types of the full-size networks meta.json counts."""
    networks = {name: _official_state(name) for name in case.config["totals"]}
    return {
        "manifests.json": {
            name: {
                key: {"shape": list(v.shape), "dtype": str(v.dtype).removeprefix("torch.")}
                for key, v in state.items()
            }
            for name, state in networks.items()
            if state is not None
        }
    }


def _official_state(name: str) -> dict[str, Tensor] | None:
    """State dict, on no device, of the network called FAMILY.VARIANT[.CLASSES]; None if unknown."""
    family, variant, *classes = name.split(".")
    with torch.device("meta"):
        if family == "masked_autoencoder":
            return to_official(SIZES[variant].build().state_dict())
        config = SIZES["swin_s"] if variant.startswith("pretrained") else scratch(SIZES["swin_s"])
        if family == "detector_backbone":
            network: nn.Module = DetectorBackbone(config)
        elif family == "semantics" and variant.endswith("skip"):
            network = SemanticNetwork(config, int(classes[0]))
        elif family == "sr":
            build = PlainSuperResolution if variant.endswith("plain") else SuperResolution
            network = build(config, 1.6)
        else:
            return None
    return downstream_to_official(network.state_dict())
