"""Official per-frame HDF5 files: depth and class maps (spec nerf_mae 8.4).

Front3D: ``N.hdf5`` with ``depth`` and ``class_segmaps``. HM3D: two files with ``data``, one in a
folder whose name says depth, one in a folder whose name says semantics. N is the number at the end
of the name; the folder may be anywhere in the scene. h5py comes with the extra ``compat``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from maskfield.core.errors import DataError, MissingPartError

DEPTH, CLASSES, DATA = "depth", "class_segmaps", "data"
_SUFFIXES = (".hdf5", ".h5")
_CLASS_FOLDERS = ("sem", "class", "label")


@dataclass(frozen=True, kw_only=True)
class LabelledFrame:
    """Where the depth and the class map of one frame lie: (file, key) each."""

    number: int
    depth: tuple[Path, str]
    classes: tuple[Path, str]

    def read(self) -> tuple[Float[np.ndarray, "h w"], Int[np.ndarray, "h w"]]:
        """Depth and class ids.

        Raises:
            DataError: damaged files, or maps of another shape or kind. MissingPartError: no h5py.
        """
        depth = read_array(*self.depth).astype(np.float32)
        classes = read_array(*self.classes)
        if depth.ndim != 2 or depth.shape != classes.shape or classes.dtype.kind not in "iu":
            raise DataError(
                "depth and class maps must be pictures of one size, the class map of integers",
                file=self.classes[0],
                field=f"{self.depth[1]}, {self.classes[1]}",
                value=(depth.shape, classes.shape, str(classes.dtype)),
                remedy="render both with the same camera",
            )
        return depth, classes.astype(np.int64)


def has_frames(folder: Path) -> bool:
    """Whether any HDF5 file lies in the folder or below."""
    return folder.is_dir() and next(_files(folder), None) is not None


def list_frames(folder: Path) -> dict[int, LabelledFrame]:
    """Frames by number.

    Raises:
        DataError: none, a depth map without its class map, two files of one number, files without
            numbers. MissingPartError: h5py is not installed.
    """
    files = sorted(_files(folder))
    first = next(iter(files), None)
    if first is None:
        raise DataError(
            "no HDF5 frames here",
            file=folder,
            field="*.hdf5",
            remedy="give a folder with N.hdf5 (depth, class_segmaps), or depth/N.hdf5 and "
            "semantic/N.hdf5 (data)",
        )
    if DATA not in keys_of(first):
        numbered = _numbered(files)
        return {
            n: LabelledFrame(number=n, depth=(f, DEPTH), classes=(f, CLASSES))
            for n, f in numbered.items()
        }
    return _two_folders(folder, files)


def keys_of(path: Path) -> set[str]:
    """Names of the arrays of a file.

    Raises:
        DataError: cannot be read. MissingPartError: h5py is not installed.
    """
    try:
        with require_h5py().File(path, "r") as stream:
            return set(stream.keys())
    except OSError as error:
        raise _damaged(path, error) from error


def read_array(path: Path, key: str) -> np.ndarray:
    """One array of a file; a last axis of one is dropped.

    Raises:
        DataError: cannot be read, or no such array. MissingPartError: h5py is not installed.
    """
    try:
        with require_h5py().File(path, "r") as stream:
            found = np.asarray(stream[key]) if key in stream else None
            keys = sorted(stream.keys())
    except OSError as error:
        raise _damaged(path, error) from error
    if found is None:
        raise DataError(
            "the HDF5 file lacks an array",
            file=path,
            field=key,
            value=keys,
            remedy="write the frame again with depth and classes",
        )
    return found[..., 0] if found.ndim == 3 and found.shape[2] == 1 else found


def require_h5py() -> Any:
    """The module h5py.

    Raises:
        MissingPartError: it is not installed.
    """
    try:
        import h5py
    except ImportError as error:
        raise MissingPartError(
            "reading HDF5 frames needs h5py, which is not installed",
            field="h5py",
            remedy="pip install 'maskfield[compat]'",
        ) from error
    return h5py


def number_of(path: Path) -> int:
    """The number at the end of a file's name.

    Raises:
        DataError: there is none.
    """
    found = re.search(r"(\d+)\D*$", path.name.split(".")[0])
    if found is None:
        raise DataError(
            "the name of a frame must hold its number",
            file=path,
            field="name",
            value=path.name,
            remedy="name frames 0000, 0001, ...",
        )
    return int(found.group(1))


def _files(folder: Path) -> Iterator[Path]:
    return (p for p in folder.rglob("*") if p.suffix.lower() in _SUFFIXES)


def _numbered(files: Iterable[Path]) -> dict[int, Path]:
    found: dict[int, Path] = {}
    for path in files:
        number = number_of(path)
        if number in found:
            raise DataError(
                "two files have the number of one frame",
                file=path,
                field="number",
                value=(number, str(found[number])),
                remedy="give the folder of one scene only",
            )
        found[number] = path
    return found


def _two_folders(folder: Path, files: list[Path]) -> dict[int, LabelledFrame]:
    depths = _numbered(p for p in files if DEPTH in p.parent.name.lower())
    named = [p for p in files if any(w in p.parent.name.lower() for w in _CLASS_FOLDERS)]
    classes = _numbered(named)
    alone = sorted(set(depths) ^ set(classes))
    if alone or not depths:
        raise DataError(
            "every frame needs a depth map and a class map",
            file=folder,
            field="frames with one of the two" if alone else "folders",
            value=alone[:10] or sorted({p.parent.name for p in files}),
            remedy="put depth maps into depth/N.hdf5 and class maps into semantic/N.hdf5",
        )
    return {
        n: LabelledFrame(number=n, depth=(depths[n], DATA), classes=(classes[n], DATA))
        for n in sorted(depths)
    }


def _damaged(path: Path, error: OSError) -> DataError:
    return DataError(
        f"cannot read the HDF5 file: {error}",
        file=path,
        remedy="check the path; a truncated file must be made again",
    )
