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
from maskfield.methods.nerf_mae.config import NerfMAEConfig
from maskfield.methods.nerf_mae.model import NerfMAE
from maskfield.nn.positional import sincos_3d

StateDict = dict[str, Tensor]
ENCODER_KEYS = ("pos_embed", "mask_token", "patch_partition.", "stages.")
DECODER_KEYS = ("decoder4.", "decoder3.", "decoder2.", "decoder1.")
TABLE = "encoder.pos_embed"
DIFF_LINES = 12


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
    lines = difference(given, ours)
    if lines:
        raise CheckpointError(
            "the checkpoint does not fit this model:\n    " + _shortened(lines),
            file=file,
            remedy="choose the size the checkpoint was trained with (see NerfMAEConfig and SIZES)",
        )
    model.load_state_dict(given)


def difference(given: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> list[str]:
    """Readable lines: missing and unexpected keys, shapes that differ. Empty when all agrees."""
    missing = [f"missing     {k} {tuple(expected[k].shape)}" for k in expected if k not in given]
    unexpected = [
        f"unexpected  {k} {tuple(v.shape)}" for k, v in given.items() if k not in expected
    ]
    shapes = [
        f"shape       {k}: checkpoint {tuple(v.shape)}, model {tuple(expected[k].shape)}"
        for k, v in given.items()
        if k in expected and v.shape != expected[k].shape
    ]
    return shapes + missing + unexpected


def read_official(path: StrPath) -> OfficialCheckpoint:
    """Read a ``.pt`` without running code from it.

    Raises:
        CheckpointError: missing, damaged, not an official MAE checkpoint (a detector, say).
    """
    return _official(read_foreign(path), Path(path))


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
    path = Path(path)
    if model.config.embed_dim % 6 or not model.config.positional_table:
        raise CheckpointError(
            "the official code cannot build this size",
            file=path,
            field="embed_dim, positional_table",
            value=(model.config.embed_dim, model.config.positional_table),
            remedy="keep it in our own format",
        )
    weights = {k: v.detach().cpu().contiguous() for k, v in to_official(model.state_dict()).items()}
    content = {"epoch": epoch, "state_dict": weights, "train_args": dict(train_args or {})}
    return write_foreign(path, content)


def config_from_official(state_dict: Mapping[str, Tensor]) -> NerfMAEConfig:
    """The config that fits an official state dict, read from its shapes.

    Raises:
        CheckpointError: keys a NeRF-MAE always has are missing.
    """
    keys = {key.removeprefix("module."): value for key, value in state_dict.items()}
    try:
        _, _, _, tokens, width = keys["pos_embed"].shape
        patch = keys["patch_partition.0.weight"].shape[-1]
        depths = tuple(_stage_depth(keys, stage) for stage in range(4))
        bias = "attn.relative_position_bias_table"
        heads = tuple(keys[f"stages.{s}.{min(s, 1)}.{bias}"].shape[1] for s in range(4))
    except (KeyError, ValueError) as error:
        raise CheckpointError(
            f"not the state dict of a NeRF-MAE: {error} is missing or has another shape",
            field="state_dict",
            value=sorted(keys)[:4],
            remedy="give the pre-training checkpoint (a detector has backbone_state_dict instead)",
        ) from error
    return NerfMAEConfig(
        resolution=tokens * patch, embed_dim=width, depths=depths, heads=heads, patch=patch
    )


def load_official(path: StrPath) -> NerfMAE:
    """The model of an official checkpoint, size and resolution read from the file."""
    checkpoint = read_official(path)
    model = config_from_official(checkpoint.state_dict).build()
    load_official_weights(model, checkpoint.state_dict, file=path)
    return model


def _official(content: Any, path: Path) -> OfficialCheckpoint:
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


def _shortened(lines: list[str]) -> str:
    more = [f"... and {len(lines) - DIFF_LINES} more"] if len(lines) > DIFF_LINES else []
    return "\n    ".join(lines[:DIFF_LINES] + more)
