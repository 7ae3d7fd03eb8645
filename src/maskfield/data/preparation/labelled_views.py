"""Labelled pictures of depth as labelled points, one view at a time.

From a Scene (depth + semantics), or from official HDF5 frames with the transforms.json they were
rendered with (spec nerf_mae 8.4).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from maskfield.core.errors import DataError, SceneError
from maskfield.core.files import read_json
from maskfield.data.preparation.class_maps import ClassMap
from maskfield.data.preparation.depth_points import MAX_DEPTH, backproject_depth
from maskfield.data.preparation.hdf5_frames import LabelledFrame, list_frames, number_of
from maskfield.data.readers.capture import Frame
from maskfield.data.readers.transforms_json import read_frames
from maskfield.data.scene import Scene
from maskfield.geometry.cameras import check_poses, opengl_from_opencv

Compat = Literal["maskfield", "official"]
_Y_UP_TO_Z_UP = (2, 0, 1)  # mitsuba worlds, as transforms.json readers turn them


class LabelledView(NamedTuple):
    """Points of one view in the world, and the class id of each."""

    points: Float[Tensor, "n 3"]
    ids: Int[Tensor, " n"]


def scene_views(scene: Scene, *, max_depth: float = MAX_DEPTH) -> Iterator[LabelledView]:
    """The points every view of a scene sees, nearer than ``max_depth`` metres.

    A scene that does not know its unit takes ``max_depth`` in its own unit.

    Raises:
        SceneError: no depth or no semantics. DataError: a semantic id without a name.
    """
    depths, semantics = _maps(scene)
    limit = max_depth / (scene.unit_length_m or 1.0)
    _check_ids(scene, semantics)
    for index in range(len(scene)):
        rays = scene.cameras.image_rays(index)
        depth = torch.from_numpy(np.array(depths[index], dtype=np.float32)).reshape(-1)
        ids = torch.from_numpy(np.array(semantics[index], dtype=np.int64)).reshape(-1)
        seen = torch.isfinite(depth) & (depth > 0) & (depth < limit) & (ids != 0)
        if scene.masks is not None:
            seen &= torch.from_numpy(np.array(scene.masks[index])).reshape(-1).bool()
        along = (rays.directions * scene.cameras.forward_axes[index]).sum(-1)
        points = rays.origins + rays.directions * (depth / along)[:, None]
        yield LabelledView(points[seen], ids[seen])


def _maps(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    if scene.depths is None or scene.semantics is None:
        missing = [n for n in ("depths", "semantics") if getattr(scene, n) is None]
        raise SceneError(
            "the scene has no " + " and no ".join(missing),
            field=", ".join(missing),
            value=None,
            remedy="labels need depth and class maps: `maskfield data synth scene` makes both; "
            "official HDF5 frames have them too",
        )
    return scene.depths, scene.semantics


def _check_ids(scene: Scene, semantics: np.ndarray) -> None:
    low, high = int(semantics.min()), int(semantics.max())
    if low < 0 or high >= len(scene.class_names):
        raise DataError(
            "a semantic id of the scene has no name",
            field="semantics, class_names",
            value=f"ids {low} to {high}, {len(scene.class_names)} names",
            remedy="give class_names for every id (index = id, 0 = void)",
        )


def official_views(
    folder: Path,
    classes: ClassMap,
    *,
    max_depth: float = MAX_DEPTH,
    compat: Compat = "maskfield",
) -> Iterator[LabelledView]:
    """The points of all frames that a scene's transforms.json lists and HDF5 files show.

    Args:
        folder: the scene: transforms.json here or in ``train`` and ``val``, HDF5 files below.
        classes: raw ids to contiguous ids; void points are left out.
        compat: "official" counts cy from the bottom row, as official code does.

    Raises:
        DataError: a frame without HDF5, ids outside the class list, sizes that do not agree.
        SceneError: transforms.json is missing or damaged. MissingPartError: no h5py.
    """
    held = list_frames(folder)
    for frame, mitsuba in posed_frames(folder):
        labelled = _of_number(frame, held, folder)
        view = _view(frame, labelled, classes, max_depth, compat)
        yield view._replace(points=view.points[:, _Y_UP_TO_Z_UP]) if mitsuba else view


def posed_frames(folder: Path) -> list[tuple[Frame, bool]]:
    """Frames of the scene's transforms.json files, by number, and whether its world is y-up."""
    found = []
    for path in transforms_files(folder):
        head = read_json(path)
        frames = read_frames(path, head)
        poses = torch.tensor(np.stack([np.array(f.camera_to_world) for f in frames]))
        check_poses(poses, file=str(path))
        found += [(frame, bool(head.get("from_mitsuba"))) for frame in frames]
    return sorted(found, key=lambda pair: number_of(Path(pair[0].name)))


def transforms_files(folder: Path) -> list[Path]:
    """``transforms.json`` of a scene, else those of its ``train`` and ``val`` parts.

    Raises:
        SceneError: none of them is there.
    """
    one = folder / "transforms.json"
    parts = [folder / part / "transforms.json" for part in ("train", "val")]
    files = [one] if one.is_file() else [p for p in parts if p.is_file()]
    if not files:
        raise SceneError(
            "the scene has no transforms.json",
            file=folder,
            field="transforms.json",
            remedy="put it into the scene's folder, or into train/ and val/",
        )
    return files


def _of_number(frame: Frame, held: dict[int, LabelledFrame], folder: Path) -> LabelledFrame:
    number = number_of(Path(frame.name))
    if number not in held:
        raise DataError(
            "a frame of transforms.json has no depth and class maps",
            file=folder,
            field="frames",
            value=f"{frame.name}; numbers with maps: {sorted(held)[:5]} ...",
            remedy="render the missing frame, or remove it from transforms.json",
        )
    return held[number]


def _view(
    frame: Frame, labelled: LabelledFrame, classes: ClassMap, max_depth: float, compat: Compat
) -> LabelledView:
    depth, raw = labelled.read()
    ids = classes.contiguous(torch.from_numpy(raw), labelled.classes[0]).reshape(-1)
    fx, fy, cx, cy = _intrinsics(frame, depth.shape, labelled.depth[0])
    centre = (cx, cy if compat == "official" else depth.shape[0] - cy)
    pose = opengl_from_opencv(torch.tensor(np.array(frame.camera_to_world), dtype=torch.float32))
    clean = torch.from_numpy(np.where(np.isfinite(depth), depth, 0.0))
    points, valid = backproject_depth(
        clean[None], pose[None], (fx, fy), centre, max_depth=max_depth
    )
    seen = valid.reshape(-1) & (ids != 0)
    return LabelledView(points.reshape(-1, 3)[seen], ids[seen])


def _intrinsics(
    frame: Frame, shape: tuple[int, ...], file: Path
) -> tuple[float, float, float, float]:
    """fx, fy, cx, cy in pixels of the depth map."""
    height, width = shape
    fx, fy, cx, cy = frame.intrinsics
    if frame.relative:
        return fx * width, fy * width, cx * width, cy * height
    if frame.size is not None and (round(frame.size[0]), round(frame.size[1])) != (width, height):
        raise DataError(
            "the depth map has another size than its camera",
            file=file,
            field="w, h",
            value=((width, height), frame.size),
            remedy="give w, h and intrinsics of the depth maps in transforms.json",
        )
    return fx, fy, cx, cy
