"""Which objects a folder holds, layout by layout, and how each of them is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from maskfield.core.errors import ConfigError, DataError
from maskfield.data.object_config import ObjectDataConfig
from maskfield.data.object_scenes import as_object, is_object, views_of
from maskfield.data.readers import dvr, dvr_dtu, multi_obj, srn
from maskfield.data.readers.detect import MARKS, read_any
from maskfield.data.readers.object_views import ObjectPlace, ObjectViews, object_scene
from maskfield.data.scene import Scene, load_scene

SPLITS = ("train", "val", "test")
_HOLDOUT = 10  # a folder of scenes without splits: every tenth is held out


@dataclass(frozen=True, kw_only=True)
class ObjectSource:
    """One object on disk.

    Attributes:
        name, category: as in :class:`maskfield.data.object_sets.ObjectSet`.
        path: its folder or file; when it changes, the object is decoded again.
        read: decodes it.
        ready: reading costs nothing, so that no decoded copy is kept.
    """

    name: str
    category: str
    path: Path
    read: Callable[[], Scene]
    ready: bool = False


def find_sources(config: ObjectDataConfig, split: str) -> tuple[ObjectSource, ...]:
    """The objects of one split, in the data set's order.

    Raises:
        ConfigError: no such folder. DataError: the layout has no objects of this split.
    """
    root = Path(config.path)
    layout = detect_layout(root) if config.format == "auto" else config.format
    if layout == "scenes":
        return _scenes(root, split, config.image_size)
    places, read = _official(root, layout, split)
    return tuple(
        ObjectSource(
            name=place.name,
            category=place.category,
            path=place.path,
            read=partial(_read_official, read, place, config.image_size),
        )
        for place in places
    )


def detect_layout(root: Path) -> str:
    """The layout of a folder (SRN's has one folder per split beside ``root``).

    Raises:
        ConfigError: nothing there.
    """
    if any(_srn_folder(_srn_root(root), split).is_dir() for split in SPLITS):
        return "srn"
    if not root.exists():
        raise ConfigError(
            "no such file or folder",
            field="data.path",
            value=str(root),
            remedy="give the folder of a data set, of scenes, or synthetic:objects-v1",
        )
    for layout, pattern in (("dvr", "softras_*.lst"), ("dvr_gen", "gen_*.lst")):
        if next(root.glob(f"*/{pattern}"), None) is not None:
            return layout
    if next(root.glob("*/new_*.lst"), None) is not None:
        return "dvr_dtu"
    files = (f for split in SPLITS for f in (root / split).rglob("transforms.json"))
    first = next(files, None)
    rendered = first is not None and next(first.parent.glob("*_obj.png"), None) is not None
    return "multi_obj" if rendered else "scenes"


def _official(
    root: Path, layout: str, split: str
) -> tuple[tuple[ObjectPlace, ...], Callable[[ObjectPlace], ObjectViews]]:
    if layout == "srn":
        return srn.list_objects(_srn_root(root), split), srn.read_object
    if layout == "dvr_dtu":
        return dvr_dtu.list_objects(root, split), dvr_dtu.read_object
    if layout == "multi_obj":
        return multi_obj.list_objects(root, split), multi_obj.read_object
    return dvr.list_objects(root, split, dvr.LISTS[layout]), dvr.read_object


def _read_official(
    read: Callable[[ObjectPlace], ObjectViews], place: ObjectPlace, height: int | None
) -> Scene:
    return object_scene(read(place).reduced(height), place)


def _srn_root(root: Path) -> Path:
    """PATH of PATH_train, also when one of these is given."""
    split = root.name.rpartition("_")[2]
    known = split in SPLITS and next(root.glob("*/intrinsics.txt"), None) is not None
    return root.with_name(root.name.removesuffix(f"_{split}")) if known else root


def _srn_folder(root: Path, split: str) -> Path:
    return root.with_name(f"{root.name}_{split}")


def _scenes(root: Path, split: str, height: int | None) -> tuple[ObjectSource, ...]:
    """Folders of captures by split, a folder of captures (every tenth held out), or one capture."""
    if _is_capture(root):
        only = "train" if split == "train" else None
        return (_scene_source(root, height, only),)
    parted = any((root / s).is_dir() for s in SPLITS)
    folder = root / split if parted else root
    found = sorted(p for p in folder.iterdir() if _is_capture(p)) if folder.is_dir() else []
    if not parted:
        stride = min(_HOLDOUT, max(len(found), 1))
        held_out = found[stride - 1 :: stride] if len(found) > 1 else []
        found = [p for p in found if p not in held_out] if split == "train" else held_out
    if not found:
        raise DataError(
            "no objects of this split",
            file=folder,
            field="data.path",
            value=split,
            remedy="give a folder of two or more scenes (scene.json, transforms.json, COLMAP ...), "
            "or one with the sub-folders train, val and test",
        )
    return tuple(_scene_source(path, height, None) for path in found)


def _is_capture(path: Path) -> bool:
    marks = [mark for marks in MARKS.values() for mark in marks]
    return path.is_dir() and any(next(path.glob(mark), None) is not None for mark in marks)


def _scene_source(path: Path, height: int | None, part: str | None) -> ObjectSource:
    read = partial(_read_scene, path, height, part)
    ready = (path / "scene.json").is_file() and part is None and is_object(load_scene(path), height)
    return ObjectSource(name=path.name, category="", path=path, read=read, ready=ready)


def _read_scene(path: Path, height: int | None, part: str | None) -> Scene:
    """A capture as an object; of a single one, training sees its training images only."""
    scene = read_any(path)
    chosen = scene.split.get(part, ()) if part is not None else ()
    scene = views_of(scene, chosen) if chosen else scene
    return scene if is_object(scene, height) else as_object(scene, height)
