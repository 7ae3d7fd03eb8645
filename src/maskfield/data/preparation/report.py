"""What preparing a data set kept, and what it dropped and why. Torch-free."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_LISTED = 10


@dataclass(frozen=True, kw_only=True)
class SceneReport:
    """One scene that was prepared.

    Attributes:
        name: of the scene. frames: cameras written. boxes: rows of ``obb/NAME.npy``.
        resolution: voxels of the grid the boxes lie on.
        dropped: reason -> how many frames or boxes.
    """

    name: str
    frames: int
    boxes: int
    resolution: tuple[int, int, int]
    dropped: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class PreparedReport:
    """A prepared data set.

    Attributes:
        dataset: its name. out: where it lies. classes: how many, without void.
        scenes: prepared and in the split. left_out: scene -> why it is not.
        split: "train", "val", "test" -> how many scenes.
    """

    dataset: str
    out: Path
    classes: int
    scenes: tuple[SceneReport, ...]
    left_out: dict[str, str]
    split: dict[str, int]

    @property
    def dropped(self) -> dict[str, int]:
        """Reason -> how many, over all scenes, most frequent first."""
        return dict(_total(scene.dropped for scene in self.scenes).most_common())

    def text(self) -> str:
        """For people."""
        parts = ", ".join(f"{n} {count}" for n, count in self.split.items())
        boxes = sum(s.boxes for s in self.scenes)
        frames = sum(s.frames for s in self.scenes)
        lines = [
            f"{self.dataset}: {len(self.scenes)} scenes ({parts})",
            f"  {frames} cameras, {boxes} boxes, {self.classes} classes",
        ]
        lines += [f"  dropped: {reason:<40} {count}" for reason, count in self.dropped.items()]
        shown = list(self.left_out.items())[:_LISTED]
        lines += [f"  left out: {name}: {reason}" for name, reason in shown]
        if len(self.left_out) > _LISTED:
            lines.append(f"  left out: {len(self.left_out) - _LISTED} more (prepared.json)")
        return "\n".join([*lines, f"wrote: {self.out}"])

    def to_json(self) -> dict[str, Any]:
        """Plain values, for ``prepared.json``."""
        scenes = {
            s.name: {
                "frames": s.frames,
                "boxes": s.boxes,
                "resolution": list(s.resolution),
                "dropped": s.dropped,
            }
            for s in self.scenes
        }
        return {
            "format_version": 1,
            "dataset": self.dataset,
            "classes": self.classes,
            "split": self.split,
            "scenes": scenes,
            "left_out": self.left_out,
        }


def _total(tables: Iterable[dict[str, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for table in tables:
        total.update(table)
    return total
