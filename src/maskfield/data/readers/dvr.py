"""ShapeNet as DVR and NMR render it, 64 x 64 (spec pixelnerf 4.2).

One folder per category with lists of objects (``softras_{train,val,test}.lst``, or ``gen_*.lst``);
an object has ``image/*.png``, ``mask/*.png`` and ``cameras.npz``. The world of the files is Y-up;
it is turned to Z-up, the object staying at the origin.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from maskfield.core.errors import DataError, SceneError
from maskfield.data.readers.folders import list_images
from maskfield.data.readers.object_views import (
    ObjectPlace,
    ObjectViews,
    decode,
    filled_boxes,
    positive_focal,
    require_equal,
    rigid,
    unit_range,
)

LISTS = {"dvr": "softras_", "dvr_gen": "gen_"}
_NEAR, _FAR, _RADIUS = 1.2, 4.0, 0.7
_Z_UP = ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0), (0.0, 1.0, 0.0))
Archive = Mapping[str, np.ndarray]


def list_objects(root: Path, split: str, prefix: str = LISTS["dvr"]) -> tuple[ObjectPlace, ...]:
    """The objects of one split, by category and in the order of its list.

    Categories without that list are left out, as officially.

    Raises:
        DataError: no category has the list; a list names an object that is not there.
    """
    return listed_objects(root, f"{prefix}{split}.lst", near=_NEAR, far=_FAR, radius=_RADIUS)


def listed_objects(
    root: Path, list_name: str, *, near: float, far: float, radius: float, up_known: bool = True
) -> tuple[ObjectPlace, ...]:
    """The objects that the lists ``ROOT/*/LIST_NAME`` name.

    Raises:
        DataError: no such list, or a list names an object that is not there.
    """
    lists = sorted(root.glob(f"*/{list_name}"))
    if not lists:
        raise DataError(
            "no category has a list of the objects of this split",
            file=root,
            field=f"*/{list_name}",
            value=0,
            remedy=f"give the folder whose sub-folders hold {list_name}, one object per line",
        )
    places = [
        ObjectPlace(
            name=name,
            category=file.parent.name,
            path=file.parent / name,
            near=near,
            far=far,
            radius=radius,
            up_known=up_known,
        )
        for file in lists
        for name in _read_list(file)
    ]
    return tuple(places)


def read_object(place: ObjectPlace) -> ObjectViews:
    """Read one object.

    Raises:
        SceneError: missing, damaged or unequal files, a view without the object, cameras with
            several focal lengths.
    """
    images = list_images(place.path / "image")
    mask_files = _masks(place, images)
    archive = open_cameras(place)
    numbers = view_numbers(images)
    pixels = decode(images, place)[..., :3]
    height, width = pixels.shape[1:3]
    focal = _common_focal(archive, numbers, width, height, place)
    turn = torch.eye(4, dtype=torch.float64)
    turn[:3, :3] = torch.tensor(_Z_UP, dtype=torch.float64)
    poses = turn[:3, :3] @ torch.stack([_camera_to_world(archive, i, place) for i in numbers])
    masks = None if mask_files is None else _decode_masks(mask_files, pixels, place)
    return ObjectViews(
        images=unit_range(pixels),
        masks=None if masks is None else unit_range(masks),
        boxes=None if masks is None or mask_files is None else filled_boxes(masks, mask_files),
        poses=rigid(poses, place.path / "cameras.npz"),
        intrinsics=(focal, focal, width / 2, height / 2),
        names=tuple(p.stem for p in images),
        world_from_source=turn.float(),
    )


def open_cameras(place: ObjectPlace) -> Archive:
    """The matrices of ``cameras.npz``.

    Raises:
        SceneError: missing or damaged.
    """
    file = place.path / "cameras.npz"
    try:
        with np.load(file, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except (OSError, ValueError, EOFError, KeyError) as error:
        raise SceneError(
            f"cannot read the cameras of the object: {error}",
            file=file,
            remedy="copy the object again",
        ) from error


def matrix(archive: Archive, key: str, place: ObjectPlace) -> Float[Tensor, "3 4"]:
    """The first three rows of a matrix.

    Raises:
        SceneError: the key is missing, or its value is no 3 x 4 or 4 x 4 matrix.
    """
    value = np.asarray(archive.get(key, ()))
    if value.shape not in ((3, 4), (4, 4)) or not np.issubdtype(value.dtype, np.number):
        found = f"shape {value.shape}" if key in archive else f"keys {sorted(archive)[:6]}"
        raise SceneError(
            "the cameras of the object lack a matrix",
            file=place.path / "cameras.npz",
            field=key,
            value=found,
            remedy="every image needs its matrices, numbered as the images are",
        )
    return torch.from_numpy(value.astype(np.float64))[:3]


def view_numbers(images: Sequence[Path]) -> list[int]:
    """The number of each image's camera: its place in the folder.

    Where images were taken out, the place is wrong (the official code pairs them so all the same):
    there the number in the file's name counts.
    """
    stems = [p.stem for p in images]
    if not all(re.fullmatch(r"\d+", s) for s in stems):
        return list(range(len(images)))
    written = [int(s) for s in stems]
    consecutive = max(written) - min(written) + 1 == len(set(written)) == len(written)
    return [n - min(written) for n in written] if consecutive and min(written) <= 1 else written


def _read_list(file: Path) -> list[str]:
    names = [line.strip() for line in file.read_text().splitlines() if line.strip()]
    missing = [name for name in names if not (file.parent / name).is_dir()]
    if missing or not names:
        raise DataError(
            "the list names objects that are not there" if names else "the list is empty",
            file=file,
            field="line",
            value=f"{len(missing)} of {len(names)} missing, first {missing[:3]}",
            remedy="restore the objects, or shorten the list",
        )
    return names


def _masks(place: ObjectPlace, images: Sequence[Path]) -> list[Path] | None:
    """One mask per image; None where the object has no masks at all."""
    folder = place.path / "mask"
    masks = sorted(folder.glob("*.png")) if folder.is_dir() else []
    if not masks:
        return None
    require_equal({"image": len(images), "mask": len(masks)}, place)
    return masks


def _decode_masks(files: Sequence[Path], pixels: np.ndarray, place: ObjectPlace) -> np.ndarray:
    masks = decode(files, place)[..., 0]
    if masks.shape != pixels.shape[:3]:
        raise SceneError(
            "the masks are not of the images' size",
            file=files[0],
            field="height, width",
            value=f"masks {masks.shape[1:]}, images {pixels.shape[1:3]}",
            remedy="make the masks in the size of the images",
        )
    return masks


def _common_focal(
    archive: Archive, numbers: Sequence[int], width: int, height: int, place: ObjectPlace
) -> float:
    """DVR's image side is 2: one unit is half a side."""
    half = torch.tensor([width / 2, height / 2], dtype=torch.float64)
    cameras = torch.stack([matrix(archive, f"camera_mat_{i}", place) for i in numbers])
    focal = cameras[:, [0, 1], [0, 1]] * half
    middle = positive_focal(float(focal[0, 0]), place.path / "cameras.npz", "camera_mat")
    if float((focal - middle).abs().max()) > 1e-4 * middle:
        row, column = divmod(int((focal - middle).abs().argmax()), 2)
        raise SceneError(
            "the views of the object have different focal lengths, or pixels that are not square",
            file=place.path / "cameras.npz",
            field=f"camera_mat_{numbers[row]}: f{'xy'[column]}",
            value=f"{float(focal[row, column]):.6g} pixels, the first view has {middle:.6g}",
            remedy="give square images with one focal length, or import the views as scenes",
        )
    return middle


def _camera_to_world(archive: Archive, number: int, place: ObjectPlace) -> Float[Tensor, "3 4"]:
    if f"world_mat_inv_{number}" in archive:
        return matrix(archive, f"world_mat_inv_{number}", place)
    world_to_camera = torch.eye(4, dtype=torch.float64)
    world_to_camera[:3] = matrix(archive, f"world_mat_{number}", place)
    if abs(float(torch.linalg.det(world_to_camera))) < 1e-9:
        raise SceneError(
            "a world matrix cannot be inverted",
            file=place.path / "cameras.npz",
            field=f"world_mat_{number}",
            value=world_to_camera.tolist(),
            remedy="copy the object again",
        )
    return torch.linalg.inv(world_to_camera)[:3]
