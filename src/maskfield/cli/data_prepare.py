"""``maskfield data prepare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro

Flag = Annotated[bool, tyro.conf.FlagCreatePairsOff]


def data_prepare(
    dataset: tyro.conf.Positional[Literal["front3d", "hm3d", "hypersim", "scannet", "sunrgbd"]],
    source: tyro.conf.Positional[Path],
    out: Path,
    features: Path | None = None,
    longest: int = 160,
    min_size: float | None = None,
    exclude: Path | None = None,
    keep_labels: Flag = False,
    manual: Path | None = None,
    categories: Path | None = None,
    every: int = 1,
    train_frames: int = 100,
    val_frames: int = 400,
    min_frames: int = 500,
    limit: int | None = None,
    val: float = 0.125,
    test: float = 0.125,
    split: Literal["seeded", "all"] = "seeded",
    seed: int = 0,
    compat: Literal["maskfield", "official"] = "maskfield",
) -> None:
    """A data set as published -> cameras, boxes on the grid, classes and split for training.

    Args:
        dataset: which one.
        source: folder of scene folders.
        out: folder to write: scenes/, obb/, aabb/, obb_labels/, label_map.json, *_split.npz.
        features: folder with SCENE.npz: boxes are put onto those grids; else grids are foreseen.
        longest: voxels along the longest side of a foreseen grid.
        min_size: shortest side of a box kept, in voxels (2; HM3D 6.5; ScanNet 8).
        exclude: file with labels to drop, one a line (names, or NYU40 ids).
        keep_labels: drop no box because of its label.
        manual: hypersim: SCENE.csv, or its folder, with box_id, manually_filtered.
        categories: hm3d: Matterport's category_mapping.tsv.
        every: keep every n-th frame.
        train_frames: scannet: sharpest frames of so many intervals train the field.
        val_frames: scannet: and so many more validate it.
        min_frames: scannet: scenes with fewer valid frames are left out.
        limit: the first n scenes only.
        val: share of the scenes that validate.
        test: share of the scenes that test.
        split: drawn by seed, or every scene in all three lists.
        seed: of the split.
        compat: official: repeat the published bugs.
    """
    from maskfield import api
    from maskfield.data.preparation.options import PrepareOptions

    options = PrepareOptions(
        features=features,
        longest=longest,
        min_size=min_size,
        exclude=exclude,
        keep_labels=keep_labels,
        manual=manual,
        categories=categories,
        every=every,
        train_frames=train_frames,
        val_frames=val_frames,
        min_frames=min_frames,
        limit=limit,
        val=val,
        test=test,
        split=split,
        seed=seed,
        compat=compat,
    )
    print(api.data_prepare(dataset, source, out=out, options=options).text())
