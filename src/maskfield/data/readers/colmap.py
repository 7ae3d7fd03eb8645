"""COLMAP projects: a sparse model and the photographs it was made from.

The world is turned so that the cameras' average up is +Z (a guess), then moved and scaled so that
the region of interest (from the points) is centred at the origin with longest side 2. Reduced
copies (images_2 ...) get intrinsics scaled by the true image size.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from maskfield.core.errors import SceneError
from maskfield.core.files import StrPath
from maskfield.data.readers.capture import Distortion, Frame, find_image, load_frames, to_scene
from maskfield.data.readers.colmap_model import Model, ModelCamera, ModelImage, read_model
from maskfield.data.readers.folders import image_folder, mask_for
from maskfield.data.readers.options import DEFAULT, ReadOptions
from maskfield.data.readers.region import move_box, moved, normalising, points_box, upright
from maskfield.data.scene import Scene
from maskfield.geometry.cameras import Cameras
from maskfield.geometry.se3 import apply, inverse, rotation_from_quaternion

_MODEL_FOLDERS = (".", "sparse/0", "sparse", "colmap/sparse/0", "dense/0/sparse", "dense/sparse")
_MAX_ERROR = 2.0  # pixels; worse points do not shape the box
_MIN_TRACK = 3


def read(path: StrPath, options: ReadOptions = DEFAULT) -> Scene:
    """Read a project folder (with sparse/0 and images) or the model folder inside one.

    Raises:
        SceneError: no model, a damaged file, a lens model that is not read, missing images.
    """
    folder = find_model(Path(path))
    model = read_model(folder)
    frames = model_frames(model, folder, options)
    loaded = load_frames(frames, options, file=str(folder))
    turn = upright(loaded.cameras)
    cameras, points = moved(turn, loaded.cameras), _good_points(model, turn)
    region = points_box(cameras, points)
    shrink = normalising(region)
    scene = to_scene(
        loaded,
        move_box(shrink, region),
        shrink @ turn,
        file=str(folder),
        holdout=options.holdout,
    )
    near, far = _depth_range(scene.cameras, apply(shrink.float(), points))
    return replace(scene, near=near, far=far, unbounded=True)


def find_model(path: Path) -> Path:
    """The folder that holds cameras and images of a sparse model.

    Raises:
        SceneError: nowhere below ``path``.
    """
    for name in _MODEL_FOLDERS:
        folder = path / name
        if any((folder / f"images{s}").is_file() for s in (".bin", ".txt")):
            return folder
    raise SceneError(
        "no COLMAP model found",
        file=path,
        value=_MODEL_FOLDERS,
        remedy="give a project folder with sparse/0/{cameras,images,points3D}.{bin,txt}",
    )


def model_frames(model: Model, folder: Path, options: ReadOptions) -> list[Frame]:
    """One frame per registered image, in the order of the names.

    Raises:
        SceneError: no image folder, an unknown camera id or lens model.
    """
    root = _project_root(folder, options.images)
    images = image_folder(root, options.images)
    return [_frame(i, model, root, images, folder) for i in model.images]


def _project_root(folder: Path, chosen: str | None) -> Path:
    """The nearest folder above the model that holds photographs."""
    names = (chosen,) if chosen else ("images", "images_2", "images_4", "images_8")
    for root in (folder, *list(folder.resolve().parents)[:3]):
        if any((root / n).is_dir() for n in names):
            return root
    return folder


def _frame(image: ModelImage, model: Model, root: Path, images: Path, folder: Path) -> Frame:
    if image.camera not in model.cameras:
        raise SceneError(
            "an image names a camera that does not exist",
            file=folder,
            field=f"camera of {image.name}",
            value=image.camera,
            remedy="export the model again",
        )
    camera = model.cameras[image.camera]
    intrinsics, distortion = lens(camera, folder)
    file = images / image.name
    file = file if file.is_file() else find_image(file.with_suffix(""))
    return Frame(
        image=file,
        name=image.name,
        camera_to_world=camera_to_world(image).numpy(),
        intrinsics=intrinsics,
        size=(camera.width, camera.height),
        distortion=distortion,
        mask=mask_for(root, file),
    )


def camera_to_world(image: ModelImage) -> Float[Tensor, "3 4"]:
    """The pose of an image, float64."""
    rotation = rotation_from_quaternion(torch.from_numpy(np.array(image.quaternion)))
    translation = torch.from_numpy(np.array(image.translation))
    return inverse(torch.cat([rotation, translation[:, None]], dim=1))


def lens(camera: ModelCamera, folder: Path) -> tuple[tuple[float, float, float, float], Distortion]:
    """(fx, fy, cx, cy) and Brown's (k1, k2, p1, p2, k3) of a COLMAP camera.

    Raises:
        SceneError: fisheye and other lens models.
    """
    p = camera.params
    match camera.model, len(p):
        case "SIMPLE_PINHOLE", 3:
            return (p[0], p[0], p[1], p[2]), (0.0, 0.0, 0.0, 0.0, 0.0)
        case "PINHOLE", 4:
            return (p[0], p[1], p[2], p[3]), (0.0, 0.0, 0.0, 0.0, 0.0)
        case "SIMPLE_RADIAL", 4:
            return (p[0], p[0], p[1], p[2]), (p[3], 0.0, 0.0, 0.0, 0.0)
        case "RADIAL", 5:
            return (p[0], p[0], p[1], p[2]), (p[3], p[4], 0.0, 0.0, 0.0)
        case "OPENCV", 8:
            return (p[0], p[1], p[2], p[3]), (p[4], p[5], p[6], p[7], 0.0)
    raise SceneError(
        "this COLMAP camera model is not read",
        file=folder,
        field="model, number of parameters",
        value=(camera.model, len(p)),
        remedy="undistort to pinhole images with `colmap image_undistorter`",
    )


def _good_points(model: Model, turn: Float[Tensor, "4 4"]) -> Float[Tensor, "point 3"]:
    good = (model.error < _MAX_ERROR) & (model.track >= _MIN_TRACK)
    good &= np.isfinite(model.xyz).all(1)
    return apply(turn, torch.from_numpy(model.xyz[good])).float()


def _depth_range(
    cameras: Cameras, points: Float[Tensor, "point 3"]
) -> tuple[float | None, float | None]:
    """Near and far from the depths of the points in the cameras that see them."""
    if len(points) < 20:
        return None, None
    uv, depth = cameras.project(points)
    inside = (uv >= 0).all(-1) & (uv[..., 0] < cameras.width) & (uv[..., 1] < cameras.height)
    seen = depth[inside & (depth > 0)].sort().values
    if len(seen) < 20:
        return None, None
    last = len(seen) - 1
    return 0.8 * float(seen[round(0.001 * last)]), 1.2 * float(seen[round(0.999 * last)])
