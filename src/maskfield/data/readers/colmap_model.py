"""COLMAP sparse models, binary (``.bin``) and text (``.txt``), as plain arrays.

Layouts follow COLMAP's documentation: all binary values are little-endian; poses are
world-to-camera (quaternion w, x, y, z and translation), OpenCV axes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from maskfield.core.errors import SceneError

# model id -> (name, number of parameters)
_MODELS = {
    0: ("SIMPLE_PINHOLE", 3),
    1: ("PINHOLE", 4),
    2: ("SIMPLE_RADIAL", 4),
    3: ("RADIAL", 5),
    4: ("OPENCV", 8),
    5: ("OPENCV_FISHEYE", 8),
    6: ("FULL_OPENCV", 12),
    7: ("FOV", 5),
    8: ("SIMPLE_RADIAL_FISHEYE", 4),
    9: ("RADIAL_FISHEYE", 5),
    10: ("THIN_PRISM_FISHEYE", 12),
}


@dataclass(frozen=True, kw_only=True)
class ModelCamera:
    """Intrinsics as COLMAP stores them."""

    model: str
    width: int
    height: int
    params: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class ModelImage:
    """One registered image: pose (world-to-camera), camera id and its 2-D points.

    Attributes:
        points: [point, 2] pixel positions, pixel centres at +0.5. point_ids: -1 = no 3-D point.
    """

    name: str
    camera: int
    quaternion: Float[np.ndarray, " 4"]
    translation: Float[np.ndarray, " 3"]
    points: Float[np.ndarray, "point 2"]
    point_ids: Int[np.ndarray, " point"]


@dataclass(frozen=True, kw_only=True)
class Model:
    """A sparse model; images in the order of their names.

    Attributes:
        xyz: [point, 3] source world. ids, error, track: [point] id, pixels, number of images.
    """

    cameras: dict[int, ModelCamera]
    images: tuple[ModelImage, ...]
    ids: Int[np.ndarray, " point"]
    xyz: Float[np.ndarray, "point 3"]
    rgb: Int[np.ndarray, "point 3"]
    error: Float[np.ndarray, " point"]
    track: Int[np.ndarray, " point"]


def read_model(folder: Path) -> Model:
    """Read cameras, images and points3D, binary if present, else text.

    Raises:
        SceneError: a missing, truncated or damaged file.
    """
    suffix = ".bin" if (folder / "images.bin").is_file() else ".txt"
    readers = _BINARY if suffix == ".bin" else _TEXT
    cameras, images, points = (
        _guarded(read, folder / f"{name}{suffix}") for name, read in readers.items()
    )
    ids, xyz, rgb, error, track = points
    return Model(
        cameras=cameras,
        images=tuple(sorted(images, key=lambda i: i.name)),
        ids=ids,
        xyz=xyz,
        rgb=rgb,
        error=error,
        track=track,
    )


def _guarded(read: Callable[[Path], Any], path: Path) -> Any:
    try:
        return read(path)
    except FileNotFoundError as error:
        raise SceneError(
            "a file of the COLMAP model is missing",
            file=path,
            remedy="a model is cameras, images and points3D, all .bin or all .txt",
        ) from error
    except (OSError, struct.error, ValueError, IndexError, KeyError, OverflowError) as error:
        raise SceneError(
            f"a file of the COLMAP model is truncated or damaged: {error}",
            file=path,
            remedy="export the model again (`colmap model_converter`)",
        ) from error


class _Stream:
    """Little-endian values read one after the other."""

    def __init__(self, path: Path) -> None:
        self._data, self._at = path.read_bytes(), 0

    def take(self, layout: str) -> tuple:
        values = struct.unpack_from("<" + layout, self._data, self._at)
        self._at += struct.calcsize("<" + layout)
        return values

    def text(self) -> str:
        end = self._data.index(b"\0", self._at)
        value = self._data[self._at : end].decode("utf-8")
        self._at = end + 1
        return value

    def array(self, dtype: np.dtype, count: int) -> np.ndarray:
        values = np.frombuffer(self._data, dtype, count, self._at)
        self._at += values.nbytes
        return values


def _binary_cameras(path: Path) -> dict[int, ModelCamera]:
    stream, cameras = _Stream(path), {}
    for _ in range(stream.take("Q")[0]):
        key, model, width, height = stream.take("iiQQ")
        name, count = _MODELS[model]
        params = stream.take(f"{count}d")
        cameras[key] = ModelCamera(model=name, width=width, height=height, params=params)
    return cameras


_POINT2D = np.dtype([("xy", "<f8", 2), ("id", "<i8")])


def _binary_images(path: Path) -> list[ModelImage]:
    stream, images = _Stream(path), []
    for _ in range(stream.take("Q")[0]):
        values = stream.take("i7di")
        name = stream.text()
        points = stream.array(_POINT2D, stream.take("Q")[0])
        images.append(
            ModelImage(
                name=name,
                camera=values[8],
                quaternion=np.array(values[1:5]),
                translation=np.array(values[5:8]),
                points=points["xy"],
                point_ids=points["id"],
            )
        )
    return images


def _binary_points(path: Path) -> tuple[np.ndarray, ...]:
    stream, rows = _Stream(path), []
    for _ in range(stream.take("Q")[0]):
        row = stream.take("Q3d3BdQ")
        stream.array(np.dtype("<i4"), 2 * row[8])
        rows.append(row)
    return _point_arrays(rows)


def _point_arrays(rows: list[tuple]) -> tuple[np.ndarray, ...]:
    table = np.array(rows, dtype=np.float64).reshape(-1, 9)
    return (
        table[:, 0].astype(np.int64),
        table[:, 1:4],
        table[:, 4:7].astype(np.int64),
        table[:, 7],
        table[:, 8].astype(np.int64),
    )


def _lines(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8").splitlines()
    return [line for line in text if not line.startswith("#")]


def _text_cameras(path: Path) -> dict[int, ModelCamera]:
    cameras = {}
    for line in filter(str.strip, _lines(path)):
        key, model, width, height, *params = line.split()
        cameras[int(key)] = ModelCamera(
            model=model,
            width=int(width),
            height=int(height),
            params=tuple(float(p) for p in params),
        )
    return cameras


def _text_images(path: Path) -> list[ModelImage]:
    """Two lines per image; the second (its points) may be empty."""
    lines = _lines(path)
    while lines and not lines[-1].strip() and len(lines) % 2:
        lines.pop()
    images = []
    for first, second in zip(lines[::2], [*lines[1::2], ""], strict=False):
        values = first.split(maxsplit=9)
        points = np.array(second.split(), dtype=np.float64).reshape(-1, 3)
        images.append(
            ModelImage(
                name=values[9],
                camera=int(values[8]),
                quaternion=np.array(values[1:5], dtype=np.float64),
                translation=np.array(values[5:8], dtype=np.float64),
                points=points[:, :2],
                point_ids=points[:, 2].astype(np.int64),
            )
        )
    return images


def _text_points(path: Path) -> tuple[np.ndarray, ...]:
    rows = []
    for line in filter(str.strip, _lines(path)):
        values = line.split()
        rows.append((*map(float, values[:8]), (len(values) - 8) // 2))
    return _point_arrays(rows)


_BINARY = {"cameras": _binary_cameras, "images": _binary_images, "points3D": _binary_points}
_TEXT = {"cameras": _text_cameras, "images": _text_images, "points3D": _text_points}
