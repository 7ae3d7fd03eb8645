"""Which reader a path belongs to."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

from maskfield.core.errors import SceneError
from maskfield.core.files import StrPath
from maskfield.data.config import MixedSizes, SceneFormat
from maskfield.data.readers.options import ReadOptions
from maskfield.data.scene import Scene, load_scene

_MODEL_PLACES = ("", "sparse/0/", "sparse/", "colmap/sparse/0/", "dense/0/sparse/", "dense/sparse/")

# format -> what marks it, in the order in which they are looked for
MARKS: dict[str, tuple[str, ...]] = {
    "scene": ("scene.json",),
    "transforms_json": ("transforms.json",),
    "nerf_synthetic": ("transforms_train.json",),
    "llff": ("poses_bounds.npy",),
    "colmap": tuple(f"{p}images{s}" for p in _MODEL_PLACES for s in (".bin", ".txt")),
    "rgbd": ("*.pose.txt",),
}


def read_any(
    path: StrPath,
    format: SceneFormat = "auto",  # noqa: A002 - the option is called so everywhere
    *,
    holdout: int = 8,
    downscale: int = 1,
    mixed_sizes: MixedSizes = "error",
    images: str | None = None,
) -> Scene:
    """Read any capture: a scene folder, transforms.json, NeRF-synthetic, LLFF, COLMAP, RGB-D.

    Args:
        path: folder or file. format: name of the reader, or "auto" to look at the files.
        holdout, downscale, mixed_sizes, images: see :class:`ReadOptions`; a scene folder, being
            ours already, is opened as it is.

    Raises:
        SceneError: nothing there that any reader knows (lists what was looked for), or what the
            reader refuses. ConfigError: an option is out of range.
    """
    options = ReadOptions(
        holdout=holdout, downscale=downscale, mixed_sizes=mixed_sizes, images=images
    )
    path = Path(path)
    if not path.exists():
        raise SceneError("no such file or folder", file=path, remedy="check the path")
    found = detect(path) if format == "auto" else format
    if found == "scene":
        return load_scene(path)
    return _reader(found)(path, options)


def detect(path: Path) -> str:
    """The format of a file or folder.

    Raises:
        SceneError: none of the known ones; lists what was looked for.
    """
    if path.is_file():
        return _detect_file(path)
    for name, marks in MARKS.items():
        if any(next(path.glob(mark), None) is not None for mark in marks):
            return name
    looked = {name: marks[0] for name, marks in MARKS.items()} | {"colmap": "sparse/0/images.bin"}
    raise SceneError(
        "no capture of a known kind in this folder",
        file=path,
        field="looked for",
        value=", ".join(f"{mark} ({name})" for name, mark in looked.items()),
        remedy="photographs need camera poses: run COLMAP first, or name the reader (--format)",
    )


def _detect_file(path: Path) -> str:
    by_name = {"scene.json": "scene", "poses_bounds.npy": "llff"}
    if path.name in by_name:
        return by_name[path.name]
    if path.suffix == ".json":
        return "transforms_json"
    raise SceneError(
        "no reader for this file",
        file=path,
        value=path.suffix,
        remedy="give the folder of the capture, or a transforms.json",
    )


def _reader(name: str) -> Callable[[Path, ReadOptions], Scene]:
    if name not in MARKS:
        raise SceneError(
            "no such reader", field="format", value=name, remedy=f"use one of {sorted(MARKS)}"
        )
    return importlib.import_module(f"maskfield.data.readers.{name}").read
