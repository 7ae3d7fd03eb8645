"""What `data prepare` may be told. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from maskfield.core.errors import ConfigError

DataSet = Literal["front3d", "hm3d", "hypersim", "scannet", "sunrgbd"]


@dataclass(frozen=True, kw_only=True)
class PrepareOptions:
    """Filters, split and frame selection; None takes the official value of the data set.

    Attributes:
        features: folder with ``SCENE.npz``: boxes are put onto those grids. Without it the grid is
            foreseen by the extraction's rule (room box, ``longest`` voxels).
        longest: voxels along the longest side of a foreseen grid.
        min_size: shortest side of a box that is kept, in voxels.
        exclude: file with the labels that are dropped, one a line (names, or NYU40 ids); ScanNet
            needs it for the official selection.
        keep_labels: drop no box because of its label.
        manual: Hypersim: file or folder of ``SCENE.csv`` with box_id, manually_filtered.
        categories: HM3D: table (csv or tsv) from raw category to NYU40: the columns category or
            raw_category, and nyu40id or nyu40class.
        every: keep every n-th frame (3D-FRONT sparse: 10).
        train_frames, val_frames: ScanNet: the sharpest frame of each of so many equal intervals.
        min_frames: ScanNet: scenes with fewer valid frames are left out.
        limit: the first n scenes only (HM3D: 160).
        val, test: share of the scenes in these splits.
        split: "seeded": drawn at random by ``seed``; "all": every scene in all three lists.
        seed: of the split.
        compat: "official" repeats the published bugs (HM3D's size test, Hypersim's y-up AABBs).
    """

    features: Path | None = None
    longest: int = 160
    min_size: float | None = None
    exclude: Path | None = None
    keep_labels: bool = False
    manual: Path | None = None
    categories: Path | None = None
    every: int = 1
    train_frames: int = 100
    val_frames: int = 400
    min_frames: int = 500
    limit: int | None = None
    val: float = 0.125
    test: float = 0.125
    split: Literal["seeded", "all"] = "seeded"
    seed: int = 0
    compat: Literal["maskfield", "official"] = "maskfield"

    def __post_init__(self) -> None:
        _require("longest", self.longest, self.longest >= 8, "give 8 voxels or more")
        for name in ("every", "train_frames", "min_frames"):
            _require(name, getattr(self, name), getattr(self, name) >= 1, "give 1 or more")
        _require("val_frames", self.val_frames, self.val_frames >= 0, "give 0 or more")
        least = self.min_size
        _require("min_size", least, least is None or least >= 0, "give 0 voxels or more")
        _require("limit", self.limit, self.limit is None or self.limit >= 1, "give 1 or more")
        held = self.val + self.test
        good = min(self.val, self.test) >= 0 and held < 1
        _require("val, test", (self.val, self.test), good, "give shares that leave some to train")


def _require(name: str, value: object, good: bool, remedy: str) -> None:
    if not good:
        raise ConfigError("an option is out of range", field=name, value=value, remedy=remedy)
