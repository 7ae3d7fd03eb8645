"""Options a case states only in the words of its description."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

NUMBER = r"(-?[\d.]*\d(?:e-?\d+)?)"
_CORNER = r"[-\d.e]+|[\[(][^\])]*[\])]"
TRIPLE = r"\[(\d+), ?(\d+), ?(\d+)\]"


def words_of(config: Mapping[str, Any]) -> str:
    """The description."""
    return str(config.get("what") or config.get("describes") or "")


def number(config: Mapping[str, Any], key: str, pattern: str) -> float:
    """``config[key]`` if it is there, else the number ``pattern`` finds in the description.

    Args:
        pattern: a regular expression; ``N`` stands for the number.

    Raises:
        LookupError: neither says it.
    """
    if key in config:
        return float(config[key])
    return float(find(config, key, pattern.replace("N", NUMBER)).group(1))


def triple(config: Mapping[str, Any], key: str, pattern: str) -> tuple[int, int, int]:
    """``config[key]`` or the ``[a,b,c]`` that ``T`` in ``pattern`` finds in the description."""
    values = (
        config[key] if key in config else find(config, key, pattern.replace("T", TRIPLE)).groups()
    )
    a, b, c = (int(v) for v in values)
    return a, b, c


def find(config: Mapping[str, Any], key: str, pattern: str) -> re.Match[str]:
    """The first match of ``pattern`` in the description."""
    match = re.search(pattern, words_of(config))
    if match is None:
        raise LookupError(f"case {config['case']} does not say {key}: no match of {pattern!r}")
    return match


def box(text: str) -> Tensor:
    """[2, 3] min and max that ``c1=..,c2=..`` names: a number for all axes, or ``[x, y, z]``."""
    corners = re.search(rf"c1=({_CORNER}),\s*c2=({_CORNER})", text)
    if corners is None:
        raise LookupError(f"no box c1=..,c2=.. in {text!r}")
    rows = [[float(v) for v in re.findall(NUMBER, c)] for c in corners.groups()]
    return torch.tensor([row * 3 if len(row) == 1 else row for row in rows])
