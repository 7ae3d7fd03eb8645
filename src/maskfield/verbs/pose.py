"""Where a photograph was taken: pose.json, pictures, a film of the search, a report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from maskfield.core.errors import SceneError
from maskfield.verbs.conditioned import is_conditioned
from maskfield.verbs.conditioned_views import open_conditioned, with_object_bake
from maskfield.verbs.conditions import Conditions, refuse_conditions, refuse_scene
from maskfield.verbs.field_views import GivenField, open_field, with_bake
from maskfield.verbs.pose_question import PoseQuestion, check_question, refuse_official

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from torch import Generator, Tensor

    from maskfield.core.files import StrPath
    from maskfield.data.pose_estimate import PoseEstimate
    from maskfield.geometry.cameras import Cameras
    from maskfield.methods.inerf.observation import Observation

PHOTOS = (".png", ".jpg", ".jpeg")
DEFAULT_SEARCH = 200  # particles where neither a start nor their number is given


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


def locate_photo(
    field: Path,
    photo: Path,
    question: PoseQuestion,
    *,
    conditions: Conditions,
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

    check_question(question)
    files = photo_files(photo, track=question.track)
    start = None if question.init is None else read_start(question.init)
    given = _opened(field, question, conditions, scene=scene, near=near, far=far)
    camera = camera_for(question.camera, given, files[0])
    mask = _mask(question, camera)
    seen = [read_observation(f, camera, background=given.background, mask=mask) for f in files]
    if question.by != "adam" and not question.official:
        given = _baked(given)  # takes a while: after all that may be refused
    generator = torch.Generator().manual_seed(question.seed)
    estimates = search_poses(question, given, seen, start, generator)
    folder = answer_folder("pose", photo, out)
    write_pose(given, seen, files, estimates, folder, film=question.film)
    return PoseAnswer(estimates=estimates, photos=files, folder=folder)


def _opened(
    field: Path,
    question: PoseQuestion,
    conditions: Conditions,
    *,
    scene: StrPath | None,
    near: float | None,
    far: float | None,
) -> GivenField:
    """A fitted field, or what a model makes of an object; not baked yet."""
    if is_conditioned(field):
        refuse_scene(scene)
        return open_conditioned(
            field, conditions, near=near, far=far, bake=False, plain=question.official
        )
    refuse_conditions(conditions)
    refuse_official(question)
    return open_field(field, scene=scene, near=near, far=far, bake=False)


def _baked(given: GivenField) -> GivenField:
    return with_object_bake(given) if given.guessed else with_bake(given)


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
    from maskfield.methods.inerf.config import OfficialConfig
    from maskfield.methods.inerf.find import find_anywhere, find_pose, follow
    from maskfield.methods.inerf.official import official_pose
    from maskfield.verbs.pose_camera import spread_starts

    view, adam = given.view, question.adam
    if question.official and start is not None:
        found = official_pose(view, given.sources, seen[0], start, OfficialConfig(), generator)
        return [found]
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
