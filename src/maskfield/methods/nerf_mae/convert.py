"""Official NeRF-MAE checkpoints in and out: ``{"epoch", "state_dict", "train_args"}`` in a ``.pt``.

Our names differ only in a prefix: ``encoder.`` before Swin keys, ``decoder.`` before decoder1-4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from maskfield.core.errors import CheckpointError
from maskfield.core.files import StrPath
from maskfield.engine.checkpoint import read_foreign, write_foreign
from maskfield.engine.strict import load_strictly
from maskfield.methods.nerf_mae.config import NerfMAEConfig
from maskfield.methods.nerf_mae.downstream import scratch
from maskfield.methods.nerf_mae.model import NerfMAE
from maskfield.nn.positional import sincos_3d

StateDict = dict[str, Tensor]
ENCODER_KEYS = ("pos_embed", "mask_token", "patch_partition.", "stages.")
DECODER_KEYS = ("decoder4.", "decoder3.", "decoder2.", "decoder1.")
TABLE = "encoder.pos_embed"
BASE = "base."


@dataclass(frozen=True, kw_only=True)
class OfficialCheckpoint:
    """What an official ``.pt`` holds."""

    state_dict: StateDict
    epoch: int = 0
    train_args: Mapping[str, Any] = field(default_factory=dict)


def from_official(state_dict: Mapping[str, Tensor]) -> StateDict:
    """Official names to ours; a ``module.`` prefix left by DDP is dropped."""
    return {_our_name(key.removeprefix("module.")): value for key, value in state_dict.items()}


def to_official(state_dict: Mapping[str, Tensor]) -> StateDict:
    """Our names to the official ones, in the official order."""
    return {
        key.removeprefix("encoder.").removeprefix("decoder."): value
        for key, value in state_dict.items()
    }


def load_official_weights(
    model: NerfMAE, state_dict: Mapping[str, Tensor], *, file: StrPath | None = None
) -> None:
    """Load official weights strictly.

    The stored positional table is used. When only its size differs (another resolution) the table
    of the model's own resolution is kept: it is the same formula at other positions.

    Raises:
        CheckpointError: a key is missing or unexpected, or a shape differs; the message lists them.
    """
    ours = model.state_dict()
    given = from_official(state_dict)
    if TABLE in given and TABLE in ours and given[TABLE].shape != ours[TABLE].shape:
        given[TABLE] = _resized_table(given[TABLE], ours[TABLE])
    remedy = "choose the size the checkpoint was trained with (see NerfMAEConfig and SIZES)"
    load_strictly(model, given, part="model", remedy=remedy, file=file)


def read_official(path: StrPath) -> OfficialCheckpoint:
    """Read a ``.pt`` without running code from it.

    Raises:
        CheckpointError: missing, damaged, not an official MAE checkpoint (a detector, say).
    """
    return checkpoint_of(read_foreign(path), path)


def checkpoint_of(content: Any, path: StrPath) -> OfficialCheckpoint:
    """The same for content that was read already; fine-tuned networks have the same form.

    Raises:
        CheckpointError: another form.
    """
    if not isinstance(content, dict) or not isinstance(content.get("state_dict"), Mapping):
        found = sorted(map(str, content)) if isinstance(content, dict) else type(content).__name__
        raise CheckpointError(
            "not an official NeRF-MAE checkpoint (epoch, state_dict, train_args)",
            file=path,
            field="keys",
            value=found,
            remedy="give nerf_mae_pretrained.pt or epoch_N.pt; detectors are another method",
        )
    return OfficialCheckpoint(
        state_dict=dict(content["state_dict"]),
        epoch=int(content.get("epoch") or 0),
        train_args=content.get("train_args") or {},
    )


def write_official(
    model: NerfMAE,
    path: StrPath,
    *,
    epoch: int = 0,
    train_args: Mapping[str, Any] | None = None,
) -> Path:
    """Write a ``.pt`` that the official code loads.

    Raises:
        CheckpointError: a size the official code cannot build.
    """
    refuse_unofficial(model.config, path, table=True)
    return write_state(to_official(model.state_dict()), path, epoch=epoch, train_args=train_args)


def write_state(
    state_dict: Mapping[str, Tensor],
    path: StrPath,
    *,
    epoch: int = 0,
    train_args: Mapping[str, Any] | None = None,
) -> Path:
    """Write weights with official names in the form of ``epoch_N.pt``."""
    weights = {k: v.detach().cpu().contiguous() for k, v in state_dict.items()}
    content = {"epoch": epoch, "state_dict": weights, "train_args": dict(train_args or {})}
    return write_foreign(path, content)


def refuse_unofficial(config: NerfMAEConfig, path: StrPath, *, table: bool = False) -> None:
    """Refuse to write what the official code cannot build.

    Args:
        table: whether a positional table is needed; networks trained from scratch have none.

    Raises:
        CheckpointError: a width the official table cannot have, no table, or no relative bias.
    """
    needed = table or config.positional_table
    if (needed and (config.embed_dim % 6 or not config.positional_table)) or (
        not config.relative_bias
    ):
        raise CheckpointError(
            "the official code cannot build this size",
            file=path,
            field="embed_dim, positional_table, relative_bias",
            value=(config.embed_dim, config.positional_table, config.relative_bias),
            remedy="keep it in our own format",
        )


def config_from_official(
    state_dict: Mapping[str, Tensor], *, resolution: int | None = None
) -> NerfMAEConfig:
    """The config that fits an official state dict, read from its shapes.

    Fine-tuned networks answer with their encoder, whose names may stand behind ``base.``.

    Args:
        resolution: cube side of a network without a positional table (fine-tuned from scratch),
            which does not show it; None: a table must be there.

    Raises:
        CheckpointError: keys a NeRF-MAE always has are missing.
    """
    keys = {k.removeprefix("module.").removeprefix(BASE): v for k, v in state_dict.items()}
    try:
        width, _, _, _, patch = keys["patch_partition.0.weight"].shape
        table = None if resolution and "pos_embed" not in keys else keys["pos_embed"]
        depths = tuple(_stage_depth(keys, stage) for stage in range(4))
        bias = "attn.relative_position_bias_table"
        heads = tuple(keys[f"stages.{s}.{min(s, 1)}.{bias}"].shape[1] for s in range(4))
        side = int(resolution or 0) if table is None else table.shape[3] * patch
    except (KeyError, ValueError, IndexError) as error:
        raise CheckpointError(
            f"not the state dict of a NeRF-MAE: {error} is missing or has another shape",
            field="state_dict",
            value=sorted(keys)[:4],
            remedy="give the pre-training checkpoint (a detector has backbone_state_dict instead)",
        ) from error
    size = NerfMAEConfig(resolution=side, embed_dim=width, depths=depths, heads=heads, patch=patch)
    return size if table is not None else scratch(size)


def load_official(path: StrPath) -> NerfMAE:
    """The model of an official checkpoint, size and resolution read from the file."""
    checkpoint = read_official(path)
    model = config_from_official(checkpoint.state_dict).build()
    load_official_weights(model, checkpoint.state_dict, file=path)
    return model


def _our_name(key: str) -> str:
    if key.startswith(ENCODER_KEYS):
        return f"encoder.{key}"
    if key.startswith(DECODER_KEYS):
        return f"decoder.{key}"
    return key


def _resized_table(
    given: Float[Tensor, "1 g g g c"], ours: Float[Tensor, "1 h h h c"]
) -> Float[Tensor, "1 h h h c"]:
    """Our table if the given one is the same formula; another table is left to the strict check."""
    if given.ndim != 5 or given.shape[-1] != ours.shape[-1]:
        return given
    x, y, z = given.shape[1:4]
    same = torch.allclose(given.cpu().float(), sincos_3d(given.shape[-1], (x, y, z)), atol=1e-4)
    return ours if same else given


def _stage_depth(keys: Mapping[str, Tensor], stage: int) -> int:
    prefix = f"stages.{stage}."
    blocks = {k[len(prefix) :].split(".")[0] for k in keys if k.startswith(prefix)}
    return len(blocks) - (stage > 0)
