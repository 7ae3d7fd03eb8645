"""LLFF captures: ``poses_bounds.npy`` beside a folder of photographs.

A row is [R | t | h w f] (3 x 5, row-major) and two depth bounds; R's columns are (down, right,
backward), t is the camera centre, h w f are for the full-size photographs. The world is turned so
that the cameras' average up is +Z, then moved and scaled so that the region of interest is centred
at the origin with longest side 2.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from maskfield.core.errors import SceneError
from maskfield.core.files import StrPath
from maskfield.data.readers.capture import Frame, load_frames, to_scene
from maskfield.data.readers.folders import image_folder, list_images, mask_for
from maskfield.data.readers.options import DEFAULT, ReadOptions
from maskfield.data.readers.region import bounds_box, move_box, moved, normalising, upright
from maskfield.data.scene import Scene

_NAME = "poses_bounds.npy"


def read(path: StrPath, options: ReadOptions = DEFAULT) -> Scene:
    """Read a folder with poses_bounds.npy and images, images_2, images_4 or images_8.

    A folder ``masks`` with one mask per image is read too.

    Raises:
        SceneError: damaged table, another number of images than rows, bad poses or bounds.
    """
    folder = Path(path)
    folder = folder.parent if folder.name == _NAME else folder
    table = _table(folder / _NAME)
    frames = _frames(folder, table, options)
    loaded = load_frames(frames, options, file=str(folder / _NAME))
    turn = upright(loaded.cameras)
    bounds = torch.from_numpy(table[:, 15:]).float()
    region = bounds_box(moved(turn, loaded.cameras), bounds[:, 0], bounds[:, 1])
    shrink = normalising(region)
    scene = to_scene(
        loaded,
        move_box(shrink, region),
        shrink @ turn,
        file=str(folder / _NAME),
        holdout=options.holdout,
    )
    scale = float(shrink[0, 0])
    near, far = float(bounds[:, 0].min()) * scale * 0.9, float(bounds[:, 1].max()) * scale
    return replace(scene, near=near, far=far, unbounded=True)


def _table(file: Path) -> Float[np.ndarray, "row 17"]:
    try:
        table = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise SceneError(
            f"cannot read the pose table: {error}", file=file, remedy="export it again"
        ) from error
    if table.ndim != 2 or table.shape[1] != 17 or len(table) == 0:
        raise SceneError(
            "poses_bounds.npy must hold one row of 17 numbers per image",
            file=file,
            value=table.shape,
            remedy="export it again with LLFF's imgs2poses",
        )
    bounds = table[:, 15:]
    wrong = ~((bounds > 0).all(1) & (bounds[:, 1] > bounds[:, 0]) & np.isfinite(bounds).all(1))
    if wrong.any():
        row = int(wrong.argmax())
        raise SceneError(
            "depth bounds must be 0 < near < far",
            file=file,
            field=f"row {row}, columns 15 and 16",
            value=bounds[row].tolist(),
            remedy="run structure from motion again; the bounds come from its points",
        )
    return table.astype(np.float64)


def _frames(folder: Path, table: np.ndarray, options: ReadOptions) -> list[Frame]:
    images = list_images(image_folder(folder, options.images))
    if len(images) != len(table):
        raise SceneError(
            "the number of images differs from the rows of poses_bounds.npy",
            file=images[0].parent,
            field="images",
            value=f"{len(images)} images, {len(table)} rows",
            remedy="keep exactly the images the poses were made from",
        )
    return [_frame(i, row, folder) for i, row in zip(images, table, strict=True)]


def _frame(image: Path, row: np.ndarray, folder: Path) -> Frame:
    matrix = row[:15].reshape(3, 5)
    down, right, backward, centre, (height, width, focal) = matrix.T
    return Frame(
        image=image,
        name=image.name,
        camera_to_world=np.stack([right, down, -backward, centre], axis=1),
        intrinsics=(focal, focal, width / 2, height / 2),
        size=(width, height),
        mask=mask_for(folder, image),
    )
