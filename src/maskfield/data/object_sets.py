"""Sets of objects: each a :class:`Scene` of posed images, decoded once.

The images of an object are as a network takes them (over white where the data set has no
background of its own); ``Scene.opacity`` is the mask of the object, if the data set has one.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from maskfield.core.errors import ConfigError, SceneError
from maskfield.data.grid_sources import user_cache
from maskfield.data.object_config import ObjectDataConfig
from maskfield.data.object_sources import SPLITS, ObjectSource, find_sources
from maskfield.data.scene import Scene, load_scene, save_scene

_REVISION = 1  # raise when decoding changes, so that cached objects are made again
_OPEN = 256  # objects kept open: each holds two memory maps, and a process may open 1024 files
_DEFAULT_SIZE = 64  # of procedural objects, in pixels


class ObjectSet(Protocol):
    """A sequence of objects.

    Attributes:
        names: one per object. categories: one per object, "" where the data set has none.
    """

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def categories(self) -> tuple[str, ...]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Scene:
        """The posed images of one object, pixels memory-mapped where they are many."""
        ...


def open_objects(config: ObjectDataConfig) -> tuple[ObjectSet, ObjectSet]:
    """Training and held-out objects.

    Raises:
        ConfigError: no such folder or procedural world. DataError: no objects of a split.
    """
    return open_split(config, "train"), open_split(config, config.held_out)


def open_split(config: ObjectDataConfig, split: str) -> ObjectSet:
    """The objects of one split: "train", "val" or "test".

    Raises:
        ConfigError: no such folder, procedural world or split. DataError: no objects.
    """
    if split not in SPLITS:
        raise ConfigError(
            "unknown split", field="split", value=split, remedy=f"use one of {SPLITS}"
        )
    count = config.counts[0 if split == "train" else 1]
    if config.synthetic is not None:
        from maskfield.data.synthetic.object_sets import synthetic_objects

        size = config.image_size or _DEFAULT_SIZE
        found: ObjectSet = synthetic_objects(
            config.synthetic, split, count or 1, config.views, size, config.cache
        )
    else:
        sources = find_sources(config, split)[:count]
        found = DecodedObjects(sources, _cache_of(config), _how(config, split))
    return OfficialCentres(found) if config.official_centres else found


class DecodedObjects:
    """Objects on disk, decoded when first asked for; the copies are kept between runs.

    Args:
        sources: the objects. cache: folder of the decoded copies.
        how: whatever changes what is decoded; part of the copies' names.
    """

    def __init__(self, sources: Sequence[ObjectSource], cache: Path, how: str) -> None:
        self.sources, self.cache, self.how = tuple(sources), cache, how
        self.names = tuple(s.name for s in self.sources)
        self.categories = tuple(s.category for s in self.sources)
        self._recent: OrderedDict[int, Scene] = OrderedDict()

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, index: int) -> Scene:
        """One object.

        Raises:
            IndexError: outside the set. SceneError: its files cannot be used.
        """
        if not 0 <= index < len(self):
            raise IndexError(index)
        if index not in self._recent:
            self._recent[index] = self._open(self.sources[index])
        self._recent.move_to_end(index)
        while len(self._recent) > _OPEN:
            self._recent.popitem(last=False)
        return self._recent[index]

    def __getstate__(self) -> dict[str, object]:
        """A worker process opens the copies again: memory maps would be sent as numbers."""
        return {**self.__dict__, "_recent": OrderedDict()}

    def _open(self, source: ObjectSource) -> Scene:
        if source.ready:
            return source.read()
        folder = self.cache / fingerprint(source, self.how)
        try:
            return (
                load_scene(folder) if (folder / "scene.json").is_file() else _copy(source, folder)
            )
        except SceneError as error:
            if error.file is None or not Path(error.file).is_relative_to(folder):
                raise
            return _copy(source, folder)  # the copy is damaged, not the object


@dataclass(frozen=True)
class OfficialCentres:
    """Objects with principal points moved by half a pixel, as the official code sees them."""

    objects: ObjectSet

    @property
    def names(self) -> tuple[str, ...]:
        return self.objects.names

    @property
    def categories(self) -> tuple[str, ...]:
        return self.objects.categories

    def __len__(self) -> int:
        return len(self.objects)

    def __getitem__(self, index: int) -> Scene:
        scene = self.objects[index]
        half = scene.cameras.intrinsics.new_tensor([0.0, 0.0, 0.5, 0.5])
        moved = replace(scene.cameras, intrinsics=scene.cameras.intrinsics + half)
        return replace(scene, cameras=moved)


def fingerprint(source: ObjectSource, how: str) -> str:
    """A name that changes with the object's files and with how they are decoded."""
    digest = hashlib.sha256(f"{_REVISION} {how} {source.path.resolve()}".encode())
    files = sorted(source.path.rglob("*")) if source.path.is_dir() else [source.path]
    for file in files:
        state = file.stat()
        digest.update(f"{file.name} {state.st_size} {state.st_mtime_ns}".encode())
    return f"{source.name}-{digest.hexdigest()[:24]}"


def _copy(source: ObjectSource, folder: Path) -> Scene:
    return load_scene(save_scene(source.read(), folder))


def _cache_of(config: ObjectDataConfig) -> Path:
    return (Path(config.cache) if config.cache else user_cache()) / "objects"


def _how(config: ObjectDataConfig, split: str) -> str:
    """A single capture has other views in training than elsewhere."""
    return f"{config.format} {config.image_size} {split == 'train'}"
