"""Posed RGB-D folders in the 7-Scenes layout.

``frame-NNNNNN.color.{jpg,png}``, ``.depth.png`` (16 bit, millimetres, 0 and 65535 = none),
``.pose.txt`` (4 x 4 camera-to-world, metres, OpenCV axes), ``camera-intrinsics.txt`` (3 x 3, for
the colour images). The world keeps its metres and is turned so that the cameras' average up is +Z
(a guess at gravity). The box holds the measured surfaces without the outer percent on each side.
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
from maskfield.data.readers.capture import Frame, find_image, load_frames, to_scene
from maskfield.data.readers.options import DEFAULT, ReadOptions
from maskfield.data.readers.region import moved, percentile_box, upright
from maskfield.data.scene import Scene
from maskfield.geometry.cameras import Cameras

_POSE = ".pose.txt"
_INTRINSICS = ("camera-intrinsics.txt", "intrinsics.txt")
_POINTS_PER_FRAME = 2000


def read(path: StrPath, options: ReadOptions = DEFAULT) -> Scene:
    """Read a folder of posed colour and depth frames.

    Raises:
        SceneError: no frames, missing intrinsics, damaged files, bad poses, no valid depth.
    """
    folder = Path(path)
    k = _intrinsics(folder)
    frames = [_frame(p, k) for p in sorted(folder.glob(f"*{_POSE}"))]
    loaded = load_frames(frames, options, file=str(folder), depth_unit=1e-3)
    turn = upright(loaded.cameras)
    cameras = moved(turn, loaded.cameras)
    assert loaded.depths is not None  # every frame names its depth file
    points, z = backproject(cameras, loaded.depths, _POINTS_PER_FRAME)
    if len(points) < 100:
        raise SceneError(
            "the depth maps hold almost no valid values",
            file=folder,
            field="depth",
            value=f"{len(points)} valid samples",
            remedy="depth must be 16-bit PNG in millimetres, 0 = no value",
        )
    scene = to_scene(
        loaded, percentile_box(points, 0.01, 0.02), turn, file=str(folder), holdout=options.holdout
    )
    near, far = (float(v) for v in torch.quantile(z[:100_000], torch.tensor([0.001, 0.999])))
    return replace(
        scene, near=0.9 * near, far=1.5 * far, metric=True, unit_length_m=1.0, unbounded=True
    )


def backproject(
    cameras: Cameras, depths: Float[np.ndarray, "n h w"], per_frame: int
) -> tuple[Float[Tensor, "point 3"], Float[Tensor, " point"]]:
    """World points of a regular lattice of valid depths (about ``per_frame`` each), and depths."""
    step = max(1, int((cameras.width * cameras.height / per_frame) ** 0.5))
    v, u = np.mgrid[step // 2 : cameras.height : step, step // 2 : cameras.width : step]
    pixels = torch.from_numpy(np.stack([u, v], -1).reshape(-1, 2) + 0.5).float()
    points, depth = [], []
    for index in range(len(cameras)):
        z = torch.from_numpy(np.ascontiguousarray(depths[index][v, u])).float().reshape(-1)
        keep = z > 0
        camera = torch.full((int(keep.sum()),), index)
        points.append(lift(cameras, camera, pixels[keep], z[keep]))
        depth.append(z[keep])
    return torch.cat(points), torch.cat(depth)


def lift(
    cameras: Cameras,
    camera: Tensor,
    pixels: Float[Tensor, "point 2"],
    depth: Float[Tensor, " point"],
) -> Float[Tensor, "point 3"]:
    """World points of image points with known depth along camera z."""
    rays = cameras.rays(camera, pixels)
    along = (rays.directions * cameras.forward_axes[camera]).sum(-1)
    return rays.origins + rays.directions * (depth / along)[:, None]


def _intrinsics(folder: Path) -> tuple[float, float, float, float]:
    file = next((folder / n for n in _INTRINSICS if (folder / n).is_file()), None)
    if file is None:
        raise SceneError(
            "the RGB-D folder has no intrinsics",
            file=folder / _INTRINSICS[0],
            remedy="write the 3 x 3 matrix of the colour camera there "
            "(7-Scenes at 640 x 480: f = 585, c = 320, 240)",
        )
    k = _numbers(file, ((3, 3), (4, 4)))
    return k[0, 0], k[1, 1], k[0, 2], k[1, 2]


def _frame(pose: Path, k: tuple[float, float, float, float]) -> Frame:
    stem = pose.with_name(pose.name.removesuffix(_POSE))
    image = find_image(stem.with_name(stem.name + ".color"))
    return Frame(
        image=image,
        name=image.name,
        camera_to_world=_numbers(pose, ((4, 4),)),
        intrinsics=k,
        depth=stem.with_name(stem.name + ".depth.png"),
    )


def _numbers(file: Path, shapes: tuple[tuple[int, int], ...]) -> np.ndarray:
    try:
        matrix = np.loadtxt(file, dtype=np.float64, ndmin=2)
    except (OSError, ValueError) as error:
        raise SceneError(
            f"cannot read a matrix: {error}", file=file, remedy="repair or remove the file"
        ) from error
    if matrix.shape not in shapes:
        raise SceneError(
            "the matrix has the wrong shape",
            file=file,
            value=matrix.shape,
            remedy=f"expected one of {shapes}",
        )
    return matrix
