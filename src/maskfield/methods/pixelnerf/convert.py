"""Official pixelNeRF checkpoints in and out.

``pixel_nerf_latest`` is a plain state dict, and ours has the same names. What differs: buffers that
old torch versions stored although they hold the last encoded views, and a ``module.`` prefix.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from maskfield.core.errors import CheckpointError
from maskfield.core.files import StrPath
from maskfield.engine.checkpoint import read_foreign, write_foreign
from maskfield.engine.strict import load_strictly
from maskfield.methods.pixelnerf.config import (
    CodeConfig,
    GlobalEncoderConfig,
    MLPConfig,
    PixelNeRFConfig,
    ResNetEncoderConfig,
    SmallEncoderConfig,
    UNetEncoderConfig,
)
from maskfield.methods.pixelnerf.model.network import PixelNeRF
from maskfield.nn.resnet2d import DEPTHS, WIDTHS

StateDict = dict[str, Tensor]
PART = "pixelNeRF network"
MARK = "mlp_coarse.lin_in.weight"
_LEFT_OVER = (  # the last encoded views
    "poses",
    "image_shape",
    "focal",
    "c",
    "encoder.latent",
    "encoder.latent_scaling",
    "global_encoder.latent",
)
_BLOCKS_OF = {sum(depths): name for name, depths in DEPTHS.items()}
_CODE = ("code._freqs", "code._phases")
_COORDINATES, _DIRECTIONS = 3, 3


def from_official(state_dict: Mapping[str, Tensor]) -> StateDict:
    """Official names to ours."""
    short = {key.removeprefix("module."): value for key, value in state_dict.items()}
    return {key: value for key, value in short.items() if key not in _LEFT_OVER}


def to_official(state_dict: Mapping[str, Tensor]) -> StateDict:
    """Our names to the official ones: the same."""
    return {key: value.detach().cpu().contiguous() for key, value in state_dict.items()}


def load_official_weights(
    network: nn.Module, state_dict: Mapping[str, Tensor], *, file: StrPath | None = None
) -> None:
    """Load a state dict with official names strictly.

    Raises:
        CheckpointError: another size or kind; the message lists the differences.
    """
    load_strictly(network, from_official(state_dict), part=PART, file=file)


def read_official(path: StrPath) -> StateDict:
    """Read ``pixel_nerf_latest`` (any name) without running code from it.

    Raises:
        CheckpointError: missing, damaged, or no pixelNeRF.
    """
    return state_of(read_foreign(path), path)


def state_of(content: Any, path: StrPath) -> StateDict:
    """The same for content that was read already.

    Raises:
        CheckpointError: not a state dict of pixelNeRF.
    """
    if is_official(content):
        return from_official({str(k): v for k, v in content.items()})
    found = sorted(map(str, content))[:4] if isinstance(content, dict) else type(content).__name__
    raise CheckpointError(
        "not an official pixelNeRF checkpoint (no mlp_coarse weights)",
        file=path,
        field="keys",
        value=found,
        remedy="give checkpoints/NAME/pixel_nerf_latest; _optim, _iter and _renderer lie beside it",
    )


def is_official(content: Any) -> bool:
    """Whether content is a pixelNeRF's state dict."""
    names = list(map(str, content)) if isinstance(content, dict) else []
    return any(name.removeprefix("module.") == MARK for name in names)


def load_official(path: StrPath) -> PixelNeRF:
    """The network of an official checkpoint, its sizes read from the file.

    What no weight shows (view merging, pool of the encoder, sampling, losses) is as in the official
    configurations of SRN, DTU and two chairs; others are read with ``hocon.read_conf``.
    """
    weights = read_official(path)
    network = config_from_official(weights, file=path).build()
    load_official_weights(network, weights, file=path)
    return network


def write_official(network: PixelNeRF, path: StrPath) -> Path:
    """Write a state dict that the official code loads.

    Raises:
        CheckpointError: a network that the official code cannot build.
    """
    config = network.config
    if isinstance(config.encoder, SmallEncoderConfig) or config.encoder is None:
        raise CheckpointError(
            "the official code has no such encoder",
            file=path,
            field="encoder",
            value="none" if config.encoder is None else config.encoder.kind,
            remedy="convert networks with a ResNet or 'custom' encoder",
        )
    if config.mlp_fine is None and config.sampling.fine > 0:
        raise CheckpointError(
            "the official code has no network that serves both passes",
            file=path,
            field="mlp_fine",
            value=None,
            remedy="train with mlp_fine, or with sampling.fine 0",
        )
    return write_foreign(path, to_official(network.state_dict()))


def load_backbone_weights(
    network: PixelNeRF, weights: Mapping[str, Tensor], *, file: StrPath | None = None
) -> None:
    """ImageNet weights of torchvision's ResNet (``resnet34-333f7ec4.pth``) into the encoders.

    Raises:
        CheckpointError: another network; the message lists the differences.
    """
    kept = {k: v for k, v in weights.items() if not k.startswith("fc.")}  # the classifier
    encoders = [e for e in (network.encoder, network.global_encoder) if e is not None]
    for encoder in encoders:
        load_strictly(encoder.model, kept, part="image encoder", file=file)


def config_from_official(
    weights: Mapping[str, Tensor], *, file: StrPath | None = None
) -> PixelNeRFConfig:
    """The config that fits official weights, as far as keys and shapes tell.

    Raises:
        CheckpointError: keys that every network has are missing, or sizes that fit no options.
    """
    try:
        latent = weights["mlp_coarse.lin_z.0.weight"].shape[1]
        mlp = mlp_config(weights, "mlp_coarse.")
        wide = weights[MARK].shape[1]
    except KeyError as error:
        raise CheckpointError(
            f"not a pixelNeRF this package knows: {error} is missing",
            file=file,
            field="keys",
            value=sorted(weights)[:4],
            remedy="give a checkpoint of train/train.py",
        ) from error
    vector = _global_config(weights)
    code, xyz, directions = _inputs(weights, wide, file)
    return PixelNeRFConfig(
        encoder=_encoder_config(weights, latent - (vector.latent_size if vector else 0), file),
        global_encoder=vector,
        code=code,
        xyz=xyz,
        directions=directions,
        mlp=mlp,
        mlp_fine=mlp_config(weights, "mlp_fine.") if "mlp_fine.lin_in.weight" in weights else None,
    )


def mlp_config(weights: Mapping[str, Tensor], prefix: str) -> MLPConfig:
    """Sizes of an MLP; a layer at which views merge shows only where it ends the feature layers."""
    blocks, fed = _children(weights, f"{prefix}blocks."), _children(weights, f"{prefix}lin_z.")
    return MLPConfig(
        blocks=blocks,
        hidden=weights[f"{prefix}lin_in.weight"].shape[0],
        combine_layer=fed if fed < blocks else 1000,
        spade=f"{prefix}scale_z.0.weight" in weights,
    )


def _encoder_config(
    weights: Mapping[str, Tensor], channels: int, file: StrPath | None
) -> ResNetEncoderConfig | UNetEncoderConfig:
    if "encoder.model.conv_in.0.weight" in weights:
        return UNetEncoderConfig()
    counts = [_children(weights, f"encoder.model.layer{i}.") for i in range(1, 5)]
    kept = [n for n in range(1, 6) if sum(WIDTHS[:n]) == channels]
    if sum(counts) not in _BLOCKS_OF or not kept:
        raise CheckpointError(
            "the encoder is no ResNet-18 or -34 of up to five maps",
            file=file,
            field="encoder.model, channels",
            value=(counts, channels),
            remedy="give a checkpoint with an official encoder",
        )
    backbone = "resnet18" if _BLOCKS_OF[sum(counts)] == "resnet18" else "resnet34"
    return ResNetEncoderConfig(backbone=backbone, layers=kept[0])


def _global_config(weights: Mapping[str, Tensor]) -> GlobalEncoderConfig | None:
    if "global_encoder.model.conv1.weight" not in weights:
        return None
    blocks = sum(_children(weights, f"global_encoder.model.layer{i}.") for i in range(1, 5))
    size = weights.get("global_encoder.fc.weight")
    return GlobalEncoderConfig(
        backbone="resnet18" if _BLOCKS_OF.get(blocks) == "resnet18" else "resnet34",
        latent_size=WIDTHS[-1] if size is None else size.shape[0],
    )


def _inputs(
    weights: Mapping[str, Tensor], wide: int, file: StrPath | None
) -> tuple[CodeConfig | None, bool, bool]:
    """Code, all coordinates, directions: the combination that has ``wide`` channels."""
    octaves = weights[_CODE[0]].shape[1] // 2 if _CODE[0] in weights else 0
    factor = float(weights[_CODE[0]][0, 0, 0]) if octaves else 0.0
    both = (True, False)
    for xyz, given, directions, coded in product(both, both, both, both[::-1]):
        place, more = (_COORDINATES if xyz else 1), (_DIRECTIONS if directions else 0)
        each = 2 * octaves + given if octaves else 1
        size = (place + more) * each if coded else place * each + more
        if size == wide and (directions or not coded):
            code = CodeConfig(
                frequencies=octaves, factor=factor, include_input=given, directions=coded
            )
            return (code if octaves else None), xyz, directions
    raise CheckpointError(
        "no combination of coordinates, code and directions has this many channels",
        file=file,
        field=MARK,
        value=wide,
        remedy="give the configuration with --recipe",
    )


def _children(keys: Mapping[str, Tensor], prefix: str) -> int:
    return len({k[len(prefix) :].split(".")[0] for k in keys if k.startswith(prefix)})
