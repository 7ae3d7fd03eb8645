"""Grids with what is to be learned about them: boxes, class labels, or the same grid finer.

What belongs to grid NAME lies beside it:

=========  ==================================  ============================================
target     our stores and ``.safetensors``     official layout
=========  ==================================  ============================================
boxes      ``boxes/NAME.json`` (world frame)   ``obb/NAME.npy`` or ``aabb/NAME.npy`` (voxels)
labels     ``labels/NAME.safetensors``         ``voxel/NAME.npy`` (``data.label_folder``)
finer      ``finer/NAME.safetensors``          ``features_256/NAME.npz`` (``data.finer_folder``)
=========  ==================================  ============================================

A ``general`` CSV names the boxes of each row itself (``.npy`` in voxels, ``.json`` in the world
frame); its rows without boxes are left out of training with boxes. Labels and finer grids of row
NAME lie in the CSV's folder, as above.

Boxes and label ids are checked when a source is opened, before training time is spent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from maskfield.core.errors import DataError
from maskfield.core.files import read_json
from maskfield.data.config import BoxKind, GridDataConfig
from maskfield.data.grid_sources import (
    GridFiles,
    GridSource,
    StoredGrids,
    TableGrids,
    open_grids,
    room_store,
)
from maskfield.data.label_grid import load_labels
from maskfield.data.readers.nerf_rpn import boxes_in_voxels, read_boxes
from maskfield.geometry.boxes import Boxes3D

Grid = Float[Tensor, "4 x y z"]


@dataclass(frozen=True, kw_only=True)
class BoxedGrids:
    """Grids and their boxes, rows in voxels: 7 columns (x, y, z, w, l, h, theta) or 6 (min, max).

    Grids without a box are left out, as official loaders do.
    """

    grids: GridSource
    indices: tuple[int, ...]
    rows: tuple[Float[Tensor, "n k"], ...]

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.grids.names[i] for i in self.indices)

    def __getitem__(self, index: int) -> tuple[Grid, Float[Tensor, "n k"]]:
        return self.grids.rgba(self.indices[index]), self.rows[index]


@dataclass(frozen=True, kw_only=True)
class LabelledGrids:
    """Grids and their class ids; 0 is void. ``files`` hold the ids."""

    grids: GridSource
    files: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Grid, Int[Tensor, "x y z"]]:
        return self.grids.rgba(index), self.labels(index)

    def labels(self, index: int) -> Int[Tensor, "x y z"]:
        """Class ids of one grid, int16."""
        return read_label_ids(self.files[index])


@dataclass(frozen=True, kw_only=True)
class FinerGrids:
    """Grids and the same places on finer voxels."""

    grids: GridSource
    finer: GridSource

    def __len__(self) -> int:
        return len(self.grids)

    def __getitem__(self, index: int) -> tuple[Grid, Float[Tensor, "4 fx fy fz"]]:
        return self.grids.rgba(index), self.finer.rgba(index)


def open_boxed(config: GridDataConfig) -> tuple[BoxedGrids, BoxedGrids]:
    """Training and validation grids with boxes.

    Raises:
        DataError: a box file is missing or damaged, a box lies outside its grid, no box anywhere.
    """
    keep = config.keep_labels
    if keep is None and config.synthetic is not None:
        keep = _furniture()
    train, validation = open_grids(config)
    return _boxed(train, config.boxes, keep), _boxed(validation, config.boxes, keep)


def open_labelled(config: GridDataConfig, classes: int) -> tuple[LabelledGrids, LabelledGrids]:
    """Training and validation grids with class labels in 0 ... classes - 1.

    Raises:
        DataError: a label file is missing or damaged, or holds an id outside the class list.
    """
    train, validation = open_grids(config)
    return _labelled(train, config, classes), _labelled(validation, config, classes)


def open_finer(config: GridDataConfig, fine_resolution: int) -> tuple[FinerGrids, FinerGrids]:
    """Training and validation grids with finer ones, at most ``fine_resolution`` on a side.

    Raises:
        DataError: a finer grid is missing.
    """
    train, validation = open_grids(config)
    return (
        FinerGrids(grids=train, finer=_finer(train, config, "train", fine_resolution)),
        FinerGrids(grids=validation, finer=_finer(validation, config, "val", fine_resolution)),
    )


def read_label_ids(path: Path) -> Int[Tensor, "x y z"]:
    """Class ids of a label file of ours or an official ``.npy``, int16.

    Raises:
        DataError: missing, damaged, or not a grid of whole numbers.
    """
    if path.suffix == ".safetensors":
        return load_labels(path).labels
    try:
        ids = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"cannot read the labels: {error}", file=path, remedy="check the path"
        ) from error
    if ids.ndim != 3 or not np.issubdtype(ids.dtype, np.integer):
        raise DataError(
            "labels must be whole numbers [x, y, z]",
            file=path,
            value=(ids.shape, str(ids.dtype)),
            remedy="make them with `maskfield data labels`",
        )
    return torch.from_numpy(ids.astype(np.int16))


# ------------------------------------------------------------------ boxes


def _boxed(source: GridSource, kind: BoxKind, keep: tuple[int, ...] | None) -> BoxedGrids:
    found = [_rows(source, i, kind, keep) for i in range(len(source))]
    indices = tuple(i for i, rows in enumerate(found) if len(rows))
    if not indices:
        raise DataError(
            "no grid has a box",
            file=_root(source),
            field="data.keep_labels, data.boxes",
            value=(keep, kind),
            remedy="give boxes beside the grids (boxes/NAME.json, or obb|aabb/NAME.npy)",
        )
    return BoxedGrids(grids=source, indices=indices, rows=tuple(found[i] for i in indices))


def _rows(
    source: GridSource, index: int, kind: BoxKind, keep: tuple[int, ...] | None
) -> Float[Tensor, "n k"]:
    path = _box_file(source, index, kind)
    if path is None:
        return torch.zeros(0, 7 if kind == "obb" else 6)
    boxes = _voxel_boxes(source, index, path)
    if keep is not None and len(boxes):
        boxes = boxes[torch.isin(boxes.label, torch.tensor(keep))]
    return boxes.rows() if kind == "obb" else boxes.aligned_rows()


def _box_file(source: GridSource, index: int, kind: BoxKind) -> Path | None:
    """Where the boxes of a grid lie; None: the grid is known to have none."""
    if isinstance(source, TableGrids):
        return source.rows[index].boxes
    name, root = source.names[index], _root(source)
    return _one_of((root / kind / f"{name}.npy", root / "boxes" / f"{name}.json"), "boxes")


def _voxel_boxes(source: GridSource, index: int, path: Path) -> Boxes3D:
    box, resolution = source.frame(index)
    if path.suffix == ".npy":
        return read_boxes(path, resolution)
    try:
        boxes = Boxes3D.from_json(read_json(path))
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise DataError(
            f"the boxes are damaged: {error!r}", file=path, remedy="make them again"
        ) from error
    return boxes_in_voxels(boxes.validated(str(path)), box, resolution)


def _furniture() -> tuple[int, ...]:
    from maskfield.data.synthetic.classes import CLASS_ID, FURNITURE

    return tuple(CLASS_ID[name] for name in FURNITURE)


# ------------------------------------------------------------------ labels


def _labelled(source: GridSource, config: GridDataConfig, classes: int) -> LabelledGrids:
    files = _beside(source, "labels", (config.label_folder, ".npy"), "labels")
    for path in files:
        highest, lowest = (int(f(read_label_ids(path))) for f in (torch.max, torch.min))
        if lowest < 0 or highest >= classes:
            raise DataError(
                "a class id lies outside the class list",
                file=path,
                field="labels",
                value=(lowest, highest),
                remedy=f"the list has {classes} names (ids 0 ... {classes - 1}, 0 is void): "
                "extend method.class_names or map the ids",
            )
    return LabelledGrids(grids=source, files=files)


# ------------------------------------------------------------------ finer grids


def _finer(source: GridSource, config: GridDataConfig, part: str, resolution: int) -> GridSource:
    if config.synthetic is not None and isinstance(source, StoredGrids):
        split = "train" if part == "train" else config.held_out
        count = config.train_count if part == "train" else config.validation_count
        return replace(source, store=room_store(split, count, resolution, config.cache))
    files = _beside(source, "finer", (config.finer_folder, ".npz"), "finer grids")
    return GridFiles(files, config.density)


# ------------------------------------------------------------------ where things lie


def _root(source: GridSource) -> Path:
    """The folder that holds what belongs to the grids."""
    if isinstance(source, StoredGrids):
        return source.store.folder
    if isinstance(source, TableGrids):
        return source.table.parent
    assert isinstance(source, GridFiles)  # the three sources there are
    folder = source.files[0].parent
    return folder.parent if folder.name == "features" else folder


def _beside(
    source: GridSource, ours: str, official: tuple[str, str], what: str
) -> tuple[Path, ...]:
    """For every grid the file in our folder, else in the official one (folder, suffix)."""
    root, (folder, suffix) = _root(source), official
    return tuple(
        _one_of((root / ours / f"{n}.safetensors", root / folder / f"{n}{suffix}"), what)
        for n in source.names
    )


def _one_of(paths: Sequence[Path], what: str) -> Path:
    for path in paths:
        if path.is_file():
            return path
    raise DataError(
        f"a grid has no {what}",
        file=paths[0],
        field=what,
        value="missing",
        remedy=f"expected {' or '.join(str(p) for p in paths)}",
    )
