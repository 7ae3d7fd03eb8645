"""What the original code's configuration trees mean, and the trees of its experiments.

A key that a tree does not have means the original *code's* default, which often is not that of
its default file (spec pixelnerf 2).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from maskfield.core.errors import ConfigError
from maskfield.core.registry import suggestion
from maskfield.data.object_config import ObjectFormat
from maskfield.methods.pixelnerf.config import (
    CodeConfig,
    EncoderConfig,
    GlobalEncoderConfig,
    LossConfig,
    MLPConfig,
    PixelNeRFConfig,
    ResNetEncoderConfig,
    SamplingConfig,
    UNetEncoderConfig,
)
from maskfield.methods.pixelnerf.hocon import Tree, merged

WHITE = (1.0, 1.0, 1.0)
_MODEL: Tree = {
    "type": "pixelnerf",
    "use_encoder": True,
    "use_global_encoder": False,
    "use_xyz": False,
    "canon_xyz": False,  # never read officially
    "normalize_z": True,
    "use_code": False,
    "use_code_viewdirs": True,
    "use_viewdirs": False,
    "stop_encoder_grad": False,
    "code": {},
    "mlp_coarse": {},
    "mlp_fine": {},
    "encoder": {},
    "global_encoder": {},
}
_ENCODER: Tree = {
    "type": "spatial",
    "backbone": "resnet34",
    "pretrained": True,
    "num_layers": 4,
    "index_interp": "bilinear",
    "index_padding": "border",
    "upsample_interp": "bilinear",
    "feature_scale": 1.0,
    "use_first_pool": True,
    "norm_type": "batch",
    "latent_size": 128,
}
_GLOBAL: Tree = {"type": "global", "backbone": "resnet34", "pretrained": True, "latent_size": 128}
_CODE: Tree = {"num_freqs": 6, "freq_factor": math.pi, "include_input": True}
_MLP: Tree = {
    "type": "mlp",
    "n_blocks": 5,
    "d_hidden": 128,
    "beta": 0.0,
    "combine_layer": 1000,
    "combine_type": "average",
    "use_spade": False,
}
_RENDERER: Tree = {
    "n_coarse": 128,
    "n_fine": 0,
    "n_fine_depth": 0,
    "noise_std": 0.0,
    "depth_std": 0.01,
    "white_bkgd": False,
    "eval_batch_size": 100000,  # chunks follow a memory budget here
    "lindisp": False,
    "sched": [],
}
_LOSS: Tree = {
    "rgb": {"use_l1": False, "use_uncertainty": False},
    "rgb_fine": {"use_l1": False, "use_uncertainty": False},
    "alpha": {
        "lambda_alpha": 0.0,
        "clamp_alpha": 100,
        "init_epoch": 5,
        "force_opaque": False,
    },
    "lambda_coarse": 1.0,
    "lambda_fine": 1.0,
}
_RESNET_34 = {"backbone": "resnet34", "pretrained": True, "num_layers": 4}
_THREE_BLOCKS = {"type": "resnet", "n_blocks": 3, "d_hidden": 512}
_MERGING = {"n_blocks": 5, "combine_layer": 3, "combine_type": "average"}

DEFAULT: Tree = {
    "model": {
        "use_encoder": True,
        "use_global_encoder": False,
        "use_xyz": True,
        "canon_xyz": False,
        "use_code": True,
        "code": {"num_freqs": 6, "freq_factor": 1.5, "include_input": True},
        "use_viewdirs": True,
        "use_code_viewdirs": False,
        "mlp_coarse": _THREE_BLOCKS,
        "mlp_fine": _THREE_BLOCKS,
        "encoder": _RESNET_34,
    },
    "renderer": {
        "n_coarse": 64,
        "n_fine": 32,
        "n_fine_depth": 16,
        "depth_std": 0.01,
        "sched": [],
        "white_bkgd": True,
    },
    "loss": {
        "rgb": {"use_l1": False},
        "rgb_fine": {"use_l1": False},
        "alpha": {"lambda_alpha": 0.0, "clamp_alpha": 100, "init_epoch": 5},
        "lambda_coarse": 1.0,
        "lambda_fine": 1.0,
    },
    "train": {
        "print_interval": 2,
        "save_interval": 50,
        "vis_interval": 100,
        "eval_interval": 50,
        "accu_grad": 1,
        "num_epoch_repeats": 1,
    },
}
DEFAULT_MV = merged(DEFAULT, {"model": {"mlp_coarse": _MERGING, "mlp_fine": _MERGING}})


def _experiment(data_format: str, more: Tree | None = None) -> Tree:
    return merged(merged(DEFAULT_MV, more or {}), {"data": {"format": data_format}})


_NO_POOL = {"model": {"encoder": {"use_first_pool": False}}}
_DTU = {
    "renderer": {"white_bkgd": False},
    "train": {"vis_interval": 200, "num_epoch_repeats": 32},
}
EXPERIMENTS: dict[str, Tree] = {
    "default": DEFAULT,
    "default_mv": DEFAULT_MV,
    "srn": _experiment("srn"),
    "srn_car": _experiment("srn"),
    "srn_chair": _experiment("srn"),
    "sn64": _experiment("dvr", _NO_POOL),
    "sn64_unseen": _experiment("dvr_gen", _NO_POOL),
    "dtu": _experiment("dvr_dtu", _DTU),
    "multi_obj": _experiment("multi_obj"),
}


def config_of_tree(tree: Mapping[str, Any]) -> PixelNeRFConfig:
    """The config that a merged tree (blocks model, renderer, loss) means.

    Raises:
        ConfigError: unknown keys or values, with the nearest known name.
    """
    blocks = {name: tree.get(name, {}) for name in ("model", "renderer", "loss")}
    return model_config(blocks["model"], renderer=blocks["renderer"], loss=blocks["loss"])


def data_format(tree: Mapping[str, Any]) -> ObjectFormat:
    """The layout of the data that a tree names, officially "dvr" where it names none.

    Raises:
        ConfigError: no layout that is read here.
    """
    name = tree.get("data", {}).get("format", "dvr")
    formats: dict[str, ObjectFormat] = {
        "srn": "srn",
        "dvr": "dvr",
        "dvr_gen": "dvr_gen",
        "dvr_dtu": "dvr_dtu",
        "multi_obj": "multi_obj",
    }
    _refuse(name not in formats, "data.format", name, suggestion(str(name), formats))
    return formats[name]


def model_config(
    model: Mapping[str, Any],
    *,
    renderer: Mapping[str, Any] | None = None,
    loss: Mapping[str, Any] | None = None,
) -> PixelNeRFConfig:
    """The same for the blocks one by one.

    Raises:
        ConfigError: see :func:`config_of_tree`.
    """
    m = _known(model, _MODEL, "model")
    r = _known(renderer or {}, _RENDERER, "renderer")
    _refuse(m["type"] != "pixelnerf", "model.type", m["type"], "pixelnerf is the only type")
    coarse = _mlp(m["mlp_coarse"], "model.mlp_coarse")
    _refuse(coarse is None, "model.mlp_coarse.type", "empty", "only mlp_fine may be empty")
    assert coarse is not None
    return PixelNeRFConfig(
        encoder=encoder_config(m["encoder"]) if m["use_encoder"] else None,
        global_encoder=_global(m["global_encoder"]) if m["use_global_encoder"] else None,
        code=_code(m) if m["use_code"] else None,
        xyz=bool(m["use_xyz"]),
        directions=bool(m["use_viewdirs"]),
        normalize_z=bool(m["normalize_z"]),
        mlp=coarse,
        mlp_fine=_mlp(m["mlp_fine"], "model.mlp_fine"),
        sampling=_sampling(r),
        loss=_loss(_known(loss or {}, _LOSS, "loss")),
        background=WHITE if float(r["white_bkgd"]) > 0 else None,
        freeze_encoder=bool(m["stop_encoder_grad"]),
    )


def _code(model: Tree) -> CodeConfig:
    c = _known(model["code"], _CODE, "model.code")
    return CodeConfig(
        frequencies=c["num_freqs"],
        factor=float(c["freq_factor"]),
        include_input=bool(c["include_input"]),
        directions=bool(model["use_code_viewdirs"] and model["use_viewdirs"]),
    )


def encoder_config(tree: Mapping[str, Any]) -> EncoderConfig:
    """The encoder that a block model.encoder means."""
    e = _known(tree, _ENCODER, "model.encoder")
    if e["type"] == "global":
        return GlobalEncoderConfig(backbone=e["backbone"], latent_size=e["latent_size"])
    _refuse(e["type"] != "spatial", "model.encoder.type", e["type"], "choose spatial or global")
    if e["backbone"] == "custom":
        return UNetEncoderConfig(
            feature_scale=float(e["feature_scale"]),
            lookup=e["index_interp"],
            padding=e["index_padding"],
        )
    return ResNetEncoderConfig(
        backbone=e["backbone"],
        layers=e["num_layers"],
        first_pool=bool(e["use_first_pool"]),
        feature_scale=float(e["feature_scale"]),
        upsample=e["upsample_interp"],
        lookup=e["index_interp"],
        padding=e["index_padding"],
    )


def _global(tree: Mapping[str, Any]) -> GlobalEncoderConfig:
    g = _known(tree, _GLOBAL, "model.global_encoder")
    return GlobalEncoderConfig(backbone=g["backbone"], latent_size=g["latent_size"])


def _mlp(tree: Mapping[str, Any], field: str) -> MLPConfig | None:
    m = _known(tree, _MLP, field)
    if m["type"] == "empty":
        return None
    # officially the type is "mlp" by default, and building it fails (Q8)
    _refuse(m["type"] != "resnet", f"{field}.type", m["type"], "choose resnet (or empty)")
    return MLPConfig(
        blocks=m["n_blocks"],
        hidden=m["d_hidden"],
        combine_layer=m["combine_layer"],
        combine=m["combine_type"],
        beta=float(m["beta"]),
        spade=bool(m["use_spade"]),
    )


def _sampling(r: Tree) -> SamplingConfig:
    rows = zip(*r["sched"], strict=True) if r["sched"] else ()
    return SamplingConfig(
        coarse=r["n_coarse"],
        fine=r["n_fine"],
        fine_depth=r["n_fine_depth"],
        depth_std=float(r["depth_std"]),
        noise_std=float(r["noise_std"]),
        disparity=bool(r["lindisp"]),
        schedule=tuple((int(a), int(b), int(c)) for a, b, c in rows),
    )


def _loss(tree: Tree) -> LossConfig:
    known = {k: _known(tree[k], _LOSS[k], f"loss.{k}") for k in ("rgb", "rgb_fine", "alpha")}
    alpha = known["alpha"]
    return LossConfig(
        coarse=float(tree["lambda_coarse"]),
        fine=float(tree["lambda_fine"]),
        l1=bool(known["rgb"]["use_l1"]),
        fine_l1=bool(known["rgb_fine"]["use_l1"]),
        opacity=float(alpha["lambda_alpha"]),
        opacity_clamp=float(alpha["clamp_alpha"]),
        opacity_start=int(alpha["init_epoch"]),
        opaque=bool(alpha["force_opaque"]),
    )


def _known(tree: Mapping[str, Any], defaults: Tree, field: str) -> Tree:
    """The tree on top of the defaults of the code; unknown keys are refused."""
    for key in tree:
        if key not in defaults:
            raise ConfigError(
                "the original code knows no such key",
                field=f"{field}.{key}",
                value=tree[key],
                remedy=suggestion(str(key), defaults),
            )
    return {**defaults, **tree}


def _refuse(wrong: bool, field: str, value: object, remedy: str) -> None:
    if wrong:
        raise ConfigError("this option cannot be used", field=field, value=value, remedy=remedy)
