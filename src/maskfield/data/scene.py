"""Scene: posed images of one place, in the house's frame, as a folder on disk.

``scene.json`` describes the scene; pixels lie beside it in ``.npy`` files that are memory-mapped,
so that opening a scene costs nothing and several processes share the pages.
"""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from maskfield.core.errors import SceneError
from maskfield.core.files import StrPath, atomic_path, read_json, write_json
from maskfield.geometry.boxes import Boxes3D
from maskfield.geometry.cameras import Cameras, check_poses

FORMAT_VERSION = 1
_ARRAYS = ("images", "opacity", "masks", "depths", "instances", "semantics")


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Posed images of one place.

    Attributes:
        cameras: one camera per image, OpenCV camera-to-world, Z-up world.
        images: uint8 [image, height, width, 3], straight (not premultiplied) colour.
        names: one name per image.
        box: [2, 3] world-frame min and max of the region of interest.
        split: "train" / "val" / "test" -> image indices.
        opacity: uint8 [image, height, width] alpha of the photographs (objects on no background).
        masks: uint8 [image, height, width], 1 = pixel counts, 0 = pixel is ignored.
        depths: float32 [image, height, width], depth along camera z in scene units, 0 = unknown.
        instances: int32, semantics: int16 [image, height, width]; 0 = none / void.
        boxes: oriented boxes of the objects, world frame.
        class_names: names of the semantic ids, index = id.
        near, far: distances along rays between which anything lies, scene units, if known.
        world_from_source: [4, 4] similarity that turned and scaled the source frame into this one.
        metric: scene units are metres. up_known: +Z is up for a reason, not by guess.
        unit_length_m: metres per scene unit, or None.
        unbounded: the photographs show far more than ``box`` (outdoor, hand-held captures).
    """

    cameras: Cameras
    images: np.ndarray
    names: tuple[str, ...]
    box: Float[Tensor, "2 3"]
    split: dict[str, tuple[int, ...]]
    opacity: np.ndarray | None = None
    masks: np.ndarray | None = None
    depths: np.ndarray | None = None
    instances: np.ndarray | None = None
    semantics: np.ndarray | None = None
    boxes: Boxes3D | None = None
    class_names: tuple[str, ...] = ()
    near: float | None = None
    far: float | None = None
    world_from_source: Float[Tensor, "4 4"] = field(default_factory=lambda: torch.eye(4))
    metric: bool = False
    up_known: bool = False
    unit_length_m: float | None = None
    unbounded: bool = False

    def __len__(self) -> int:
        return len(self.cameras)

    def indices(self, split: str) -> tuple[int, ...]:
        """Image indices of one split.

        Raises:
            SceneError: the scene has no such split or it is empty.
        """
        found = self.split.get(split, ())
        if not found:
            raise SceneError(
                f"the scene has no images in split {split!r}",
                field="split",
                value={k: len(v) for k, v in self.split.items()},
                remedy="import the scene with a hold-out (`--holdout 8`) or name another split",
            )
        return found

    def validated(self, file: str | None = None) -> Scene:
        """This scene, after checking sizes, poses, intrinsics, box and split.

        Raises:
            SceneError: names the file, the field and the value that is wrong.
        """
        _check_scene(self, file)
        return self


def save_scene(scene: Scene, folder: StrPath) -> Path:
    """Write a scene folder atomically: everything is written aside, then takes its place.

    A scene that was in the folder stays as it was when writing fails.

    Raises:
        SceneError: the scene is not valid. StorageError: the folder cannot be written.
    """
    folder = Path(folder)
    scene.validated(str(folder))
    with ExitStack() as moves:  # undone in reverse: scene.json, entered first, is moved last
        header = moves.enter_context(atomic_path(folder / "scene.json"))
        write_json(header, _header(scene))
        for name in _ARRAYS:
            array = getattr(scene, name)
            if array is not None:
                place = moves.enter_context(atomic_path(folder / f"{name}.npy"))
                with place.open("wb") as stream:
                    np.save(stream, np.ascontiguousarray(array), allow_pickle=False)
    return folder


def load_scene(path: StrPath) -> Scene:
    """Open a scene folder (or its ``scene.json``); pixels stay memory-mapped.

    Raises:
        SceneError: missing or damaged files, another format version, invalid content.
    """
    folder = Path(path)
    folder = folder.parent if folder.name == "scene.json" else folder
    header = read_json(folder / "scene.json")
    if not isinstance(header, dict) or header.get("format_version") != FORMAT_VERSION:
        raise SceneError(
            "scene.json has another format version",
            file=folder / "scene.json",
            field="format_version",
            value=header.get("format_version") if isinstance(header, dict) else header,
            remedy=f"import the source again with this release (it writes {FORMAT_VERSION})",
        )
    arrays = {n: _open_array(folder / f"{n}.npy") for n in header.get("arrays", ()) if n in _ARRAYS}
    try:
        scene = _scene_from_header(header, arrays)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SceneError(
            f"scene.json is damaged: {error!r}",
            file=folder / "scene.json",
            remedy="import the source again",
        ) from error
    return scene.validated(str(folder))


def with_split(scene: Scene, holdout: int) -> Scene:
    """Every ``holdout``-th image, from the first, becomes the test split; 0 keeps all to train."""
    everything = range(len(scene))
    test = tuple(i for i in everything if holdout > 0 and i % holdout == 0)
    train = tuple(i for i in everything if i not in set(test))
    return replace(scene, split={"train": train, "test": test})


def _header(scene: Scene) -> dict[str, Any]:
    c = scene.cameras
    return {
        "format_version": FORMAT_VERSION,
        "convention": "OpenCV camera-to-world, Z-up world, pixel centres at +0.5",
        "arrays": [n for n in _ARRAYS if getattr(scene, n) is not None],
        "width": c.width,
        "height": c.height,
        "names": list(scene.names),
        "camera_to_world": c.camera_to_world.double().tolist(),
        "intrinsics": c.intrinsics.double().tolist(),
        "distortion": None if c.distortion is None else c.distortion.double().tolist(),
        "box": scene.box.double().tolist(),
        "split": {k: list(v) for k, v in scene.split.items()},
        "near": scene.near,
        "far": scene.far,
        "boxes": None if scene.boxes is None else scene.boxes.to_json(),
        "class_names": list(scene.class_names),
        "world_from_source": scene.world_from_source.double().tolist(),
        "metric": scene.metric,
        "up_known": scene.up_known,
        "unit_length_m": scene.unit_length_m,
        "unbounded": scene.unbounded,
    }


def _scene_from_header(header: dict[str, Any], arrays: dict[str, Any]) -> Scene:
    cameras = Cameras(
        camera_to_world=torch.tensor(header["camera_to_world"], dtype=torch.float32),
        intrinsics=torch.tensor(header["intrinsics"], dtype=torch.float32),
        width=header["width"],
        height=header["height"],
        distortion=None
        if header["distortion"] is None
        else torch.tensor(header["distortion"], dtype=torch.float32),
    )
    boxes = header["boxes"]
    plain = ("near", "far", "metric", "up_known", "unit_length_m", "unbounded")
    return Scene(
        cameras=cameras,
        names=tuple(header["names"]),
        box=torch.tensor(header["box"], dtype=torch.float32),
        split={k: tuple(v) for k, v in header["split"].items()},
        boxes=None if boxes is None else Boxes3D.from_json(boxes),
        class_names=tuple(header["class_names"]),
        world_from_source=torch.tensor(header["world_from_source"], dtype=torch.float32),
        **{k: header[k] for k in plain},
        **arrays,
    )


def _open_array(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise SceneError(
            f"cannot open an array of the scene: {error}",
            file=path,
            remedy="the folder is incomplete; import the source again",
        ) from error


def _check_scene(scene: Scene, file: str | None) -> None:
    count, c = len(scene), scene.cameras
    if count == 0:
        raise SceneError(
            "the scene has no cameras", file=file, remedy="give at least one posed image"
        )
    for name in _ARRAYS:
        array = getattr(scene, name)
        expected = (count, c.height, c.width) + ((3,) if name == "images" else ())
        if array is not None and tuple(array.shape) != expected:
            raise SceneError(
                f"array {name!r} has the wrong shape",
                file=file,
                field=name,
                value=tuple(array.shape),
                remedy=f"expected {expected}: one entry per camera, all of one size",
            )
    check_poses(c.camera_to_world, file=file)
    _check_numbers(scene, file)
    _check_boxes(scene, file)


def _check_boxes(scene: Scene, file: str | None) -> None:
    """Objects lie in the world box, give or take half its size on every side."""
    if scene.boxes is None or len(scene.boxes) == 0:
        return
    centre = scene.boxes.validated(file).centre
    slack = (scene.box[1] - scene.box[0]) / 2
    outside = ((centre < scene.box[0] - slack) | (centre > scene.box[1] + slack)).any(1)
    if outside.any():
        row = int(outside.nonzero()[0])
        raise SceneError(
            "the box of an object lies far outside the world box",
            file=file,
            field=f"boxes, row {row}: centre",
            value=f"{centre[row].tolist()}, world box {scene.box.tolist()}",
            remedy="give boxes in the world of the cameras, in the same unit",
        )


def _check_numbers(scene: Scene, file: str | None) -> None:
    k, box = scene.cameras.intrinsics, scene.box
    if not (torch.isfinite(k).all() and (k[:, :2] > 0).all()):
        raise SceneError(
            "intrinsics must be finite with positive focal lengths",
            file=file,
            field="intrinsics",
            value=k[~((k[:, :2] > 0).all(1) & torch.isfinite(k).all(1))][:1].tolist(),
            remedy="give fx, fy, cx, cy in pixels",
        )
    if not (torch.isfinite(box).all() and (box[1] > box[0]).all()):
        raise SceneError(
            "the world box is empty or not finite",
            file=file,
            field="box",
            value=box.tolist(),
            remedy="give min < max on every axis",
        )
    bad = [i for v in scene.split.values() for i in v if not 0 <= i < len(scene)]
    if bad:
        raise SceneError(
            "the split names images that do not exist",
            file=file,
            field="split",
            value=bad[:5],
            remedy=f"use indices 0 to {len(scene) - 1}",
        )
    for name in ("near", "far"):
        value = getattr(scene, name)
        if value is not None and not (math.isfinite(value) and value >= 0):
            raise SceneError(
                f"{name} must be a finite distance",
                file=file,
                field=name,
                value=value,
                remedy="give a distance in scene units or leave it out",
            )
