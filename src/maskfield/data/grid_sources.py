"""Where training grids come from: procedural rooms, a store, files, official features, a table.

Every source answers the same question, ``rgba(i)``: colour and alpha as float32 [4, x, y, z].
Procedural rooms are rasterised once, into a store in the cache, and read from there.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from maskfield.core.errors import ConfigError, DataError, GridError
from maskfield.core.log import Progress
from maskfield.data.config import DensityRule, GridDataConfig
from maskfield.data.radiance_grid import RadianceGrid, load_grid
from maskfield.data.readers import nerf_rpn
from maskfield.data.readers.general_csv import GeneralRow, read_general_csv
from maskfield.data.store import GridStore, is_store, open_store

ROOMS_REVISION = 2  # raise when the procedural rooms change, so that cached grids are made again
_THREADS = 8
_LEAST_SPREAD = 0.02  # exp or relu applied to what is alpha already leaves less

T = TypeVar("T")
Frame = tuple[Float[Tensor, "2 3"], tuple[int, int, int]]


class GridSource(Protocol):
    """A sequence of grids ready for a network."""

    @property
    def names(self) -> Sequence[str]: ...

    def __len__(self) -> int: ...

    def rgba(self, index: int) -> Float[Tensor, "4 x y z"]:
        """Colour in [0, 1] and alpha, float32."""
        ...

    def frame(self, index: int) -> Frame:
        """World box and voxels along each axis."""
        ...


@dataclass(frozen=True)
class StoredGrids:
    """Some grids of a store."""

    store: GridStore
    indices: tuple[int, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.store.entries[i].name for i in self.indices)

    def __len__(self) -> int:
        return len(self.indices)

    def rgba(self, index: int) -> Float[Tensor, "4 x y z"]:
        return self.store.read_rgba(self.indices[index])

    def frame(self, index: int) -> Frame:
        entry = self.store.entries[self.indices[index]]
        return torch.tensor(entry.box, dtype=torch.float32), entry.resolution


@dataclass(frozen=True)
class GridFiles:
    """One file per grid: ``.safetensors``, or the official ``.npz`` with a density rule."""

    files: tuple[Path, ...]
    density: DensityRule = "auto"

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f.stem for f in self.files)

    def __len__(self) -> int:
        return len(self.files)

    def rgba(self, index: int) -> Float[Tensor, "4 x y z"]:
        return self.grid(index).rgba()

    def frame(self, index: int) -> Frame:
        grid = self.grid(index)
        return grid.box, grid.resolution

    def grid(self, index: int) -> RadianceGrid:
        """The grid as it is stored."""
        path = self.files[index]
        if path.suffix == ".npz":
            return nerf_rpn.read_grid(path, density=self.density)
        return load_grid(path)


@dataclass(frozen=True)
class TableGrids(GridFiles):
    """The grids of a ``general`` CSV: names and box tables are those of its rows."""

    table: Path = Path()
    rows: tuple[GeneralRow, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(row.name for row in self.rows)


def open_grids(config: GridDataConfig) -> tuple[GridSource, GridSource]:
    """Training and validation grids of a data config.

    Raises:
        ConfigError: an unknown procedural world. DataError: no grids, or damaged files.
    """
    if config.synthetic is not None:
        return _procedural(config)
    folder = Path(config.path)
    if is_store(folder):
        return _from_store(open_store(folder), config)
    if folder.suffix.lower() == ".csv":
        return _from_table(folder, config)
    return _from_files(folder, config)


def room_store(split: str, count: int, resolution: int, cache: str | None = None) -> GridStore:
    """Rasterised rooms of one split of ``rooms-v1``, from the cache or made now.

    Labels and boxes lie beside the grids (see ``synthetic.store_rooms``).

    Args:
        split: "train", "val" or "test"; splits never share a seed.
        count: rooms. resolution: voxels along the longest side.
        cache: folder for the store; None: the user's cache (``XDG_CACHE_HOME``).
    """
    folder = Path(cache) if cache else user_cache()
    folder = folder / f"rooms-v1-r{ROOMS_REVISION}-{split}-{count}x{resolution}"
    if (folder / "index.json").is_file():
        return open_store(folder)
    from maskfield.data.synthetic.splits import split_seeds
    from maskfield.data.synthetic.store_rooms import write_room_grids

    seeds = split_seeds(split, count)
    return write_room_grids(folder, len(seeds), seeds.start, resolution)


def user_cache() -> Path:
    """``$XDG_CACHE_HOME/maskfield``, else ``~/.cache/maskfield``."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "maskfield"


def _procedural(config: GridDataConfig) -> tuple[GridSource, GridSource]:
    if config.synthetic != "rooms-v1":
        raise ConfigError(
            "unknown procedural world",
            field="data.path",
            value=config.path,
            remedy="use synthetic:rooms-v1",
        )
    count = max(int(config.percent_train * config.train_count), 1)
    whole = room_store("train", config.train_count, config.resolution, config.cache)
    held_out, resolution = config.held_out, config.resolution
    validation = room_store(held_out, config.validation_count, resolution, config.cache)
    return StoredGrids(whole, tuple(range(count))), StoredGrids(
        validation, tuple(range(len(validation)))
    )


def _from_store(store: GridStore, config: GridDataConfig) -> tuple[GridSource, GridSource]:
    place = {name: i for i, name in enumerate(store.names)}
    train, validation = _present(place, config, Path(config.path))
    return StoredGrids(store, train), StoredGrids(store, validation)


def _from_files(folder: Path, config: GridDataConfig) -> tuple[GridSource, GridSource]:
    train, validation = _present(_grid_files(folder), config, folder)
    sources = GridFiles(train, config.density), GridFiles(validation, config.density)
    for source in sources:
        check_grids(source)
    return sources


def _from_table(table: Path, config: GridDataConfig) -> tuple[GridSource, GridSource]:
    """Rows in order; a table has no split of its own: see ``split_file`` and ``holdout``."""
    parts = _present({row.name: row for row in read_general_csv(table)}, config, table)
    train, validation = (
        TableGrids(tuple(row.features for row in rows), config.density, table, rows)
        for rows in parts
    )
    check_grids(train)
    check_grids(validation)
    return train, validation


def check_grids(source: GridFiles) -> None:
    """Read every file once, so that a bad one is known before training, not in the middle of it.

    Raises:
        GridError: the first file that is damaged, empty or constant, or whose density was given
            the wrong activation (alpha hardly varies).
    """
    with Progress(len(source), "check grids") as bar, ThreadPoolExecutor(_THREADS) as pool:
        for index, spread in enumerate(pool.map(lambda i: _spread(source, i), range(len(source)))):
            bar.update(index + 1)
            if spread < _LEAST_SPREAD:
                raise GridError(
                    "opacity hardly varies: the grid is empty, or its density was given the "
                    "wrong activation",
                    file=source.files[index],
                    field="density",
                    value=f"greatest minus least alpha {spread:.3g}, density rule {source.density}",
                    remedy="set data.density to exp, relu or alpha, or leave the file out",
                )


def _spread(source: GridFiles, index: int) -> float:
    alpha = source.rgba(index)[3]
    return float(alpha.max() - alpha.min())


def _present(
    places: Mapping[str, T], config: GridDataConfig, folder: Path
) -> tuple[tuple[T, ...], tuple[T, ...]]:
    """Training and validation grids among those that are there; neither may be empty."""
    names = _split_names(tuple(places), config, folder)
    train, validation = (tuple(places[n] for n in part if n in places) for part in names)
    kept = (train, validation)
    for kind, listed, found in zip(("training", "validation"), names, kept, strict=True):
        if not found:
            raise DataError(
                f"no {kind} grids",
                file=folder,
                field="split",
                value=f"{len(listed)} names, none has a grid; {len(places)} grids are there",
                remedy="check that the split file belongs to these grids, and give two or more",
            )
    return train, validation


def _grid_files(folder: Path) -> dict[str, Path]:
    """Name -> file: ``.safetensors`` here, or ``.npz`` here or in ``features``."""
    features = folder / "features" if (folder / "features").is_dir() else folder
    found = sorted(folder.glob("*.safetensors")) or sorted(features.glob("*.npz"))
    files = {p.stem: p for p in found if not p.stem.endswith("split")}
    if not files:
        raise DataError(
            "no grids here",
            file=folder,
            field="data.path",
            value=str(folder),
            remedy="give a grid store, a folder of .safetensors grids, or official features/*.npz; "
            "`maskfield data synth grids` makes a store of procedural rooms",
        )
    return files


def _split_names(
    names: Sequence[str], config: GridDataConfig, folder: Path
) -> tuple[Sequence[str], Sequence[str]]:
    """By split file when there is one, else every ``holdout``-th grid validates."""
    split_file = config.split_file or next(iter(sorted(folder.glob("*split.npz"))), None)
    if split_file is not None:
        split = nerf_rpn.read_split(split_file)
        train, validation = split["train"], split[config.held_out]
    else:
        stride = min(config.holdout, len(names))  # a small set still validates: on its last grid
        validation = names[stride - 1 :: stride] if len(names) > 1 else ()
        held = set(validation)
        train = [n for n in names if n not in held]
    return train[: max(int(config.percent_train * len(train)), 1)], validation
