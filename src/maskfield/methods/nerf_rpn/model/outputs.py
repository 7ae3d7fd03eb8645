"""What the heads put out, and what a detector answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

Size = tuple[int, int, int]
Output = TypeVar("Output", "FCOSOutput", "AnchorOutput")


@dataclass(frozen=True, kw_only=True)
class FCOSOutput:
    """One level: class logits, box regression (units of the config) and centerness logits."""

    logits: Float[Tensor, "b 1 x y z"]
    regression: Float[Tensor, "b d x y z"]
    centerness: Float[Tensor, "b 1 x y z"]


@dataclass(frozen=True, kw_only=True)
class AnchorOutput:
    """One level: a logit and D deltas per anchor; channel = anchor * D + component."""

    logits: Float[Tensor, "b a x y z"]
    deltas: Float[Tensor, "b ad x y z"]


@dataclass(frozen=True, kw_only=True)
class Proposals:
    """Boxes of one scene, by descending score.

    Attributes:
        boxes: 6 columns, or 7 for oriented boxes; voxels of the scene's grid.
        scores: in [0, 1].
        levels: pyramid level each came from.
    """

    boxes: Float[Tensor, "n k"]
    scores: Float[Tensor, " n"]
    levels: Int[Tensor, " n"]

    def __getitem__(self, rows: Int[Tensor, " k"] | Bool[Tensor, " n"] | slice) -> Proposals:
        return Proposals(boxes=self.boxes[rows], scores=self.scores[rows], levels=self.levels[rows])

    def __len__(self) -> int:
        return len(self.scores)


def widened(outputs: Sequence[Output]) -> list[Output]:
    """Half-precision maps (autocast) as float32: boxes and their overlaps need the digits."""
    return [
        replace(out, **{f.name: _full(getattr(out, f.name)) for f in fields(out)})
        for out in outputs
    ]


def _full(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def joined(parts: Sequence[Proposals]) -> Proposals:
    """Proposals of several levels, one after the other."""
    return Proposals(
        boxes=torch.cat([p.boxes for p in parts]),
        scores=torch.cat([p.scores for p in parts]),
        levels=torch.cat([p.levels for p in parts]),
    )


def cells_of(maps: Sequence[Float[Tensor, "b _c _x _y _z"]]) -> list[Size]:
    """Cells of every level."""
    return [(m.shape[2], m.shape[3], m.shape[4]) for m in maps]


def rows_of(maps: Float[Tensor, "b c x y z"], width: int) -> Float[Tensor, "b n d"]:
    """One row per location (x outermost, z innermost) and group of ``width`` channels."""
    rows = maps.unflatten(1, (-1, width)).permute(0, 3, 4, 5, 1, 2)
    return rows.reshape(len(maps), -1, width)
