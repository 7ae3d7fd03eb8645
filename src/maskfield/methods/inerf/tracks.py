"""Track: one start pose's search, whichever method made it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from maskfield.data.pose_estimate import PoseTrace

Ending = Literal["steps", "still", "dropped", "broken"]


@dataclass(frozen=True, kw_only=True)
class Track:
    """How one start went.

    Attributes:
        start: index of the start pose.
        pose: [3, 4] where it ended, a rigid motion.
        loss: its last loss, smoothed over some steps; infinite when broken.
        ended: "steps": all were taken; "still": it no longer improved; "dropped": others did
            better; "broken": its loss was no longer finite.
        trace: every step.
    """

    start: int
    pose: Float[Tensor, "3 4"]
    loss: float
    ended: Ending
    trace: PoseTrace

    @property
    def finished(self) -> bool:
        """It was followed to its end."""
        return self.ended in ("steps", "still")


class TrackRecorder:
    """Collects the steps of several searches that run together.

    Args:
        count: number of start poses.
    """

    def __init__(self, count: int) -> None:
        self._rows: list[tuple[Tensor, Tensor, Tensor, float]] = []
        self._count = count

    def add(
        self,
        starts: Tensor,
        losses: Float[Tensor, " pose"],
        poses: Float[Tensor, "pose 3 4"],
        seconds: float,
    ) -> None:
        """One step of the starts still running; the poses are those that had these losses."""
        self._rows.append((starts, losses.detach().cpu(), poses.detach().cpu(), seconds))

    def traces(self) -> list[PoseTrace]:
        """One per start; empty for a start that never ran."""
        losses: list[list[Tensor]] = [[] for _ in range(self._count)]
        poses: list[list[Tensor]] = [[] for _ in range(self._count)]
        seconds: list[list[float]] = [[] for _ in range(self._count)]
        for starts, row_losses, row_poses, at in self._rows:
            for i, start in enumerate(starts.tolist()):
                losses[start].append(row_losses[i])
                poses[start].append(row_poses[i])
                seconds[start].append(at)
        return [
            PoseTrace(
                losses=torch.stack(row) if row else torch.empty(0),
                poses=torch.stack(moved) if moved else torch.empty(0, 3, 4),
                seconds=torch.tensor(at),
            )
            for row, moved, at in zip(losses, poses, seconds, strict=True)
        ]
