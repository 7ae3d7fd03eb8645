"""Weights of another program into a network, every one of them, with a readable difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from maskfield.core.errors import CheckpointError
from maskfield.core.files import StrPath

DIFF_LINES = 12
REMEDY = "choose the kind and size of network that the checkpoint was trained with"


def load_strictly(
    network: nn.Module,
    given: Mapping[str, Tensor],
    *,
    part: str,
    file: StrPath | None = None,
    remedy: str = REMEDY,
) -> None:
    """Load weights (our names) into a network.

    Args:
        part: what the network is, for the message. remedy: what to do when they do not fit.

    Raises:
        CheckpointError: a key is missing or unexpected, or a shape differs; the message lists them.
    """
    lines = difference(given, network.state_dict())
    if lines:
        raise CheckpointError(
            f"the checkpoint does not fit this {part}:\n    " + _shortened(lines),
            file=file,
            remedy=remedy,
        )
    network.load_state_dict(dict(given))


def difference(given: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> list[str]:
    """Readable lines: shapes that differ, missing and unexpected keys. Empty when all agrees."""
    shapes = [
        f"shape       {k}: checkpoint {tuple(v.shape)}, model {tuple(expected[k].shape)}"
        for k, v in given.items()
        if k in expected and v.shape != expected[k].shape
    ]
    missing = [f"missing     {k} {tuple(v.shape)}" for k, v in expected.items() if k not in given]
    unexpected = [
        f"unexpected  {k} {tuple(v.shape)}" for k, v in given.items() if k not in expected
    ]
    return shapes + missing + unexpected


def _shortened(lines: Sequence[str]) -> str:
    more = [f"... and {len(lines) - DIFF_LINES} more"] if len(lines) > DIFF_LINES else []
    return "\n    ".join([*lines[:DIFF_LINES], *more])
