"""GridStore: many radiance grids in flat, memory-mapped files, read straight into float32.

A folder: ``index.json`` says where each grid lies (shard, offset, shape, kind, frame header); the
shards ``grids-G-K.bin`` hold colour [3, x, y, z], then density [1, x, y, z], C order, 64-byte
aligned, little-endian. ``index.json`` is written last, so a folder without it is not a store.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numba
import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from maskfield.core.errors import DataError, GridError
from maskfield.core.files import StrPath, atomic_path, read_json, write_json
from maskfield.data.radiance_grid import RadianceGrid

FORMAT_VERSION = 1
_ALIGN = 64
_SHARD_BYTES = 1 << 30
_HEADER = (
    "density_kind",
    "activation",
    "delta",
    "unit_length_m",
    "ngp_scale",
    "ngp_offset",
    "from_mitsuba",
)
_HALF_TO_FLOAT = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32)
ColourType = Literal["uint8", "float16"]
DensityType = Literal["alpha_uint8", "alpha_float16", "float16"]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Where one grid lies, and its frame header."""

    name: str
    shard: str
    offset: int
    resolution: tuple[int, int, int]
    colour_dtype: str
    density_dtype: str
    box: list[list[float]]
    header: Mapping[str, Any]

    @property
    def density_offset(self) -> int:
        return _aligned(self.offset + 3 * self.voxels * np.dtype(self.colour_dtype).itemsize)

    @property
    def end(self) -> int:
        return _aligned(self.density_offset + self.voxels * np.dtype(self.density_dtype).itemsize)

    @property
    def voxels(self) -> int:
        x, y, z = self.resolution
        return x * y * z


@dataclass(frozen=True)
class GridStore:
    """A read-only sequence of radiance grids; cheap to open, to pickle and to share.

    Attributes:
        folder: where ``index.json`` lies. entries: one per grid, in the order of writing.
    """

    folder: Path
    entries: tuple[Entry, ...]
    _maps: dict[str, np.ndarray] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> RadianceGrid:
        """The grid in its stored dtypes (copied out of the file)."""
        entry = self.entries[index]
        colour, density = self._arrays(entry)
        header = dict(entry.header)
        offset = header.pop("ngp_offset")
        return RadianceGrid(
            rgb=torch.from_numpy(colour.copy()),
            density=torch.from_numpy(density.copy()),
            box=torch.tensor(entry.box, dtype=torch.float32),
            ngp_offset=None if offset is None else tuple(offset),
            **header,
        )

    def __iter__(self) -> Iterator[RadianceGrid]:
        return (self[i] for i in range(len(self)))

    def __getstate__(self) -> tuple[Path, tuple[Entry, ...]]:
        return self.folder, self.entries  # a worker process maps the files again

    def __setstate__(self, state: tuple[Path, tuple[Entry, ...]]) -> None:
        object.__setattr__(self, "folder", state[0])
        object.__setattr__(self, "entries", state[1])
        object.__setattr__(self, "_maps", {})

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(e.name for e in self.entries)

    def index(self, name: str) -> int:
        """Position of a grid by name.

        Raises:
            DataError: no such grid.
        """
        if name not in self.names:
            raise DataError(
                "the store has no such grid",
                file=self.folder,
                field="name",
                value=name,
                remedy=f"it holds {len(self)} grids, for example {self.names[:3]}",
            )
        return self.names.index(name)

    def read_rgba(
        self, index: int, out: Float[Tensor, "4 x y z"] | None = None
    ) -> Float[Tensor, "4 x y z"]:
        """Network input: colour and alpha as float32, channels first.

        ``out`` (contiguous float32, same shape) is filled and returned when given; a loader that
        keeps its buffer saves the time the system needs to hand out fresh pages.

        Raises:
            GridError: ``out`` does not fit, or the density cannot become alpha.
        """
        entry = self.entries[index]
        out = torch.empty(4, *entry.resolution) if out is None else _checked(out, entry)
        colour, density = self._arrays(entry)
        _to_float(colour, out[:3])
        if entry.header["density_kind"] == "alpha":
            _to_float(density, out[3:])
        else:
            out[3:] = self[index].to_alpha()
        return out

    def _arrays(
        self, entry: Entry
    ) -> tuple[Shaped[np.ndarray, "3 x y z"], Shaped[np.ndarray, "1 x y z"]]:
        data = self._map(entry.shard)
        return (
            _view(data, entry.offset, entry.colour_dtype, (3, *entry.resolution)),
            _view(data, entry.density_offset, entry.density_dtype, (1, *entry.resolution)),
        )

    def _map(self, shard: str) -> np.ndarray:
        if shard not in self._maps:
            self._maps[shard] = np.memmap(self.folder / shard, np.uint8, mode="r")
        return self._maps[shard]


def write_store(
    grids: Iterable[tuple[str, RadianceGrid]],
    folder: StrPath,
    *,
    colour: ColourType = "uint8",
    density: DensityType = "alpha_float16",
    shard_bytes: int = _SHARD_BYTES,
) -> GridStore:
    """Write (name, grid) pairs, one grid in memory at a time, and open the result.

    An existing store in ``folder`` stays usable until the new index replaces it.

    Args:
        colour: 8 bits (step 1/255) or half precision.
        density: alpha by the official rule (fp16, or 8 bits), or the grid's own kind as fp16.

    Raises:
        GridError: an invalid grid (named), or no grids. StorageError: the folder cannot be written.
    """
    folder = Path(folder)
    old = read_json(folder / "index.json") if (folder / "index.json").is_file() else {}
    generation = int(old.get("generation", 0)) + 1
    entries: list[Entry] = []
    pending = _prepared(grids, colour, density)
    first = next(pending, None)
    while first is not None:
        shard = f"grids-{generation}-{len({e.shard for e in entries}):05d}.bin"
        with atomic_path(folder / shard) as temporary, temporary.open("wb") as stream:
            while first is not None and stream.tell() < shard_bytes:
                entries.append(_append(stream, shard, *first))
                first = next(pending, None)
    if not entries:
        raise GridError("no grids to store", file=folder, remedy="give at least one grid")
    _refuse_twins(entries, folder)
    write_json(folder / "index.json", _index(entries, generation))
    for shard in {e["shard"] for e in old.get("grids", ())} - {e.shard for e in entries}:
        (folder / shard).unlink(missing_ok=True)
    return open_store(folder)


def is_store(folder: StrPath) -> bool:
    """Whether ``folder`` looks like a grid store."""
    index = Path(folder) / "index.json"
    return index.is_file() and any(Path(folder).glob("grids-*.bin"))


def open_store(folder: StrPath) -> GridStore:
    """Open a store; files are mapped when they are first read.

    Raises:
        DataError: no store, another format version, missing or truncated shards.
    """
    folder = Path(folder)
    index = read_json(folder / "index.json")
    found = (index.get("kind"), index.get("format_version")) if isinstance(index, dict) else None
    if found != ("GridStore", FORMAT_VERSION):
        raise DataError(
            "not a grid store of this format version",
            file=folder / "index.json",
            field="kind, format_version",
            value=found,
            remedy="make the store again with this release",
        )
    try:
        rows = index["grids"]
        entries = tuple(Entry(**{**e, "resolution": tuple(e["resolution"])}) for e in rows)
    except (KeyError, TypeError) as error:
        raise DataError(
            f"the index of the store is damaged: {error!r}",
            file=folder / "index.json",
            field="grids",
            remedy="copy the store again, or make it again",
        ) from error
    _check_shards(folder, entries)
    return GridStore(folder, entries)


def _check_shards(folder: Path, entries: tuple[Entry, ...]) -> None:
    needed: dict[str, int] = {}
    for e in entries:
        needed[e.shard] = max(needed.get(e.shard, 0), e.end)
    for shard, size in needed.items():
        path = folder / shard
        actual = path.stat().st_size if path.is_file() else -1
        if actual < size:
            raise DataError(
                "a shard of the store is missing or truncated",
                file=path,
                field="bytes",
                value=f"{max(actual, 0)} of {size}",
                remedy="copy the store again, or make it again",
            )


def _prepared(
    grids: Iterable[tuple[str, RadianceGrid]], colour: ColourType, density: DensityType
) -> Iterator[tuple[str, RadianceGrid]]:
    for name, grid in grids:
        try:
            checked = grid.validated(name)
            yield name, _as_stored(checked, colour, density).validated(name)
        except GridError as error:
            raise GridError(
                error.problem, file=name, field=error.field, value=error.value, remedy=error.remedy
            ) from error


def _as_stored(grid: RadianceGrid, colour: ColourType, density: DensityType) -> RadianceGrid:
    """The grid in the dtypes, and with the kind of density, that go to disk."""
    rgb = grid.rgb
    if colour == "float16":
        rgb = grid.colour().half()
    elif rgb.dtype != torch.uint8:
        rgb = _eight_bits(grid.colour())
    if density == "float16":
        alpha = grid.density_kind == "alpha"
        return replace(grid, rgb=rgb, density=(grid.to_alpha() if alpha else grid.density).half())
    alpha = grid.to_alpha()
    stored = alpha.half() if density == "alpha_float16" else _eight_bits(alpha)
    return replace(grid, rgb=rgb, density=stored, density_kind="alpha", activation="none")


def _eight_bits(values: Float[Tensor, "*n"]) -> Shaped[Tensor, "*n"]:
    return (values.clamp(0, 1) * 255 + 0.5).to(torch.uint8)


def _append(stream: BinaryIO, shard: str, name: str, grid: RadianceGrid) -> Entry:
    colour, density = grid.rgb.contiguous().numpy(), grid.density.contiguous().numpy()
    entry = Entry(
        name=name,
        shard=shard,
        offset=_aligned(stream.tell()),
        resolution=grid.resolution,
        colour_dtype=str(colour.dtype),
        density_dtype=str(density.dtype),
        box=grid.box.double().tolist(),
        header={k: getattr(grid, k) for k in _HEADER},
    )
    for offset, array in ((entry.offset, colour), (entry.density_offset, density)):
        stream.write(b"\0" * (offset - stream.tell()))
        stream.write(array.data)
    stream.write(b"\0" * (entry.end - stream.tell()))
    return entry


def _index(entries: list[Entry], generation: int) -> dict[str, Any]:
    grids = [{k: getattr(e, k) for k in Entry.__dataclass_fields__} for e in entries]
    return {
        "format_version": FORMAT_VERSION,
        "kind": "GridStore",
        "generation": generation,
        "grids": grids,
    }


def _refuse_twins(entries: list[Entry], folder: Path) -> None:
    names = [e.name for e in entries]
    twins = sorted({n for n in names if names.count(n) > 1}) if len(set(names)) < len(names) else []
    if twins:
        raise GridError(
            "two grids have the same name",
            file=folder,
            field="name",
            value=twins[:3],
            remedy="give every grid its own name",
        )


def _checked(out: Tensor, entry: Entry) -> Tensor:
    if tuple(out.shape) != (4, *entry.resolution) or out.dtype != torch.float32:
        raise GridError(
            "the buffer does not fit the grid",
            field="out",
            value=(tuple(out.shape), str(out.dtype)),
            remedy=f"give float32 {(4, *entry.resolution)}",
        )
    if not out.is_contiguous():
        raise GridError("the buffer is not contiguous", field="out", remedy="give a fresh buffer")
    return out


def _view(data: np.ndarray, offset: int, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return data[offset : offset + size].view(dtype).reshape(shape)


def _to_float(source: np.ndarray, out: Tensor) -> None:
    """8 bits are divided by 255, half precision is widened; one pass over memory.

    One thread, without the interpreter's lock: loader threads run side by side, and a barrier
    between threads costs more than this pass when the cores are busy.
    """
    target = out.reshape(-1).numpy()
    if source.dtype == np.uint8:
        _divide_255(source.reshape(-1), target)
    else:
        _look_up(source.reshape(-1).view(np.uint16), _HALF_TO_FLOAT, target)


@numba.njit(cache=True, nogil=True)
def _divide_255(source: np.ndarray, out: np.ndarray) -> None:  # pragma: no cover - compiled
    for i in range(source.size):
        out[i] = np.float32(source[i]) / np.float32(255)


@numba.njit(cache=True, nogil=True)
def _look_up(
    source: np.ndarray, table: np.ndarray, out: np.ndarray
) -> None:  # pragma: no cover - compiled
    for i in range(source.size):
        out[i] = table[source[i]]


def _aligned(offset: int) -> int:
    return -(-offset // _ALIGN) * _ALIGN
