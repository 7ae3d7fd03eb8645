"""Sets of procedural objects: photographed once, kept as memory maps, read in microseconds."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from maskfield.core.errors import DataError
from maskfield.core.files import StrPath, atomic_path, read_json, write_json
from maskfield.core.log import Progress
from maskfield.data.grid_sources import user_cache
from maskfield.data.scene import Scene
from maskfield.data.synthetic.objects import (
    make_object,
    object_name,
    photograph,
    scene_of,
    seed_cameras,
    split_path,
)
from maskfield.data.synthetic.splits import OBJECTS_V1, SPLIT_SIZE, split_seeds
from maskfield.geometry.cameras import Cameras

OBJECTS_REVISION = 2  # raise when the procedural objects change, so that cached sets are made again
FORMAT_VERSION = 1
_ARRAYS = ("images", "opacity", "poses", "intrinsics")
_AHEAD = 16  # objects photographed at a time


@dataclass(frozen=True)
class SyntheticObjects:
    """A sequence of photographed objects.

    Attributes:
        names, categories: one per object.
        images: uint8 [object, view, h, w, 3], over white. opacity: uint8 [object, view, h, w].
        poses: float32 [object, view, 3, 4], OpenCV camera-to-world.
        intrinsics: float32 [object, view, 4].
    """

    names: tuple[str, ...]
    categories: tuple[str, ...]
    images: np.ndarray
    opacity: np.ndarray
    poses: np.ndarray
    intrinsics: np.ndarray

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Scene:
        """One object; pixels stay memory-mapped.

        Raises:
            IndexError: outside the set.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        height, width = self.opacity.shape[2:]
        cameras = Cameras(
            camera_to_world=torch.from_numpy(self.poses[index]),
            intrinsics=torch.from_numpy(self.intrinsics[index]),
            width=width,
            height=height,
        )
        return scene_of(self.names[index], cameras, self.images[index], self.opacity[index])


def synthetic_objects(
    name: str,
    split: str,
    count: int,
    views: int = 24,
    size: int = 64,
    cache: StrPath | None = None,
) -> SyntheticObjects:
    """The first ``count`` objects of a split, from the cache or photographed now.

    Args:
        name: the world; there is one, "objects-v1".
        split: "train" (random cameras), "val" or "test" (a spiral); splits never share a seed.
        views: photographs of each object. size: their width and height in pixels.
        cache: folder for the set; None: the user's cache (``XDG_CACHE_HOME``).

    Raises:
        DataError: unknown world or split, or a size out of range.
    """
    if name != OBJECTS_V1:
        raise DataError(
            "unknown procedural world of objects",
            field="data.path",
            value=name,
            remedy=f"use synthetic:{OBJECTS_V1}",
        )
    seeds = split_seeds(split, count)
    folder = Path(cache) if cache else user_cache()
    folder = folder / f"{name}-r{OBJECTS_REVISION}-{split}-{count}x{views}x{size}"
    if not (folder / "index.json").is_file():
        write_objects(folder, seeds, views, size)
    return open_synthetic(folder)


def open_synthetic(folder: StrPath) -> SyntheticObjects:
    """Open a set written by ``write_objects``.

    Raises:
        DataError: missing or damaged files, another format version.
    """
    folder = Path(folder)
    index = read_json(folder / "index.json")
    version = index.get("format_version") if isinstance(index, dict) else None
    if version != FORMAT_VERSION:
        raise DataError(
            "a set of objects of another format version",
            file=folder / "index.json",
            field="format_version",
            value=version,
            remedy="delete the folder; it is made again",
        )
    arrays = [_open(folder / f"{name}.npy", name in ("images", "opacity")) for name in _ARRAYS]
    names, categories = tuple(index["names"]), tuple(index["categories"])
    if any(len(a) != len(names) for a in arrays) or len(categories) != len(names):
        raise DataError(
            "index and arrays of a set of objects disagree",
            file=folder,
            field="names",
            value=[len(names), len(categories), *(len(a) for a in arrays)],
            remedy="delete the folder; it is made again",
        )
    return SyntheticObjects(names, categories, *arrays)


def write_objects(
    folder: StrPath,
    seeds: range,
    views: int,
    size: int,
    workers: int | None = None,
) -> Path:
    """Photograph the objects of ``seeds`` into a folder; the index, written last, makes it valid.

    Args:
        workers: threads; None takes one per core (the ray caster releases the GIL). The result
            does not depend on it.

    Raises:
        DataError: no objects, no views or no pixels. StorageError: the folder cannot be written.
    """
    folder = Path(folder)
    for field, value, most in (
        ("count", len(seeds), SPLIT_SIZE),
        ("views", views, 4096),
        ("size", size, 4096),
    ):
        if not 1 <= value <= most:
            raise DataError(
                "a set of objects cannot be made",
                field=field,
                value=value,
                remedy=f"give 1 to {most}",
            )
    cameras = [seed_cameras(seed, views, size, split_path(seed)) for seed in seeds]
    poses = np.stack([c.camera_to_world.numpy() for c in cameras])
    intrinsics = np.stack([c.intrinsics.numpy() for c in cameras])
    categories = _photograph_all(folder, seeds, cameras, workers or os.cpu_count() or 1)
    for name, array in (("poses", poses), ("intrinsics", intrinsics)):
        with atomic_path(folder / f"{name}.npy") as place, place.open("wb") as stream:
            np.save(stream, array, allow_pickle=False)
    names = [object_name(seed) for seed in seeds]
    index = {"format_version": FORMAT_VERSION, "names": names, "categories": categories}
    write_json(folder / "index.json", index)
    return folder


def _photograph_all(folder: Path, seeds: range, cameras: list[Cameras], workers: int) -> list[str]:
    """Fill ``images.npy`` and ``opacity.npy``; returns the categories."""
    size, views = cameras[0].width, len(cameras[0])
    shape = (len(seeds), views, size, size)
    with (
        atomic_path(folder / "images.npy") as first,
        atomic_path(folder / "opacity.npy") as second,
        Progress(len(seeds), "objects") as bar,
        ThreadPoolExecutor(workers) as pool,
    ):
        images = np.lib.format.open_memmap(first, "w+", np.uint8, (*shape, 3))
        opacity = np.lib.format.open_memmap(second, "w+", np.uint8, shape)

        def one(index: int) -> str:
            thing = make_object(seeds[index])
            images[index], opacity[index] = photograph(thing, cameras[index])
            return thing.category

        categories: list[str] = []
        for start in range(0, len(seeds), _AHEAD):
            categories += pool.map(one, range(start, min(start + _AHEAD, len(seeds))))
            bar.update(len(categories))
        images.flush()
        opacity.flush()
    return categories


def _open(path: Path, mapped: bool) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"cannot open an array of a set of objects: {error}",
            file=path,
            remedy="delete the folder; it is made again",
        ) from error
