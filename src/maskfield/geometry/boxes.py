"""Oriented 3-D boxes: centre, size (l, w, h) along the box's own x, y, z, and yaw.

Yaw is counter-clockwise about +Z, in radians.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from maskfield.core.errors import DataError

FORMAT_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Boxes3D:
    """N boxes with gravity-aligned yaw.

    Attributes:
        centre: [box, 3] world frame. size: [box, 3] full lengths > 0. yaw: [box] radians.
        label: [box] class id. score: [box] in [0, 1], or None for ground truth.
    """

    centre: Float[Tensor, "box 3"]
    size: Float[Tensor, "box 3"]
    yaw: Float[Tensor, " box"]
    label: Int[Tensor, " box"]
    score: Float[Tensor, " box"] | None = None

    def __len__(self) -> int:
        return self.centre.shape[0]

    def __getitem__(self, chosen: Bool[Tensor, " box"] | Int[Tensor, " k"] | slice) -> Boxes3D:
        """Some of the boxes, by mask, index or slice."""
        return Boxes3D(
            centre=self.centre[chosen],
            size=self.size[chosen],
            yaw=self.yaw[chosen],
            label=self.label[chosen],
            score=None if self.score is None else self.score[chosen],
        )

    def rows(self) -> Float[Tensor, "box 7"]:
        """x, y, z, l, w, h, yaw: a detector's oriented boxes."""
        return torch.cat([self.centre, self.size, self.yaw[:, None]], dim=1)

    def aligned_rows(self) -> Float[Tensor, "box 6"]:
        """Min and max corner of the axis-aligned box around each."""
        corners = self.corners()
        return torch.cat([corners.amin(1), corners.amax(1)], dim=1)

    def corners(self) -> Float[Tensor, "box 8 3"]:
        """Corners; index bits (4, 2, 1) choose the + side of the box's x, y, z axis."""
        bits = torch.tensor([[(i >> s) & 1 for s in (2, 1, 0)] for i in range(8)])
        local = (bits.to(self.size) - 0.5) * self.size[:, None]
        cos, sin = torch.cos(self.yaw)[:, None], torch.sin(self.yaw)[:, None]
        x = cos * local[..., 0] - sin * local[..., 1]
        y = sin * local[..., 0] + cos * local[..., 1]
        return torch.stack([x, y, local[..., 2]], dim=-1) + self.centre[:, None]

    def validated(self, file: str | None = None) -> Boxes3D:
        """This, after refusing NaN and non-positive sizes.

        Raises:
            DataError: names the first wrong row.
        """
        table = self.rows()
        wrong = ~torch.isfinite(table).all(1) | (self.size <= 0).any(1)
        if wrong.any():
            row = int(wrong.nonzero()[0])
            raise DataError(
                "a box has a non-positive size or a value that is not finite",
                file=file,
                field=f"box {row} (x, y, z, l, w, h, yaw)",
                value=table[row].tolist(),
                remedy="remove or repair the row",
            )
        return self

    def to_json(self) -> dict[str, Any]:
        """Plain lists, with ``format_version``."""
        return {
            "format_version": FORMAT_VERSION,
            "centre": self.centre.double().tolist(),
            "size": self.size.double().tolist(),
            "yaw": self.yaw.double().tolist(),
            "label": self.label.tolist(),
            "score": None if self.score is None else self.score.double().tolist(),
        }

    @staticmethod
    def from_json(value: dict[str, Any]) -> Boxes3D:
        """Inverse of :meth:`to_json`.

        Raises:
            DataError: another format version or invalid rows.
        """
        if value.get("format_version") != FORMAT_VERSION:
            raise DataError(
                "boxes have another format version",
                field="format_version",
                value=value.get("format_version"),
                remedy=f"write them with this release (version {FORMAT_VERSION})",
            )
        score = value["score"]
        return Boxes3D(
            centre=torch.tensor(value["centre"], dtype=torch.float32).reshape(-1, 3),
            size=torch.tensor(value["size"], dtype=torch.float32).reshape(-1, 3),
            yaw=torch.tensor(value["yaw"], dtype=torch.float32).reshape(-1),
            label=torch.tensor(value["label"], dtype=torch.long).reshape(-1),
            score=None if score is None else torch.tensor(score, dtype=torch.float32).reshape(-1),
        ).validated()
