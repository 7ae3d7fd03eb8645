"""Which labels are dropped: built-in lists, or a file with one label a line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from jaxtyping import Bool
from torch import Tensor

from maskfield.core.errors import DataError
from maskfield.data.preparation.class_maps import NYU40
from maskfield.data.preparation.ngp_boxes import EXCLUDED_NYU40
from maskfield.data.preparation.options import PrepareOptions

EXCLUDED_NYU40_NAMES = frozenset(NYU40[i] for i in EXCLUDED_NYU40)


def read_labels(path: Path) -> frozenset[str]:
    """Labels of a file, one a line; blank lines and lines that start with # do not count.

    Raises:
        DataError: missing, not text, or empty.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"cannot read the list of labels: {error}", file=path, remedy="check the path"
        ) from error
    found = frozenset(line for line in lines if line and not line.startswith("#"))
    if not found:
        raise DataError(
            "the list of labels is empty",
            file=path,
            field="labels",
            remedy="write one label a line, or use --keep-labels to drop none",
        )
    return found


def excluded_labels(options: PrepareOptions, usual: Iterable[str] = ()) -> frozenset[str]:
    """Names of the labels to drop: the user's file, else the data set's usual ones.

    Numbers in the file are NYU40 ids.

    Raises:
        DataError: the file cannot be used, or a number is no NYU40 id.
    """
    if options.keep_labels:
        return frozenset()
    if options.exclude is None:
        return frozenset(usual)
    return frozenset(_name(label, options.exclude) for label in read_labels(options.exclude))


def is_one_of(labels: Sequence[str], names: frozenset[str]) -> Bool[Tensor, " n"]:
    """Where a label is among ``names``."""
    return torch.tensor([label in names for label in labels], dtype=torch.bool)


def _name(label: str, file: Path) -> str:
    if not label.isdecimal():
        return label
    if int(label) >= len(NYU40):
        raise DataError(
            "a number in the list of labels is no NYU40 id",
            file=file,
            field="labels",
            value=label,
            remedy=f"give ids 0 to {len(NYU40) - 1}, or names",
        )
    return NYU40[int(label)]
