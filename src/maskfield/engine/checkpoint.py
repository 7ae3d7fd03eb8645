"""Checkpoints: safetensors weights with a header, and the training state as plain tensors.

``checkpoints/step-N/{weights.safetensors,state.pt}``, and the text files ``last`` and ``best`` that
hold the name of one of them. A checkpoint folder appears complete or not at all. Reading one never
executes code from it.
"""

from __future__ import annotations

import errno
import io
import json
import pickle
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from maskfield.core.config import diff
from maskfield.core.errors import CheckpointError, StorageError
from maskfield.core.files import StrPath, atomic_path, write_text
from maskfield.core.zoo import is_zoo, zoo_path
from maskfield.nn.foreign import read_foreign as read_foreign

FORMAT_VERSION = 1
WEIGHTS, STATE = "weights.safetensors", "state.pt"

Weights = dict[str, Tensor]
Header = dict[str, Any]


# ------------------------------------------------------------------ weights


def save_weights(path: StrPath, weights: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Write weights with a header (plain data), atomically.

    Raises:
        StorageError: the disk is full or the folder read-only.
    """
    with atomic_path(path) as temporary:
        _write_weights(temporary, weights, header)


def load_weights(
    path: StrPath, expect_config: Mapping[str, Any] | None = None
) -> tuple[Weights, Header]:
    """Read weights and header from a file, a checkpoint folder, a run folder (its best), ``zoo:``.

    Half precision, in which the package keeps its own weights, is widened to single.

    Args:
        path: what to read.
        expect_config: plain data that the header's ``config`` must agree with, as far as it goes:
            ``{"method": {...}}`` compares the method alone.

    Raises:
        CheckpointError: missing, damaged, another format version, or another config; the message
            names the first key that differs with both values.
    """
    path = weights_path(path)
    try:
        with safe_open(path, framework="pt") as stream:
            metadata = stream.metadata() or {}
            weights = {k: _widened(stream.get_tensor(k)) for k in stream.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"cannot read the weights: {error}",
            file=path,
            remedy="check the path; official checkpoints are read with `maskfield convert`",
        ) from error
    header = _header(metadata, path)
    if expect_config is not None:
        stored = {k: header.get("config", {}).get(k) for k in expect_config}
        refuse_difference(diff(stored, expect_config), path)
    return weights, header


def refuse_difference(differences: Mapping[str, tuple[Any, Any]], path: StrPath) -> None:
    """Raise for the first difference between a checkpoint and this run, if there is one.

    Args:
        differences: dotted key → (value in the checkpoint, value here).
    """
    for key, (stored, wanted) in differences.items():
        others = len(differences) - 1
        raise CheckpointError(
            "the checkpoint belongs to another method, size or data convention"
            + (f" ({others} more differences)" if others else ""),
            file=path,
            field=key,
            value=f"checkpoint: {stored!r}, this run: {wanted!r}",
            remedy="use the config the checkpoint was made with, or another checkpoint",
        )


def load_into(model: torch.nn.Module, weights: Mapping[str, Tensor], path: StrPath) -> None:
    """Put weights into a model, every one of them.

    Raises:
        CheckpointError: a name is missing or too many, or a shape differs; names both shapes.
    """
    shapes = {k: list(v.shape) for k, v in weights.items()}
    adapt = getattr(model, "adapt_to", None)
    if adapt is not None:  # a model that grows while it trains (coarse to fine)
        adapt(shapes)
    own = model.state_dict()
    refuse_difference(diff(shapes, {k: list(v.shape) for k, v in own.items()}), path)
    model.load_state_dict(dict(weights))


def _write_weights(path: Path, weights: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    full = {"format_version": FORMAT_VERSION, **header}
    try:
        save_file(_separate(weights), path, {"maskfield": json.dumps(full)})
    except SafetensorError as error:  # how safetensors reports a full disk
        raise OSError(errno.EIO, str(error)) from error


def _separate(weights: Mapping[str, Tensor]) -> Weights:
    """On the CPU, contiguous, and no two sharing memory (safetensors refuses that)."""
    seen: set[int] = set()
    out = {}
    for name, value in weights.items():
        value = value.detach().cpu().contiguous()
        if value.untyped_storage().data_ptr() in seen:
            value = value.clone()
        seen.add(value.untyped_storage().data_ptr())
        out[name] = value
    return out


def _widened(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype == torch.float16 else tensor


def _header(metadata: Mapping[str, str], path: Path) -> Header:
    try:
        header = json.loads(metadata.get("maskfield", "{}"))
    except json.JSONDecodeError:
        header = {}
    kind = header.get("kind")  # grids and labels name theirs, weights have none
    if header.get("format_version") != FORMAT_VERSION or kind is not None:
        raise CheckpointError(
            f"not weights of this format (version {FORMAT_VERSION})",
            file=path,
            field="format_version" if kind is None else "kind",
            value=kind or header.get("format_version"),
            remedy="convert foreign weights with `maskfield convert`",
        )
    return header


# ------------------------------------------------------------------ files of other programs


def write_foreign(path: StrPath, content: Mapping[str, Any]) -> Path:
    """Write a ``.pt`` for another program, atomically.

    Raises:
        StorageError: the disk is full or the folder read-only.
    """
    packed = io.BytesIO()
    torch.save(dict(content), packed)
    with atomic_path(path) as temporary:
        temporary.write_bytes(packed.getbuffer())  # torch has its own error for a full disk
    return Path(path)


# ------------------------------------------------------------------ checkpoints of a run


def save_checkpoint(
    folder: StrPath,
    step: int,
    weights: Mapping[str, Tensor],
    state: Mapping[str, Any],
    header: Mapping[str, Any],
) -> Path:
    """Write ``folder/step-N`` and point ``last`` at it.

    Args:
        folder: the run's ``checkpoints`` folder.
        step: updates done.
        weights: what users load (averaged weights, if there is an average).
        state: what a resumed run needs; tensors, dicts, lists and numbers only.
        header: plain data: config, data conventions.

    Raises:
        StorageError: the disk is full or read-only; earlier checkpoints are untouched.
    """
    target = Path(folder) / f"step-{step}"
    with _atomic_folder(target) as temporary:
        _write_weights(temporary / WEIGHTS, weights, {"step": step, **header})
        torch.save(dict(state), temporary / STATE)
    write_text(target.parent / "last", target.name)
    return target


def load_state(folder: StrPath) -> dict[str, Any]:
    """The training state in a checkpoint folder.

    Raises:
        CheckpointError: missing or damaged.
    """
    path = Path(folder) / STATE
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise CheckpointError(
            f"cannot read the training state: {_first_line(error)}",
            file=path,
            remedy="resume from an earlier checkpoint, or start from its weights with --init",
        ) from error


def find_checkpoint(path: StrPath, which: str = "last") -> Path | None:
    """The checkpoint folder meant by a run folder, a ``checkpoints`` folder, or itself.

    Args:
        which: "last" or "best".

    Returns:
        None when the run has no checkpoint yet.
    """
    path = Path(path)
    if (path / WEIGHTS).is_file():
        return path
    folder = path / "checkpoints" if (path / "checkpoints").is_dir() else path
    pointer = folder / which
    if not pointer.is_file():
        return None
    found = folder / pointer.read_text(encoding="utf-8").strip()
    return found if (found / WEIGHTS).is_file() else None


def weights_path(path: StrPath) -> Path:
    """The weights file meant by a file, checkpoint folder, run folder (best, else last), zoo:NAME.

    Raises:
        CheckpointError: there is none.
    """
    if is_zoo(path):
        return zoo_path(str(path))
    path = Path(path)
    if path.is_file():
        return path
    found = find_checkpoint(path, "best") or find_checkpoint(path, "last")
    if found is None:
        raise CheckpointError(
            "no checkpoint here" if path.is_dir() else "no such file or folder",
            file=path,
            remedy="give a weights file, a checkpoint folder (step-N), a run folder or zoo:NAME",
        )
    return found / WEIGHTS


def prune(folder: StrPath, keep: int) -> None:
    """Delete all but the newest ``keep`` checkpoints; ``last`` and ``best`` always stay."""
    folder = Path(folder)
    steps = sorted(folder.glob("step-*"), key=lambda p: int(p.name.removeprefix("step-")))
    pointers = [p for p in (folder / "last", folder / "best") if p.is_file()]
    named = {p.read_text(encoding="utf-8").strip() for p in pointers}
    for path in steps[:-keep]:
        if path.name not in named:
            shutil.rmtree(path, ignore_errors=True)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


@contextmanager
def _atomic_folder(target: Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``target``; it takes the name when the block succeeds."""
    temporary: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.tmp-", dir=target.parent))
        yield temporary
        temporary.chmod(0o755)
        if target.exists():  # written before the run was resumed from an earlier step
            shutil.rmtree(target)
        temporary.replace(target)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        raise StorageError(
            f"cannot write the checkpoint: {_first_line(error)}",
            file=target,
            remedy="free some space or make the folder writable, then run again with --resume auto",
        ) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
