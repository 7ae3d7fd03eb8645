"""An official checkpoint: what it holds, and the configuration it amounts to.

What a file holds follows from its keys. Its configuration comes from its own ``train_args`` where
this program wrote it, else from keys and shapes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from maskfield.core.errors import CheckpointError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from maskfield.engine.config import RunConfig

Kind = Literal["autoencoder", "detector", "semantic", "superres", "pixelnerf", "backbone"]
NAMES: dict[Kind, str] = {
    "autoencoder": "a masked autoencoder",
    "detector": "a detector",
    "semantic": "a semantic network",
    "superres": "a super-resolution network",
    "pixelnerf": "a pixelNeRF",
    "backbone": "a ResNet for images",
}
_MARKS: dict[str, Kind] = {
    "sem_out.": "semantic",
    "voxel_out.": "superres",
    "super_resolution_decoder.": "superres",  # its pre-trained variant keeps a mask token too
    "mask_token": "autoencoder",
}
_OF_METHODS: dict[str, Kind] = {
    "nerf-mae": "autoencoder",
    "nerf-rpn": "detector",
    "nerf-mae-detect": "detector",
    "nerf-mae-segment": "semantic",
    "nerf-mae-superres": "superres",
    "pixelnerf": "pixelnerf",
}
_PAPER_SIDE = 160
_BACKBONE_MARK = "layer1.0.conv1.weight"  # in torchvision's ImageNet weights


@dataclass(frozen=True, kw_only=True)
class Official:
    """An official checkpoint as it was read."""

    kind: Kind
    content: dict[str, Any]
    file: Path

    @property
    def train_args(self) -> Mapping[str, Any]:
        """The flags it was trained with; our whole configuration where we wrote the file.

        A pixelNeRF's file is a state dict and nothing else.
        """
        return self.content.get("train_args") or {}


def read_checkpoint(source: Path) -> Official:
    """Read an official checkpoint; no code from it is run.

    Raises:
        CheckpointError: missing, damaged, or nothing this program knows.
    """
    from maskfield.engine.checkpoint import read_foreign

    content = read_foreign(source)
    return Official(kind=kind_of(content, source), content=content, file=source)


def config_of(official: Official) -> RunConfig:
    """The configuration a file carries, or the one its keys and shapes amount to.

    Raises:
        CheckpointError: keys are missing, or what is needed is neither in weights nor flags.
    """
    from maskfield.core.config import from_dict
    from maskfield.engine.config import RunConfig

    stored = official.train_args.get("method")
    if isinstance(stored, dict) and stored.get("type") in _OF_METHODS:
        try:
            config = from_dict(RunConfig, dict(official.train_args))
        except ConfigError as error:
            raise CheckpointError(
                f"the configuration in the checkpoint cannot be read: {error.problem}",
                file=official.file,
                field=f"train_args.{error.field}",
                value=error.value,
                remedy="give the recipe (or a config file) with --recipe",
            ) from error
    else:
        config = RunConfig(method=_method(official), name=official.file.stem)
    return replace(config, data=config.data or _data(official, config.method))


def kind_of(content: Any, file: Path) -> Kind:
    """What the content of an official file is.

    Raises:
        CheckpointError: nothing this program knows.
    """
    from maskfield.methods.nerf_rpn.convert import HEAD_FIELDS
    from maskfield.methods.pixelnerf.convert import is_official

    keys = list(map(str, content)) if isinstance(content, dict) else []
    if any(name in keys for name in HEAD_FIELDS.values()):
        return "detector"
    if is_official(content):
        return "pixelnerf"
    if _BACKBONE_MARK in keys:
        return "backbone"
    state = content.get("state_dict") if keys else None
    names = list(state) if isinstance(state, dict) else []
    for mark, kind in _MARKS.items():
        if any(mark in name for name in names):
            return kind
    raise CheckpointError(
        "not an official checkpoint of a kind this program knows",
        file=file,
        field="keys",
        value=(names or sorted(keys))[:4] or type(content).__name__,
        remedy=f"known: {', '.join(NAMES.values())} (NeRF-MAE, NeRF-RPN, pixelNeRF)",
    )


def kind_of_method(method: Any, file: Path | None = None) -> Kind:
    """What the network of a method's config is.

    Raises:
        CheckpointError: none with an official counterpart.
    """
    from maskfield.core.registry import CONFIGS, key_of

    key = key_of(CONFIGS, type(method)) or ""
    if key not in _OF_METHODS:
        raise CheckpointError(
            "these weights have no official counterpart",
            file=file,
            field="config.method",
            value=type(method).__name__,
            remedy=f"known: {', '.join(_OF_METHODS)}",
        )
    return _OF_METHODS[key]


def _method(official: Official) -> Any:
    """The method's config from keys and shapes."""
    from maskfield.methods.nerf_mae import convert as mae
    from maskfield.methods.nerf_mae import convert_downstream as downstream
    from maskfield.methods.nerf_rpn import convert as rpn
    from maskfield.methods.pixelnerf import convert as pixelnerf

    content, file = official.content, official.file
    if official.kind == "detector":
        return rpn.config_from_official(rpn.detector_of(content, file), file=file)
    if official.kind == "backbone":
        raise CheckpointError(
            "ImageNet weights are one part of a network only",
            file=file,
            field="keys",
            value=sorted(content)[:4],
            remedy="say which network they begin: --recipe pixelnerf:paper, or pretrain --init",
        )
    if official.kind == "pixelnerf":
        return pixelnerf.config_from_official(pixelnerf.state_of(content, file), file=file)
    checkpoint = mae.checkpoint_of(content, file)
    if official.kind == "semantic":
        return downstream.semantic_from_official(checkpoint)
    if official.kind == "superres":
        return downstream.super_resolution_from_official(checkpoint, file=file)
    return mae.config_from_official(checkpoint.state_dict)


def _data(official: Official, method: Any) -> Any:
    """The data a network expects, as far as its checkpoint tells."""
    from maskfield.data.config import GridDataConfig
    from maskfield.data.object_config import ObjectDataConfig

    if official.kind == "pixelnerf":
        return ObjectDataConfig(official_centres=True)
    side = getattr(getattr(method, "base", method), "resolution", None)
    head = getattr(method, "head", None)
    given = official.train_args.get("resolution")
    return GridDataConfig(
        resolution=side or (given if isinstance(given, int) and given > 0 else _PAPER_SIDE),
        boxes="aabb" if head is not None and not head.rotated else "obb",
    )
