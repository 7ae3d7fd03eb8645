"""Answers for one scene: boxes, classes, finer grids, the camera of a photograph."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maskfield.core.files import StrPath
    from maskfield.methods.inerf.config import Sampling
    from maskfield.methods.inerf.find import Search
    from maskfield.verbs.detect import Detection
    from maskfield.verbs.pose import PoseAnswer
    from maskfield.verbs.segment import Segmentation
    from maskfield.verbs.superres import FinerGrid


def detect(
    grid: StrPath,
    *,
    model: StrPath = "zoo:detector-tiny",
    out: StrPath | None = None,
    top: int = 30,
    threshold: float = 0.3,
    scene: StrPath | None = None,
    ngp: bool = False,
    figures: bool = False,
    device: str = "auto",
) -> Detection:
    """Find the objects of one scene: oriented boxes in its world, with scores.

    Args:
        grid: a ``.safetensors`` grid, an official ``.npz``, a grid store with ``:NAME``, or a run
            folder of :func:`fit` (its grid is taken, or extracted now).
        model: a run of :func:`finetune`, weights, an official ``.pt``, or ``zoo:NAME``.
        out: folder for ``boxes.json``; ``runs/detect-NAME`` unless given.
        top: at most this many boxes. threshold: scores above.
        scene: photographs of the same place; a run knows its own.
        ngp: also write ``ngp/transforms.json`` with ``bounding_boxes`` for instant-ngp.
        figures: also draw the boxes over the grid and, where the scene is known, over the
            photographs, and write ``report.html``.
        device: "auto", "cpu", "cuda" ...

    Returns:
        the boxes, best first (none in an empty scene), and the files written.

    Raises:
        CheckpointError: not a detector. GridError: density that cannot become alpha. SceneError:
        ``ngp`` without a scene, or a scene of another place. DataError, ConfigError, StorageError.
    """
    from maskfield.verbs.answers import answer_folder
    from maskfield.verbs.detect import detect_in

    return detect_in(
        grid,
        answer_folder("detect", grid, out),
        model=model,
        top=top,
        threshold=threshold,
        scene=scene,
        ngp=ngp,
        figures=figures,
        device=device,
    )


def segment(
    grid: StrPath,
    *,
    model: StrPath = "zoo:semantic-tiny",
    out: StrPath | None = None,
    scene: StrPath | None = None,
    figures: bool = False,
    device: str = "auto",
) -> Segmentation:
    """Say of every voxel that holds matter which class it belongs to.

    Args:
        grid: what :func:`detect` takes.
        model: a run of :func:`finetune`, weights, or ``zoo:NAME``.
        out: folder for ``labels.safetensors`` and ``legend.json``; ``runs/segment-NAME`` unless
            given.
        scene: the scene of a run, when it has moved since.
        figures: also draw the classes and write ``report.html``.
        device: "auto", "cpu", "cuda" ...

    Returns:
        the label grid, on the voxels of ``grid``, and the files written.

    Raises:
        CheckpointError: not a semantic network. GridError: density that cannot become alpha.
        DataError, SceneError, StorageError.
    """
    from maskfield.verbs.answers import answer_folder
    from maskfield.verbs.segment import segment_grid

    folder = answer_folder("segment", grid, out)
    return segment_grid(grid, folder, model=model, scene=scene, figures=figures, device=device)


def superres(
    grid: StrPath,
    *,
    model: StrPath | None = None,
    out: StrPath | None = None,
    scene: StrPath | None = None,
    figures: bool = False,
    device: str = "auto",
) -> FinerGrid:
    """Bring a grid to finer voxels of the same box.

    Args:
        grid: what :func:`detect` takes; at most as fine as the model's input.
        model: a run of :func:`finetune` or weights; none comes with the package.
        out: folder for ``grid.safetensors``; ``runs/superres-NAME`` unless given.
        scene: the scene of a run, when it has moved since.
        figures: also draw the grid before and after and write ``report.html``.
        device: "auto", "cpu", "cuda" ...

    Returns:
        the finer grid and the files written.

    Raises:
        CheckpointError: no model, or not a super-resolution network. GridError: a grid finer than
        the model's input, or density that cannot become alpha. DataError, SceneError, StorageError.
    """
    from maskfield.verbs.answers import answer_folder
    from maskfield.verbs.superres import superresolve_grid

    folder = answer_folder("superres", grid, out)
    return superresolve_grid(grid, folder, model=model, scene=scene, figures=figures, device=device)


def pose(
    field: StrPath,
    photo: StrPath,
    *,
    camera: StrPath | None = None,
    init: StrPath | None = None,
    search: int | None = None,
    track: bool = False,
    scene: StrPath | None = None,
    data: StrPath | None = None,
    split: str = "test",
    object: str = "0",  # noqa: A002
    sources: Sequence[int] = (),
    mask: StrPath | None = None,
    out: StrPath | None = None,
    by: Search = "auto",
    steps: int = 300,
    pixels: int = 512,
    sampling: Sampling = "regions",
    near: float | None = None,
    far: float | None = None,
    film: bool = True,
    seed: int = 0,
    compat: Literal["maskfield", "official"] = "maskfield",
) -> PoseAnswer:
    """Where a photograph was taken: the camera pose that makes a field look like it (iNeRF).

    Poses are camera-to-world with OpenCV axes, in the world of the field.

    Args:
        field: a run folder of :func:`fit`; a NeRF: ours, or a nerf-pytorch checkpoint (``.tar``,
            ``.ckpt``); or an image-conditioned model that is shown views of the object.
        photo: an 8-bit RGB photograph; with ``track`` a folder of consecutive frames.
        camera: ``"fx,fy,cx,cy"`` in pixels, or a JSON file with fx, fy, cx, cy (w, h, k1, k2, p1,
            p2, k3); the scene's cameras unless given.
        init: JSON with a start pose: what this verb wrote, or a 3 x 4 or 4 x 4 matrix.
        search: number of poses, spread over where cameras may be, that a global search weighs;
            200 where neither this nor ``init`` is given.
        track: each frame's search starts from the last frame's pose.
        scene: what the field was fitted to, when it has moved, or for its intrinsics.
        data, split, object, sources: views of the object for a model, see :func:`render`.
        mask: a picture, white where the photograph counts.
        out: folder for the answer; ``runs/pose-PHOTO`` unless given.
        by: "lm" (Levenberg-Marquardt, voxel fields), "adam" (the paper's search), or "auto".
        steps, pixels, sampling: of Adam; pixels per step, and how they are chosen.
        near, far: scene units; of a NeRF 2 and 6 unless it says otherwise, of a model as trained.
        film: also write a film of the search.
        seed: of every random draw.
        compat: "official": the notebook's loop with its own settings (101 steps, pixels round the
            middle, all sixteen entries of the matrix free); a pixelNeRF and ``init`` are needed.

    Returns:
        estimates with covariance and verdict, and the folder with ``pose.json`` (``poses.json``
        of several frames), ``pose.png``, the film and ``report.html``.

    Raises:
        SceneError: unusable photograph, intrinsics or start pose; nothing says where to search.
        CheckpointError: neither field nor model. ConfigError: options out of range, no such object.
        DataError: no such view of it.
    """
    from maskfield.methods.inerf.config import PixelConfig, PoseConfig
    from maskfield.verbs.conditions import Conditions
    from maskfield.verbs.pose import locate_photo
    from maskfield.verbs.pose_question import PoseQuestion

    question = PoseQuestion(
        camera=camera,
        init=init,
        search=search,
        mask=mask,
        track=track,
        by=by,
        adam=PoseConfig(steps=steps, pixels=PixelConfig(strategy=sampling, count=pixels)),
        seed=seed,
        film=film,
        compat=compat,
    )
    conditions = Conditions(
        data=None if data is None else str(data),
        split=split,
        object=object,
        sources=tuple(sources),
        seed=seed,
    )
    return locate_photo(
        Path(field),
        Path(photo),
        question,
        conditions=conditions,
        scene=scene,
        near=near,
        far=far,
        out=out,
    )
