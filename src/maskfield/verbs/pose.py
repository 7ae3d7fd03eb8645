"""Where a photograph was taken: pose.json, pictures, a film of the search, a report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from maskfield.core.errors import ConfigError, SceneError
from maskfield.verbs.field_views import GivenField, open_field, with_bake

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from torch import Generator, Tensor

    from maskfield.core.files import StrPath
    from maskfield.data.pose_estimate import PoseEstimate
    from maskfield.geometry.cameras import Cameras
    from maskfield.methods.inerf.config import PoseConfig
    from maskfield.methods.inerf.find import Search
    from maskfield.methods.inerf.observation import Observation

PHOTOS = (".png", ".jpg", ".jpeg")
DEFAULT_SEARCH = 200  # particles where neither a start nor their number is given
_SPREAD = 0.3  # of start poses around the scene's cameras, in units of their own spread


@dataclass(frozen=True, kw_only=True)
class PoseAnswer:
    """Poses and where they were written.

    Attributes:
        estimates: one per photograph. photos: their files, in the same order.
        folder: ``pose.json`` (``poses.json`` of several), pictures, film, ``report.html``.
    """

    estimates: Sequence[PoseEstimate]
    photos: Sequence[Path]
    folder: Path


@dataclass(frozen=True, kw_only=True)
class PoseQuestion:
    """What is asked, apart from field and photograph.

    Attributes:
        camera: intrinsics, see :func:`maskfield.api.pose`. init: file of a start pose.
        search: number of particles. mask: picture of what counts in the photograph.
        track: the photographs are consecutive frames.
    """

    camera: StrPath | None
    init: StrPath | None
    search: int | None
    mask: StrPath | None
    track: bool
    by: Search
    adam: PoseConfig
    seed: int
    film: bool


def locate_photo(
    field: Path,
    photo: Path,
    question: PoseQuestion,
    *,
    scene: StrPath | None,
    near: float | None,
    far: float | None,
    out: StrPath | None,
) -> PoseAnswer:
    """See :func:`maskfield.api.pose`."""
    import torch

    from maskfield.methods.inerf.observation import read_observation
    from maskfield.verbs.answers import answer_folder
    from maskfield.verbs.pose_camera import camera_for, read_start
    from maskfield.verbs.pose_pictures import write_pose

    _check(question)
    files = photo_files(photo, track=question.track)
    start = None if question.init is None else read_start(question.init)
    given = open_field(field, scene=scene, near=near, far=far, bake=False)
    camera = camera_for(question.camera, given, files[0])
    mask = _mask(question, camera)
    seen = [read_observation(f, camera, background=given.background, mask=mask) for f in files]
    if question.by != "adam":
        given = with_bake(given)  # takes a while: after all that may be refused
    generator = torch.Generator().manual_seed(question.seed)
    estimates = search_poses(question, given, seen, start, generator)
    folder = answer_folder("pose", photo, out)
    write_pose(given, seen, files, estimates, folder, film=question.film)
    return PoseAnswer(estimates=estimates, photos=files, folder=folder)


def _mask(question: PoseQuestion, camera: Cameras | None) -> np.ndarray | None:
    from maskfield.data.photo import read_mask

    if question.mask is None or camera is None:
        return None
    return read_mask(question.mask, (camera.height, camera.width)) >= 128


def search_poses(
    question: PoseQuestion,
    given: GivenField,
    seen: Sequence[Observation],
    start: Tensor | None,
    generator: Generator,
) -> list[PoseEstimate]:
    """One photograph's pose, or those of consecutive frames.

    Args:
        start: [3, 4] where the first search begins; None: a global search finds out.
    """
    from maskfield.methods.inerf.find import find_anywhere, find_pose, follow

    view, adam = given.view, question.adam
    if start is not None:
        first = find_pose(
            view, seen[0], start[None], generator, by=question.by, adam=adam, rough=given.rough
        )
    else:
        count = question.search or DEFAULT_SEARCH
        first = find_anywhere(
            view,
            seen[0],
            lambda: spread_starts(given, count, generator),
            generator,
            by=question.by,
            adam=adam,
            rough=given.rough,
        )
    return follow(view, seen, first, generator, by=question.by, adam=adam, rough=given.rough)


def spread_starts(given: GivenField, count: int, generator: Generator) -> Tensor:
    """Poses all over where the camera may be: around the scene's, or around an object.

    Raises:
        SceneError: nothing says where that is.
    """
    import torch

    from maskfield.fields.nerf import NeRFField
    from maskfield.methods.inerf.search import starts_around, starts_on_sphere

    if given.scene is not None:
        return starts_around(given.scene.cameras, count, _SPREAD, generator)
    field = given.view.field
    if isinstance(field, NeRFField) and field.planar:
        radius = (field.viewing.near + field.viewing.far) / 2
        return starts_on_sphere(torch.zeros(3), radius, count, generator)
    raise SceneError(
        "nothing says where the camera may have been",
        field="search",
        value=count,
        remedy="give the scene the field was fitted to (--scene), or a start pose (--init)",
    )


def photo_files(photo: Path, *, track: bool) -> list[Path]:
    """One photograph, or a folder of frames in the order of their names.

    Raises:
        SceneError: nothing there, or a folder where one photograph is wanted.
    """
    if photo.is_file() and not track:
        return [photo]
    found = sorted(p for p in photo.glob("*") if p.suffix.lower() in PHOTOS)
    if track and found:
        return found
    raise SceneError(
        "no photograph there" if not photo.is_dir() else "this is a folder of photographs",
        file=photo,
        field="photo",
        value=f"{len(found)} photographs" if photo.is_dir() else None,
        remedy="give a folder of frames (.png, .jpg) with --track, or one photograph without",
    )


def _check(question: PoseQuestion) -> None:
    if question.init is not None and question.search is not None:
        raise ConfigError(
            "a start pose and a search for one exclude each other",
            field="init, search",
            value=(str(question.init), question.search),
            remedy="leave out one of them",
        )
    if question.search is not None and question.search < 1:
        raise ConfigError(
            "a search needs particles", field="search", value=question.search, remedy="give >= 1"
        )
