"""Frames as the readers find them, and how frames become a Scene.

A reader lists :class:`Frame` objects (OpenCV axes, source world); :func:`load_frames` checks and
decodes them; :func:`to_scene` turns the world and makes the split.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from maskfield.core.errors import SceneError
from maskfield.data.check import check_scene
from maskfield.data.readers.images import (
    Plan,
    Probe,
    decode_depths,
    decode_images,
    decode_masks,
    plan_sizes,
    probe_images,
    require_files,
)
from maskfield.data.readers.options import ReadOptions
from maskfield.data.scene import Scene, with_split
from maskfield.geometry.cameras import Cameras, check_poses, distort, undistort
from maskfield.geometry.se3 import move_poses, nearest_rotation, similarity_scale
from maskfield.geometry.views import box_hits

Distortion = tuple[float, float, float, float, float]
_SUFFIXES = ("", ".png", ".jpg", ".jpeg", ".PNG", ".JPG", ".JPEG", ".webp", ".tif", ".tiff", ".bmp")


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One posed image before decoding.

    Attributes:
        image: the file. name: what the image is called in the scene.
        camera_to_world: 3 x 4 rows, OpenCV axes, source world.
        intrinsics: fx, fy, cx, cy in pixels of an image of ``size`` (None: of the file's own size).
        relative: fx, fy, cx are fractions of the file's width, cy of its height.
        distortion: k1, k2, p1, p2, k3.
        mask, depth: files beside the image, or None.
    """

    image: Path
    name: str
    camera_to_world: Sequence[Sequence[float]] | np.ndarray
    intrinsics: tuple[float, float, float, float]
    size: tuple[float, float] | None = None
    relative: bool = False
    distortion: Distortion = (0.0, 0.0, 0.0, 0.0, 0.0)
    mask: Path | None = None
    depth: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """Decoded frames in the source world; depths in the source's unit."""

    cameras: Cameras
    images: np.ndarray
    names: tuple[str, ...]
    opacity: np.ndarray | None
    masks: np.ndarray | None
    depths: np.ndarray | None


def find_image(base: Path) -> Path:
    """``base`` itself, or with the first extension that exists; ``base`` when none does."""
    for suffix in _SUFFIXES:
        candidate = base.with_name(base.name + suffix)
        if candidate.is_file():
            return candidate
    return base


def load_frames(
    frames: Sequence[Frame], options: ReadOptions, *, file: str, depth_unit: float = 1.0
) -> Loaded:
    """Check everything that is cheap, then decode.

    Raises:
        SceneError: no frames; poses that are not rigid; bad intrinsics; missing, damaged or
            unequal images; a size that does not belong to the intrinsics.
    """
    if not frames:
        raise SceneError(
            "the capture has no cameras", file=file, remedy="give at least one posed image"
        )
    poses = _poses(frames, file)
    paths = [f.image for f in frames]
    require_files([*paths, *(p for f in frames for p in (f.mask, f.depth) if p is not None)])
    expected = [None if f.size is None else (round(f.size[0]), round(f.size[1])) for f in frames]
    probes = probe_images(paths, expected)
    plan = plan_sizes(paths, probes, options, file)
    cameras = _cameras(frames, poses, probes, plan, file)
    images, opacity = decode_images(paths, probes, plan)
    return Loaded(
        cameras=cameras,
        images=images,
        names=tuple(f.name for f in frames),
        opacity=opacity,
        masks=decode_masks([f.mask for f in frames], probes, plan),
        depths=decode_depths([f.depth for f in frames], probes, plan, depth_unit),
    )


def to_scene(
    loaded: Loaded,
    box: Float[Tensor, "2 3"],
    world_from_source: Float[Tensor, "4 4"],
    *,
    file: str,
    holdout: int,
    split: dict[str, tuple[int, ...]] | None = None,
) -> Scene:
    """The scene in the house's world; ``box`` is given in that world already.

    Raises:
        SceneError: invalid content, or a box that no camera sees.
    """
    scale = similarity_scale(world_from_source)
    moved = move_poses(world_from_source.double(), loaded.cameras.camera_to_world.double())
    depths = loaded.depths
    scene = Scene(
        cameras=replace(loaded.cameras, camera_to_world=moved.float()),
        images=loaded.images,
        names=loaded.names,
        box=box.float(),
        split=split or {},
        opacity=loaded.opacity,
        masks=loaded.masks,
        depths=depths if depths is None or scale == 1 else depths * np.float32(scale),
        world_from_source=world_from_source.float(),
    )
    scene = scene if split else with_split(scene, min(holdout, len(scene)) if holdout else 0)
    require_box_seen(scene, file)
    return scene.validated(file)


def require_box_seen(scene: Scene, file: str) -> None:
    """Refuse a box that no ray of any camera meets, and say which convention is probably wrong.

    Raises:
        SceneError: names the box and the probable cause.
    """
    if not bool((torch.isfinite(scene.box).all()) and (scene.box[1] > scene.box[0]).all()):
        return  # Scene.validated names this case
    if float(box_hits(scene.cameras, scene.box).max()) > 0:
        return
    finding = next(iter(check_scene(scene).findings), None)
    cause, remedy = ("", "give a box around what the cameras look at")
    if finding is not None:
        cause, remedy = f": {finding.problem}", finding.remedy
    raise SceneError(
        f"no camera sees the world box{cause}",
        file=file,
        field="box",
        value=scene.box.tolist(),
        remedy=remedy,
    )


def _poses(frames: Sequence[Frame], file: str) -> Float[Tensor, "frame 3 4"]:
    for frame in frames:
        shape = np.shape(frame.camera_to_world)
        if shape not in ((3, 4), (4, 4)):
            raise SceneError(
                "a camera pose must be a 3 x 4 or 4 x 4 matrix",
                file=file,
                field=f"pose of {frame.name}",
                value=shape,
                remedy="repair the entry",
            )
    table = np.stack([np.asarray(f.camera_to_world, np.float64)[:3] for f in frames])
    poses = torch.from_numpy(table)
    check_poses(poses, file=file)
    return torch.cat([nearest_rotation(poses[:, :, :3]), poses[:, :, 3:]], dim=-1)


def _cameras(
    frames: Sequence[Frame],
    poses: Float[Tensor, "frame 3 4"],
    probes: Sequence[Probe],
    plan: Plan,
    file: str,
) -> Cameras:
    k = np.stack([_scaled(f, p, file) for f, p in zip(frames, probes, strict=True)])
    distortion = torch.tensor([f.distortion for f in frames], dtype=torch.float32)
    width, height = plan.size
    cameras = Cameras(
        camera_to_world=poses.float(),
        intrinsics=torch.from_numpy(k / plan.downscale).float(),
        width=width,
        height=height,
        distortion=distortion if bool((distortion != 0).any()) else None,
    )
    _check_intrinsics(cameras, frames, file)
    return cameras


def _scaled(frame: Frame, probe: Probe, file: str) -> np.ndarray:
    """Intrinsics in pixels of the file itself."""
    fx, fy, cx, cy = frame.intrinsics
    width, height = probe.size
    if frame.relative:
        return np.array([fx * width, fy * width, cx * width, cy * height])
    if frame.size is None:
        return np.array([fx, fy, cx, cy])
    sx, sy = width / frame.size[0], height / frame.size[1]
    rounding = 1.5 / min(width, height)
    if abs(sx / sy - 1) > 0.01 + rounding:
        raise SceneError(
            "the image has another shape than its intrinsics are for",
            file=frame.image,
            field="width, height",
            value=f"image {probe.size}, intrinsics {tuple(frame.size)} in {Path(file).name}",
            remedy="undo the rotation or crop of the images, or correct w and h",
        )
    return np.array([fx * sx, fy * sy, cx * sx, cy * sy])


def _check_intrinsics(cameras: Cameras, frames: Sequence[Frame], file: str) -> None:
    k = cameras.intrinsics
    bad = ~(torch.isfinite(k).all(1) & (k[:, :2] > 0).all(1))
    if cameras.distortion is not None:
        bad = bad | ~torch.isfinite(cameras.distortion).all(1)
    if bad.any():
        index = int(bad.nonzero()[0])
        raise SceneError(
            "intrinsics must be finite with positive focal lengths",
            file=file,
            field=f"intrinsics of {frames[index].name}",
            value=[*frames[index].intrinsics, *frames[index].distortion],
            remedy="give fx, fy, cx, cy in pixels",
        )
    _check_distortion(cameras, frames, file)


def _check_distortion(cameras: Cameras, frames: Sequence[Frame], file: str) -> None:
    """The lens model must be invertible over the image, or rays would be wrong silently."""
    if cameras.distortion is None:
        return
    w, h = float(cameras.width), float(cameras.height)
    border = torch.tensor([[0, 0], [w, 0], [0, h], [w, h], [w / 2, 0], [0, h / 2]])
    k, d = cameras.intrinsics[:, None].double(), cameras.distortion[:, None].double()
    xy = (border.double() - k[..., 2:]) / k[..., :2]
    error = ((distort(undistort(xy, d), d) - xy) * k[..., :2]).abs().amax((1, 2))
    wrong = ~(error < 0.1)
    if wrong.any():
        index = int(wrong.nonzero()[0])
        raise SceneError(
            "the lens distortion cannot be inverted inside the image",
            file=file,
            field=f"k1, k2, p1, p2, k3 of {frames[index].name}",
            value=frames[index].distortion,
            remedy="undistort the images first (for example `colmap image_undistorter`)",
        )
