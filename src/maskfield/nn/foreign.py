"""Reading weights files of other programs without running code from them."""

from __future__ import annotations

import pickle
from typing import Any

import torch

from maskfield.core.errors import CheckpointError
from maskfield.core.files import StrPath

# a text file is met as pickled opcodes: LookupError, AttributeError
_UNREADABLE = (
    pickle.UnpicklingError,
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
    LookupError,
    AttributeError,
)


def read_foreign(path: StrPath) -> Any:
    """The content of a ``.pt`` of another program; no code from it is run.

    Raises:
        CheckpointError: missing, damaged, or in need of running code.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(
            "file not found", file=path, remedy="check the path of the checkpoint"
        ) from error
    except _UNREADABLE as error:
        raise CheckpointError(
            f"cannot read the checkpoint: {(str(error).splitlines() or [type(error).__name__])[0]}",
            file=path,
            remedy="download it again; files that need code to be run are refused",
        ) from error
