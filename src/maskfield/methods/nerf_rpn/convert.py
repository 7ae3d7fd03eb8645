"""Official NeRF-RPN checkpoints in and out.

An official ``.pt`` holds ``backbone_state_dict`` and one of ``fcos_state_dict``,
``rpn_head_state_dict``, ``RCNN_dict``. Our names differ in prefixes only: ``encoder.`` before what
is not the pyramid (officially nothing, or ``base.`` in NeRF-MAE's detectors) and ``fpn_neck.``
before the ResNet's pyramid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from maskfield.core.errors import CheckpointError
from maskfield.core.files import StrPath
from maskfield.engine.checkpoint import read_foreign, write_foreign
from maskfield.engine.strict import load_strictly
from maskfield.methods.nerf_rpn.config import (
    AnchorConfig,
    FCOSConfig,
    NerfRPNConfig,
    ResNetConfig,
    SwinConfig,
    VGGConfig,
)
from maskfield.methods.nerf_rpn.model.detector import Detector
from maskfield.nn.vgg3d import BLOCKS, Variant

StateDict = dict[str, Tensor]
HeadKind = Literal["fcos", "anchor", "objectness"]
HEAD_FIELDS: dict[HeadKind, str] = {
    "fcos": "fcos_state_dict",
    "anchor": "rpn_head_state_dict",
    "objectness": "RCNN_dict",
}
BACKBONE_FIELD = "backbone_state_dict"
PYRAMID, RESNET_PYRAMID = "fpn_neck.", ("latlayers.", "smooths.")
ENCODER, BASE, TABLE = "encoder.", "base.", "encoder.pos_embed"
HEAD_PREFIX = {"fcos": "head.", "anchor": "", "objectness": ""}
REGION_NAMES = {"bbox_pred.": "RCNN_bbox_pred.", "cls_score.": "RCNN_cls_score."}


@dataclass(frozen=True, kw_only=True)
class OfficialDetector:
    """What an official ``.pt`` holds; state dicts with official names."""

    head_kind: HeadKind
    head: StateDict
    backbone: StateDict | None = None
    epoch: int = 0
    train_args: Mapping[str, Any] = field(default_factory=dict)


def backbone_from_official(state_dict: Mapping[str, Tensor]) -> StateDict:
    """Official names of a backbone to ours; a ``module.`` prefix left by DDP is dropped."""
    return {_our_backbone_name(key): value for key, value in state_dict.items()}


def backbone_to_official(state_dict: Mapping[str, Tensor]) -> StateDict:
    """Our names to the official ones; a positional table says ``base.`` (a NeRF-MAE detector)."""
    base = BASE if TABLE in state_dict else ""
    return {_official_backbone_name(key, base): value for key, value in state_dict.items()}


def head_from_official(state_dict: Mapping[str, Tensor], kind: HeadKind) -> StateDict:
    """Official names of a head to ours."""
    keys = {k: k.removeprefix("module.").removeprefix(HEAD_PREFIX[kind]) for k in state_dict}
    if kind == "objectness":
        keys = {k: v.removeprefix("RCNN_") for k, v in keys.items()}
    return {keys[k]: value for k, value in state_dict.items()}


def head_to_official(state_dict: Mapping[str, Tensor], kind: HeadKind) -> StateDict:
    """Our names of a head to the official ones."""
    return {_official_head_name(k, kind): value for k, value in state_dict.items()}


def load_official_weights(
    detector: Detector, official: OfficialDetector, *, file: StrPath | None = None
) -> None:
    """Load backbone and head strictly.

    Raises:
        CheckpointError: another head or backbone; the message lists the differences.
    """
    wanted = detector.config.head.kind
    if official.head_kind != wanted or official.backbone is None:
        raise CheckpointError(
            "the checkpoint holds another kind of head, or no backbone",
            file=file,
            field="head",
            value=official.head_kind,
            remedy=f"give a checkpoint with {BACKBONE_FIELD} and {HEAD_FIELDS[wanted]}",
        )
    backbone = backbone_from_official(official.backbone)
    load_strictly(detector.backbone, backbone, part="backbone", file=file)
    head = head_from_official(official.head, wanted)
    load_strictly(detector.head, head, part="head", file=file)


def read_official(path: StrPath) -> OfficialDetector:
    """Read a ``.pt`` without running code from it.

    Raises:
        CheckpointError: missing, damaged, or not a detector (a masked autoencoder, say).
    """
    return detector_of(read_foreign(path), path)


def detector_of(content: Any, path: StrPath) -> OfficialDetector:
    """The same for content that was read already.

    Raises:
        CheckpointError: not a detector.
    """
    found = sorted(map(str, content)) if isinstance(content, dict) else type(content).__name__
    kinds: list[HeadKind] = []
    if isinstance(content, dict):
        kinds = [k for k, name in HEAD_FIELDS.items() if name in content]
    if not kinds:
        raise CheckpointError(
            "not an official NeRF-RPN checkpoint (no fcos, rpn_head or RCNN weights)",
            file=path,
            field="keys",
            value=found,
            remedy="give model_best.pt of a detector; a masked autoencoder is another method",
        )
    return OfficialDetector(
        head_kind=kinds[0],
        head=dict(content[HEAD_FIELDS[kinds[0]]]),
        backbone=content.get(BACKBONE_FIELD),
        epoch=int(content.get("epoch") or 0),
        train_args=content.get("train_args") or {},
    )


def write_official(
    detector: Detector,
    path: StrPath,
    *,
    epoch: int = 0,
    train_args: Mapping[str, Any] | None = None,
) -> Path:
    """Write a ``.pt`` that the official code loads.

    Raises:
        CheckpointError: a network that the official code would compute otherwise.
    """
    if isinstance(detector.config.backbone, SwinConfig) and detector.config.backbone.norm_outputs:
        raise CheckpointError(
            "the official code does not normalise the maps of the encoder",
            file=path,
            field="norm_outputs",
            value=True,
            remedy="keep it in our own format, or train with norm_outputs=false",
        )
    kind = detector.config.head.kind
    content = {
        "epoch": epoch,
        BACKBONE_FIELD: _stored(backbone_to_official(detector.backbone.state_dict())),
        HEAD_FIELDS[kind]: _stored(head_to_official(detector.head.state_dict(), kind)),
        "train_args": dict(train_args or {}),
    }
    return write_foreign(path, content)


def load_official(path: StrPath) -> Detector:
    """The detector of an official checkpoint, its sizes read from the file.

    Post-processing and loss options, which no weight shows, are the defaults.
    """
    official = read_official(path)
    detector = config_from_official(official, file=path).build()
    load_official_weights(detector, official, file=path)
    return detector


def config_from_official(
    official: OfficialDetector, *, file: StrPath | None = None
) -> NerfRPNConfig:
    """The config that fits an official checkpoint, read from its keys and shapes.

    Raises:
        CheckpointError: keys that every detector has are missing.
    """
    backbone = backbone_from_official(official.backbone or {})
    head = head_from_official(official.head, official.head_kind)
    try:
        channels = int(head["bbox_pred.weight"].shape[1])
        backbone_config = _backbone_config(backbone)
        head_config = _head_config(head, official.head_kind)
    except (KeyError, StopIteration, ValueError) as error:
        raise CheckpointError(
            f"not a detector this package knows: {error} is missing",
            file=file,
            field=BACKBONE_FIELD,
            value=sorted(backbone)[:4],
            remedy="give a checkpoint of run_rpn, run_fcos or run_fcos_pretrained",
        ) from error
    table = backbone_config.table_resolution if isinstance(backbone_config, SwinConfig) else None
    return NerfRPNConfig(
        backbone=backbone_config, head=head_config, channels=channels, resolution=table
    )


def _backbone_config(keys: Mapping[str, Tensor]) -> SwinConfig | VGGConfig | ResNetConfig:
    if "encoder.patch_partition.0.weight" in keys:
        return _swin_config(keys)
    if "encoder.conv1.weight" in keys:
        depths = tuple(_children(keys, f"encoder.layers.{i}.") for i in range(4))
        return ResNetConfig(depths=depths, width=keys["encoder.conv1.weight"].shape[0])
    first = 4 if "encoder.layers.7.0.weight" in keys else 3
    convs = [_children(keys, f"encoder.layers.{i}.") // 2 for i in range(first, first + 4)]
    start = keys.get("encoder.starting_layers.0.bias")
    variant: Variant = next(v for v, blocks in BLOCKS.items() if [len(b) for b in blocks] == convs)
    return VGGConfig(
        variant=variant,
        width=len(keys["encoder.layers.0.bias"]),
        input_size=160 if first == 4 else 64,
        start_width=0 if start is None else len(start),
    )


def _swin_config(keys: Mapping[str, Tensor]) -> SwinConfig:
    partition = keys["encoder.patch_partition.0.weight"]
    bias = "attn.relative_position_bias_table"
    patch = partition.shape[-1]
    table = keys.get(TABLE)
    stages = range(4)
    return SwinConfig(
        embed_dim=partition.shape[0],
        depths=tuple(_children(keys, f"encoder.stages.{s}.") - (s > 0) for s in stages),
        heads=tuple(keys[f"encoder.stages.{s}.{int(s > 0)}.{bias}"].shape[1] for s in stages),
        patch=patch,
        table_resolution=None if table is None else table.shape[1] * patch,
    )


def _head_config(keys: Mapping[str, Tensor], kind: HeadKind) -> FCOSConfig | AnchorConfig:
    if kind == "fcos":
        convs = _children(keys, "cls_tower.") // 2
        return FCOSConfig(rotated=keys["bbox_pred.weight"].shape[0] == 8, convs=convs)
    if kind == "anchor":
        per_anchor = keys["bbox_pred.weight"].shape[0] // keys["cls_logits.weight"].shape[0]
        return AnchorConfig(rotated=per_anchor == 8, convs=_children(keys, "conv."))
    raise KeyError("fcos_state_dict or rpn_head_state_dict")


def _children(keys: Mapping[str, Tensor], prefix: str) -> int:
    return len({k[len(prefix) :].split(".")[0] for k in keys if k.startswith(prefix)})


def _our_backbone_name(key: str) -> str:
    key = key.removeprefix("module.").removeprefix(BASE)
    if key.startswith(PYRAMID):
        return key
    return f"{PYRAMID}{key}" if key.startswith(RESNET_PYRAMID) else f"{ENCODER}{key}"


def _official_backbone_name(key: str, base: str) -> str:
    if key.startswith(ENCODER):
        return base + key.removeprefix(ENCODER)
    short = key.removeprefix(PYRAMID)
    return short if short.startswith(RESNET_PYRAMID) else key


def _official_head_name(key: str, kind: HeadKind) -> str:
    if kind == "objectness":
        for ours, official in REGION_NAMES.items():
            key = official + key.removeprefix(ours) if key.startswith(ours) else key
    return HEAD_PREFIX[kind] + key


def _stored(state_dict: StateDict) -> StateDict:
    return {k: v.detach().cpu().contiguous() for k, v in state_dict.items()}
