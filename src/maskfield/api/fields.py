"""One scene: demo, fit, extract, render, doctor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from maskfield.core.runs import run_name

if TYPE_CHECKING:
    from maskfield.core.files import StrPath
    from maskfield.engine.loop import RunResult
    from maskfield.verbs.doctor import DoctorReport
    from maskfield.verbs.render import CameraPath


DemoName = Literal["nerf-mae", "pixelnerf", "inerf"]
DEMOS = {
    "nerf-mae": "maskfield.verbs.demo_nerf_mae:run_demo",
    "pixelnerf": "maskfield.verbs.demo_pixelnerf:run_demo",
    "inerf": "maskfield.verbs.demo_inerf:run_demo",
}


def doctor() -> DoctorReport:
    """What this machine has: torch, device, threads, optional parts and what each enables.

    Returns:
        facts, optional parts, and problems (empty when all is well).
    """
    from maskfield.verbs.doctor import examine

    return examine()


def demo(
    name: DemoName = "nerf-mae",
    *,
    data: StrPath | None = None,
    init: StrPath | None = None,
    quick: bool = False,
    out: StrPath | None = None,
    seed: int = 0,
) -> Path:
    """Run a job end to end and write a report; nothing is downloaded.

    Args:
        name: which job.
        data: one's own photographs, any source that :func:`data_import` reads, in place of
            procedural ones; for "pixelnerf" one photograph (see :func:`data_normalize_photo`).
        init: a trained network (run, weights, official file or ``zoo:NAME``). Unless given,
            "nerf-mae" trains one for a while, "pixelnerf" takes ``zoo:pixelnerf-tiny``; "inerf"
            fits a field in any case.
        quick: the same path, smaller: about a minute on a procedural room.
        out: folder for everything it writes; ``runs/demo``, with the name of another job than
            nerf-mae, of ``data``, and "quick" behind it, unless given.
        seed: decides the room that is photographed, the training rooms and every random draw.

    Returns:
        the path of ``report.html``.

    Raises:
        ConfigError: no such demo. SceneError, CheckpointError: ``data`` or ``init`` cannot be
        used. StorageError: the folder cannot be written.
    """
    from maskfield.core.registry import Table, resolve

    demos = Table("demos", "demo", DEMOS)
    own = "" if data is None else f"-{run_name(data)}"
    kind = "" if name == "nerf-mae" else f"-{name}"
    folder = Path(out or f"runs/demo{kind}{own}{'-quick' if quick else ''}")
    return resolve(demos, name, field="demo")(
        folder,
        quick=quick,
        seed=seed,
        data=None if data is None else str(data),
        init=None if init is None else str(init),
    )


def fit(
    scene: StrPath,
    *,
    out: StrPath | None = None,
    field: Literal["voxel"] = "voxel",
    overrides: Sequence[str] = (),
    resume: str | None = None,
    figures: bool = False,
) -> RunResult:
    """Fit a radiance field to one scene.

    Args:
        scene: a scene folder, or any source that :func:`data_import` reads.
        out: run folder; ``runs/fit-SCENE`` unless given.
        field: kind of field.
        overrides: changes of the configuration, ``"engine.steps=500"``.
        resume: "auto" or a checkpoint, to go on with an interrupted run in ``out``.
        figures: also draw pictures and curves and write ``report.html``.

    Returns:
        run folder, held-out metrics and the last step.

    Raises:
        SceneError, ConfigError, CheckpointError, StorageError: before time is spent.
        NumericsError: the loss became NaN or infinite.
    """
    from maskfield.verbs.fit import fit_from_path

    folder = Path(out or f"runs/fit-{run_name(scene)}")
    return fit_from_path(
        str(scene), folder, field=field, overrides=overrides, resume=resume, figures=figures
    )


def extract(
    field: StrPath,
    *,
    out: StrPath | None = None,
    longest: int = 160,
    scene: StrPath | None = None,
    ply: bool = False,
    npz: bool = False,
    mesh: Literal["obj", "ply"] | None = None,
    mesh_level: float | None = None,
    figures: bool = False,
) -> list[Path]:
    """Sample a fitted field on voxels: colour and density in one file.

    Args:
        field: the run folder of :func:`fit`.
        out: the ``.safetensors`` to write; ``grid.safetensors`` in the run folder unless given.
        longest: voxels along the longest side.
        scene: the scene the field was fitted to, when it has moved since.
        ply: also write the occupied voxels as a coloured point cloud.
        npz: also write a NeRF-RPN / NeRF-MAE ``.npz``.
        mesh: also write the surface as coloured triangles, ``NAME-mesh.obj`` or ``.ply``.
        mesh_level: density of the surface, 1 / scene unit; unless given, what stops half the light
            in one voxel.
        figures: also draw the grid from outside and in slices.

    Returns:
        the files written, the grid first.

    Raises:
        CheckpointError: not a fitted field. GridError: nothing in the box. MissingPartError: a
        mesh without scikit-image. StorageError.
    """
    from maskfield.verbs.extract import extract_from_run

    return extract_from_run(
        Path(field),
        out=out,
        longest=longest,
        scene=scene,
        ply=ply,
        npz=npz,
        mesh=mesh,
        mesh_level=mesh_level,
        figures=figures,
    )


def render(
    field: StrPath,
    *,
    out: StrPath | None = None,
    path: CameraPath = "orbit",
    frames: int = 60,
    elevation: float | None = None,
    radius: float | None = None,
    video: bool = False,
    fps: int = 24,
    scale: float = 1.0,
    mesh: Literal["obj", "ply"] | None = None,
    mesh_nodes: int = 128,
    mesh_level: float | None = None,
    scene: StrPath | None = None,
    data: StrPath | None = None,
    split: Literal["train", "val", "test"] = "test",
    object: str = "0",  # noqa: A002
    sources: Sequence[int] = (),
    seed: int = 0,
    photo: StrPath | None = None,
    focal: float = 131.25,
    near: float = 0.8,
    far: float = 1.8,
    memory_mb: float = 512,
    device: str = "auto",
) -> list[Path]:
    """Pictures of a field, or of a model that is shown a few images, along a camera path; a film.

    Args:
        field: the run folder of :func:`fit`, a NeRF, or an image-conditioned model (a run of
            :func:`pretrain` with ``pixelnerf:SIZE``, weights, official ``pixel_nerf_latest``).
        out: folder for the pictures; ``renders/PATH`` in the run folder unless given (of a model
            ``renders/OBJECT/PATH``).
        path: "test" and "train" cameras as they are, a smooth "tour" through the training cameras,
            an "orbit", a forward-facing "spiral", or pixelNeRF's way round a "dtu" table.
        frames: pictures along a path that may have any number.
        elevation: of an orbit, degrees above the ground; that of the cameras unless given.
        radius: of an orbit, scene units; that of the cameras unless given. Also the distance from
            which a photograph was taken (1.3 unless given).
        video: also write a film: .mp4 where PyAV is installed, else .gif.
        fps: pictures per second of the film.
        scale: size of the pictures relative to the photographs.
        mesh: also write the surface with its colours, ``mesh.obj`` or ``mesh.ply``.
        mesh_nodes: of the mesh's lattice, along its longest side.
        mesh_level: density of the surface, 1 / scene unit; unless given, what stops half the light
            in one step of the lattice. Less for soft fields.
        scene: the scene a field was fitted to, when it has moved since.
        data: objects for a model: a data set, a folder of scenes, or ``synthetic:objects-v1``;
            those of its training unless given.
        split: part of the objects. object: which of them: its name, or its number.
        sources: the views a model is shown; the first unless given, -1 for one at random, drawn by
            ``seed``. Sources are written to ``sources.png``.
        seed: draws that view.
        photo: show a model this photograph (:func:`data_normalize_photo`) instead of an object.
        focal: of the photograph, pixels of a picture 128 wide.
        near, far: distances along rays between which the photographed object lies.
        memory_mb: working memory of a model's rendering.
        device: "auto", "cpu", "cuda" ... of a model.

    Returns:
        the files written: sources, mesh, pictures, the film last.

    Raises:
        CheckpointError: neither field nor model. SceneError: no such split. DataError: no such
        view, a photograph that is not normalised. MissingPartError: a mesh without scikit-image.
        ConfigError, StorageError.
    """
    from maskfield.data.photo_scene import RADIUS, PhotoCamera
    from maskfield.verbs.conditions import Conditions
    from maskfield.verbs.render import Shots, render_shots

    shots = Shots(
        path=path,
        frames=frames,
        elevation=elevation,
        radius=radius,
        scale=scale,
        video=video,
        fps=fps,
        mesh=mesh,
        mesh_nodes=mesh_nodes,
        mesh_level=mesh_level,
    )
    distance = RADIUS if radius is None else radius
    conditions = Conditions(
        data=None if data is None else str(data),
        split=split,
        object=object,
        sources=tuple(sources),
        seed=seed,
        photo=None if photo is None else Path(photo),
        camera=PhotoCamera(focal=focal, radius=distance, near=near, far=far),
    )
    return render_shots(
        Path(field),
        shots,
        out=out,
        scene=scene,
        conditions=conditions,
        device=device,
        memory_mb=memory_mb,
    )
