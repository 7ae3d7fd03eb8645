"""DTU in DVR's layout, ``rs_dtu_4``, 300 x 400 (spec pixelnerf 4.3).

``DTU/new_train.lst`` and ``new_val.lst`` (there is no test list: the validation scans are the test
set); a scan has ``image/*.png`` and ``cameras.npz`` with ``world_mat_i`` = K [R | t] in pixels and,
maybe, ``scale_mat_i``, which says where the object lies. The world is moved and scaled so that the
object fills the unit ball about the origin, and its axes are the official loader's; no axis of
these files points up.
"""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float
from scipy.linalg import rq
from torch import Tensor

from maskfield.core.errors import SceneError
from maskfield.data.readers.dvr import (
    Archive,
    listed_objects,
    matrix,
    open_cameras,
    view_numbers,
)
from maskfield.data.readers.folders import list_images
from maskfield.data.readers.object_views import (
    ObjectPlace,
    ObjectViews,
    decode,
    positive_focal,
    rigid,
    unit_range,
)

_NEAR, _FAR, _RADIUS = 0.1, 5.0, 1.0
_SPLITS = {"train": "new_train.lst", "val": "new_val.lst", "test": "new_val.lst"}
_AXES = (1.0, -1.0, -1.0)  # the files' axes are those of OpenCV cameras; officially, of OpenGL's


def list_objects(root: Path, split: str) -> tuple[ObjectPlace, ...]:
    """The scans of one split, in the order of its list.

    Raises:
        DataError: no list, or a list names a scan that is not there.
    """
    return listed_objects(
        root, _SPLITS[split], near=_NEAR, far=_FAR, radius=_RADIUS, up_known=False
    )


def read_object(place: ObjectPlace) -> ObjectViews:
    """Read one scan; its lens is the mean over its views. Masks are not read, as officially.

    Raises:
        SceneError: missing or damaged files, matrices that are no projections.
    """
    images = list_images(place.path / "image")
    archive, numbers = open_cameras(place), view_numbers(images)
    found = [_decomposed(archive, number, place) for number in numbers]
    frames = torch.stack([_normalised(archive, number, place) for number in numbers])
    poses = torch.stack([pose for _, pose in found])
    poses[:, :, 3] = (poses[:, :, 3] - frames[:, 1]) / frames[:, 0]
    axes = torch.tensor(_AXES, dtype=torch.float64)
    fx, fy, cx, cy = torch.stack([lens for lens, _ in found]).mean(0).tolist()
    file = place.path / "cameras.npz"
    return ObjectViews(
        images=unit_range(decode(images, place)[..., :3]),
        masks=None,
        boxes=None,
        poses=rigid(axes[:, None] * poses, file),
        intrinsics=(positive_focal(fx, file, "fx"), positive_focal(fy, file, "fy"), cx, cy),
        names=tuple(p.stem for p in images),
        world_from_source=_world_from_source(frames[0], axes),
    )


def _decomposed(
    archive: Archive, number: int, place: ObjectPlace
) -> tuple[Float[Tensor, " 4"], Float[Tensor, "3 4"]]:
    """fx, fy, cx, cy and camera-to-world (OpenCV axes, the files' world) of a projection."""
    projection = matrix(archive, f"world_mat_{number}", place)
    sign = torch.linalg.det(projection[:, :3]).sign()
    if float(sign) == 0 or not bool(torch.isfinite(projection).all()):
        raise SceneError(
            "a world matrix is not a projection",
            file=place.path / "cameras.npz",
            field=f"world_mat_{number}",
            value=projection.tolist(),
            remedy="give K [R | t] in pixels, or leave the scan out",
        )
    upper, rotation = (torch.from_numpy(m) for m in rq((sign * projection[:, :3]).numpy()))
    positive = upper.diagonal().sign()  # the decomposition is unique with positive focal lengths
    lens, rotation = upper * positive, positive[:, None] * rotation
    lens = lens / lens[2, 2]
    centre = -torch.linalg.solve(projection[:, :3], projection[:, 3:])
    intrinsics = torch.stack([lens[0, 0], lens[1, 1], lens[0, 2], lens[1, 2]])
    return intrinsics, torch.cat([rotation.T, centre], dim=1)


def _normalised(archive: Archive, number: int, place: ObjectPlace) -> Float[Tensor, "2 3"]:
    """Scale and centre, per axis, of the ball that holds the object."""
    key = f"scale_mat_{number}"
    if key not in archive:
        return torch.tensor([[1.0] * 3, [0.0] * 3], dtype=torch.float64)
    ball = matrix(archive, key, place)
    if not bool((ball.diagonal() > 0).all()):
        raise SceneError(
            "the scale of an object must be positive",
            file=place.path / "cameras.npz",
            field=key,
            value=ball.diagonal().tolist(),
            remedy="give the matrix that maps the unit ball to the object",
        )
    return torch.stack([ball.diagonal(), ball[:, 3]])


def _world_from_source(
    frame: Float[Tensor, "2 3"], axes: Float[Tensor, " 3"]
) -> Float[Tensor, "4 4"]:
    source = torch.eye(4, dtype=torch.float64)
    source[:3, :3] = torch.diag(axes / frame[0])
    source[:3, 3] = -axes * frame[1] / frame[0]
    return source.float()
