"""L9: the verbs as functions. ``maskfield.fit(...)`` is ``maskfield fit ...`` on the command line.

Importing this module is cheap; each verb imports what it needs when it is called. Every verb raises
subclasses of :class:`maskfield.core.errors.MaskfieldError` for bad input, before time is spent.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from maskfield.core.files import StrPath
    from maskfield.data.check import SceneReport
    from maskfield.data.config import DensityRule, MixedSizes, SceneFormat
    from maskfield.data.preparation.options import DataSet, PrepareOptions
    from maskfield.data.preparation.report import PreparedReport
    from maskfield.data.scene import Scene
    from maskfield.engine.loop import RunResult
    from maskfield.methods.inerf.config import Sampling
    from maskfield.methods.inerf.find import Search
    from maskfield.verbs.detect import Detection
    from maskfield.verbs.doctor import DoctorReport
    from maskfield.verbs.labels import LabelReport
    from maskfield.verbs.normalize_photo import PhotoReport
    from maskfield.verbs.pose import PoseAnswer
    from maskfield.verbs.render import CameraPath
    from maskfield.verbs.segment import Segmentation
    from maskfield.verbs.superres import FinerGrid

__all__ = [
    "convert",
    "data_check",
    "data_import",
    "data_labels",
    "data_normalize_photo",
    "data_prepare",
    "data_synth",
    "demo",
    "detect",
    "doctor",
    "evaluate",
    "extract",
    "finetune",
    "fit",
    "pose",
    "pretrain",
    "render",
    "segment",
    "superres",
]


def doctor() -> DoctorReport:
    """What this machine has: torch, device, threads, optional parts and what each enables.

    Returns:
        facts, optional parts, and problems (empty when all is well).
    """
    from maskfield.verbs.doctor import examine

    return examine()


def demo(
    name: Literal["nerf-mae"] = "nerf-mae",
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
        data: one's own photographs, any source that :func:`data_import` reads; procedural rooms
            unless given.
        init: a trained network (run, weights, official ``.pt`` or ``zoo:NAME``); unless given, one
            is trained for a while on procedural rooms.
        quick: the same path, smaller: about a minute on a procedural room.
        out: folder for everything it writes; ``runs/demo``, ``runs/demo-quick`` or
            ``runs/demo-DATA`` unless given.
        seed: decides the room that is photographed, the training rooms and every random draw.

    Returns:
        the path of ``report.html``.

    Raises:
        ConfigError: no such demo. SceneError, CheckpointError: ``data`` or ``init`` cannot be
        used. StorageError: the folder cannot be written.
    """
    from maskfield.core.registry import Table, resolve

    demos = Table("demos", "demo", {"nerf-mae": "maskfield.verbs.demo_nerf_mae:run_demo"})
    own = "" if data is None else f"-{run_name(data)}"
    folder = Path(out or f"runs/demo{own}{'-quick' if quick else ''}")
    return resolve(demos, name, field="demo")(
        folder,
        quick=quick,
        seed=seed,
        data=None if data is None else str(data),
        init=None if init is None else str(init),
    )


def data_import(
    source: StrPath,
    *,
    out: StrPath,
    format: SceneFormat = "auto",  # noqa: A002
    holdout: int = 8,
    downscale: int = 1,
    mixed_sizes: MixedSizes = "error",
    images: str | None = None,
) -> Scene:
    """Turn posed photographs of any supported kind into a scene folder.

    Args:
        source: a folder, a ``transforms.json``, a COLMAP model, an LLFF or NeRF-synthetic folder,
            posed RGB-D frames, or ``synthetic:rooms-v1:SEED``.
        out: the scene folder to write.
        format: what the source is, when it cannot be told from the files.
        holdout: every n-th photograph becomes the test split where the source has none; 0: none.
        downscale: integer factor by which photographs are reduced (exact area mean).
        mixed_sizes: what to do with photographs of several sizes.
        images: name of the image folder (COLMAP, LLFF), when there are several.

    Returns:
        the scene as written.

    Raises:
        SceneError: the source cannot be used; names file, field, value and remedy.
        StorageError: ``out`` cannot be written.
    """
    from maskfield.data.config import SceneDataConfig
    from maskfield.data.scene import load_scene, save_scene

    scene = SceneDataConfig(
        path=str(source),
        format=format,
        holdout=holdout,
        downscale=downscale,
        mixed_sizes=mixed_sizes,
        images=images,
    ).build()
    return load_scene(save_scene(scene, out))


def data_check(
    scene: StrPath,
    *,
    out: StrPath | None = None,
    format: SceneFormat = "auto",  # noqa: A002
) -> SceneReport:
    """Test a scene before time is spent on it, and draw its cameras and box.

    Args:
        scene: a scene folder, or any source that :func:`data_import` reads.
        out: the picture to write; ``cameras.png`` in the scene's folder unless given.
        format: what the source is, when it cannot be told from the files.

    Returns:
        facts and findings; a finding names the probable convention error.

    Raises:
        SceneError: the source cannot be read at all. StorageError: the picture cannot be written.
    """
    from maskfield.data.check import check_scene
    from maskfield.data.config import SceneDataConfig
    from maskfield.figures.frusta import draw_frusta
    from maskfield.figures.pictures import save_picture

    loaded = SceneDataConfig(path=str(scene), format=format).build()
    place = Path(scene) if Path(scene).is_dir() else Path(scene).parent
    save_picture(draw_frusta(loaded), place / "cameras.png" if out is None else out)
    return check_scene(loaded)


def data_synth(
    kind: Literal["scene", "grids", "objects"] = "scene",
    *,
    out: StrPath,
    seed: int = 0,
    views: int | None = None,
    width: int | None = None,
    height: int | None = None,
    count: int = 64,
    resolution: int = 64,
) -> Path:
    """Make procedural worlds: photographs of a room, voxel grids of many, or single objects.

    Args:
        kind: "scene": photographs with depth, instance and semantic maps and boxes;
            "grids": a store of radiance + density grids for pre-training;
            "objects": one scene folder per object, photographed from all around over white.
        out: the folder to write.
        seed: the room, or the first of the rooms or objects.
        views, width, height: of the photographs; None: 100 of 160 x 120 pixels of a room, 24 of
            64 x 64 of every object (always square).
        count: of the grids or objects. resolution: of the grids, voxels along the longest side.

    Returns:
        the folder.

    Raises:
        ConfigError: a number out of range, or photographs of objects that are not square.
        StorageError: the folder cannot be written.
    """
    from maskfield.verbs.synth import synth_grids, synth_objects, synth_scene

    if kind == "scene":
        return synth_scene(Path(out), seed=seed, views=views, width=width, height=height)
    if kind == "objects":
        return synth_objects(
            Path(out), seed=seed, count=count, views=views, width=width, height=height
        )
    return synth_grids(Path(out), seed=seed, count=count, resolution=resolution)


def data_labels(
    scene: StrPath,
    *,
    grid: StrPath,
    out: StrPath | None = None,
    max_depth: float = 15.0,
    points: int = 100_000,
    classes: str | None = None,
    npy: bool = False,
    seed: int = 0,
    compat: Literal["maskfield", "official"] = "maskfield",
) -> LabelReport:
    """Depth + class maps + poses -> a class id for every voxel of a radiance grid.

    Args:
        scene: a scene with depth and semantics, or a folder with transforms.json and official HDF5
            frames (3D-FRONT: ``depth``, ``class_segmaps``; HM3D: ``data``).
        grid: the radiance grid the labels belong to: ``.safetensors``, official ``.npz``, or run
            folder.
        out: the ``.safetensors`` to write; ``labels/NAME.safetensors`` beside the grid (or beside
            its folder ``features``) unless given.
        max_depth: farther readings are left out (metres).
        points: points of each class that vote, drawn at random from all views.
        classes: HDF5 frames: "front3d", "nyu40", or a ``label_map.json`` of :func:`data_prepare`.
        npy: also write the official ``voxel/NAME.npy``.
        seed: decides which points vote.
        compat: "official": points outside the grid vote at its border, cy counts from the bottom.

    Returns:
        the files written and the labelled voxels of each class.

    Raises:
        SceneError: no depth or semantics. GridError: nothing lies in the grid. DataError: ids
        outside the class list, missing or damaged frames. MissingPartError: no h5py.
    """
    from maskfield.verbs.labels import label_scene

    return label_scene(
        Path(scene),
        Path(grid),
        out=None if out is None else Path(out),
        max_depth=max_depth,
        points=points,
        classes=classes,
        npy=npy,
        seed=seed,
        compat=compat,
    )


def data_prepare(
    dataset: DataSet, source: StrPath, *, out: StrPath, options: PrepareOptions | None = None
) -> PreparedReport:
    """A data set as its authors publish it -> the official training layout.

    Cameras become ``scenes/SCENE/{train,val}/transforms.json``, boxes ``obb/SCENE.npy`` and
    ``aabb/SCENE.npy`` in voxels with ``obb_labels/SCENE.txt``, classes ``label_map.json``, and the
    scenes are split in ``NAME_split.npz``. Pictures stay where they are.

    Args:
        dataset: "front3d", "hm3d", "hypersim", "scannet" or "sunrgbd".
        source: folder of scene folders.
        out: folder to write.
        options: filters, split and frame selection; the official ones unless given.

    Returns:
        what was kept, and what was dropped and why.

    Raises:
        DataError, SceneError: a file is missing, damaged or inconsistent. ConfigError: an option is
        out of range. MissingPartError: no h5py. StorageError: ``out`` cannot be written.
    """
    from maskfield.verbs.prepare import prepare_data_set

    return prepare_data_set(dataset, Path(source), Path(out), options)


def data_normalize_photo(
    photo: StrPath,
    *,
    mask: StrPath | None = None,
    out: StrPath | None = None,
    size: int = 128,
    minor_scale: float = 4.37,
    major_scale: float = 0.8,
    border: Literal["replicate", "white"] = "replicate",
    label: str = "car",
    model: str = "facebook/mask2former-swin-tiny-coco-instance",
    figures: bool = False,
    compat: Literal["maskfield", "official"] = "maskfield",
) -> PhotoReport:
    """One object of a photograph on white, centred and scaled as image-conditioned models want it.

    Args:
        photo: the photograph.
        mask: its object in white on black, same size; unless given, the photograph's own opacity,
            else what ``model`` finds.
        out: the ``.png`` to write; ``NAME_normalize.png`` beside the photograph unless given.
        size: side of the result in pixels.
        minor_scale: side of the square that is cut out, in minor axes of the object's ellipse.
        major_scale: the same in major axes; the larger square is taken.
        border: what lies outside the photograph: its edge repeated, or white.
        label: what to look for, when the model finds the mask.
        model: a Mask2Former: name on the hub (fetched by transformers) or folder.
        figures: also draw the photograph with its mask and square beside the result.
        compat: "official": pixelNeRF's bilinear samples, which alias when large photographs shrink.

    Returns:
        the files written, the square and where the mask is from.

    Raises:
        DataError: a photograph or mask that cannot be used, or no such object in it. ConfigError.
        MissingPartError: no mask, and transformers is not installed. CheckpointError: no such
        model. StorageError: ``out`` cannot be written.
    """
    from maskfield.data.normalise_photo import PhotoFraming
    from maskfield.verbs.normalize_photo import normalise_file

    return normalise_file(
        Path(photo),
        mask=None if mask is None else Path(mask),
        out=None if out is None else Path(out),
        framing=PhotoFraming(
            size=size,
            minor_scale=minor_scale,
            major_scale=major_scale,
            border=border,
            compat=compat,
        ),
        label=label,
        model=model,
        figures=figures,
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
    from maskfield.verbs.conditioned import Conditions
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


def pretrain(
    recipe: str,
    *,
    out: StrPath | None = None,
    data: str | None = None,
    init: str | None = None,
    overrides: Sequence[str] = (),
    resume: str | None = None,
    figures: bool = False,
) -> RunResult:
    """Masked pre-training by a recipe.

    Args:
        recipe: ``METHOD:SIZE`` (``nerf-mae:tiny-cpu``), a ``config.yaml``, or a run folder.
        out: run folder; ``runs/METHOD-SIZE`` unless given.
        data: train on these data instead of the recipe's.
        init: start from these weights, ours or official.
        overrides: changes of the configuration, ``"engine.steps=500"``.
        resume: "auto" or a checkpoint, to go on with an interrupted run in ``out``.
        figures: also draw reconstructions and curves and write ``report.html``.

    Returns:
        run folder, metrics on held-out grids and the last step.

    Raises:
        ConfigError: unknown recipe or option. DataError, CheckpointError, StorageError: before
        time is spent. NumericsError: the loss became NaN or infinite.
    """
    from maskfield.verbs.pretrain import pretrain_by_recipe

    folder = Path(out or f"runs/{run_name(recipe)}")
    return pretrain_by_recipe(
        recipe, folder, data=data, init=init, overrides=overrides, resume=resume, figures=figures
    )


def finetune(
    recipe: str,
    *,
    out: StrPath | None = None,
    init: str = "pretrained",
    labels: str | None = None,
    data: str | None = None,
    overrides: Sequence[str] = (),
    resume: str | None = None,
    figures: bool = False,
) -> RunResult:
    """Train on labels: boxes, voxel classes or finer grids.

    Args:
        recipe: ``METHOD:SIZE`` (``nerf-mae-detect:tiny-cpu``), a ``config.yaml``, or a run folder.
        out: run folder; ``runs/METHOD-SIZE`` unless given.
        init: "pretrained" (the weights that come with the package), "scratch" (the paper's
            counterpart: no positional table), or a run, checkpoint or official ``.pt``.
        labels: share of the labelled training scenes, ``"10%"``; smaller shares lie within larger.
        data: train on these data instead of the recipe's.
        overrides: changes of the configuration, ``"engine.steps=500"``.
        resume: "auto" or a checkpoint, to go on with an interrupted run in ``out``.
        figures: also draw answers on held-out grids and curves and write ``report.html``.

    Returns:
        run folder, metrics on held-out grids and the last step.

    Raises:
        ConfigError: unknown recipe or option. DataError, CheckpointError, StorageError: before
        time is spent. NumericsError: the loss became NaN or infinite.
    """
    from maskfield.verbs.finetune import finetune_by_recipe

    return finetune_by_recipe(
        recipe,
        Path(out or f"runs/{run_name(recipe)}"),
        init=init,
        labels=labels,
        data=data,
        overrides=overrides,
        resume=resume,
        figures=figures,
    )


def evaluate(
    run: StrPath,
    *,
    checkpoint: Literal["best", "last"] = "last",
    overrides: Sequence[str] = (),
    figures: bool = False,
    answers: bool = False,
) -> dict[str, float]:
    """Measure a run's checkpoint on its held-out data.

    Args:
        run: a run folder of :func:`fit`, :func:`pretrain` or :func:`finetune`.
        checkpoint: which of its checkpoints.
        overrides: changes of the configuration, e.g. ``"data.path=..."`` for other data.
        figures: also draw pictures and curves and write ``report.html``.
        answers: also write every held-out answer in the official files, into ``answers``.

    Returns:
        the metrics, which are also in ``evaluation.json`` of the run folder; the run's own
        ``metrics.json`` stays as it is.

    Raises:
        DataError: not a run folder. CheckpointError: no such checkpoint. ConfigError.
    """
    from maskfield.verbs.evaluate import evaluate_run

    return evaluate_run(
        Path(run), checkpoint=checkpoint, overrides=overrides, figures=figures, answers=answers
    )


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


def convert(
    source: StrPath, out: StrPath, *, density: DensityRule = "auto", recipe: str | None = None
) -> str:
    """Official files to ours and back; the two suffixes say what is meant.

    ``.npz`` <-> ``.safetensors`` grids of NeRF-RPN and NeRF-MAE; official checkpoint ``.pt``
    (masked autoencoder, detector, semantic labelling, super-resolution) -> weights
    ``.safetensors``; our weights or run folder -> official ``.pt``. Strict: every tensor must find
    its place, else the error lists what differs.

    Args:
        source: the file (or run folder) to convert.
        out: the file to write.
        density: ``.npz``: what the fourth channel is; "auto" looks at the values.
        recipe: checkpoints: the recipe whose network it is, when the weights do not tell.

    Returns:
        one line saying what was converted.

    Raises:
        ConfigError: no such conversion. CheckpointError, GridError: the source does not fit.
    """
    from maskfield.verbs.convert import convert_file

    return convert_file(Path(source), Path(out), density=density, recipe=recipe)


def run_name(source: StrPath) -> str:
    """A folder name made from a path, recipe id or data id."""
    text = str(source)
    stem = text.replace(":", "-") if ":" in text else Path(text).resolve().name
    return stem.removesuffix(".json").removesuffix(".yaml") or "run"


def pose(
    field: StrPath,
    photo: StrPath,
    *,
    camera: StrPath | None = None,
    init: StrPath | None = None,
    search: int | None = None,
    track: bool = False,
    scene: StrPath | None = None,
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
) -> PoseAnswer:
    """Where a photograph was taken: the camera pose that makes a field look like it (iNeRF).

    Poses are camera-to-world with OpenCV axes, in the world of the field.

    Args:
        field: a run folder of :func:`fit`, or a NeRF: ours, or a nerf-pytorch checkpoint
            (``.tar``, ``.ckpt``).
        photo: an 8-bit RGB photograph; with ``track`` a folder of consecutive frames.
        camera: ``"fx,fy,cx,cy"`` in pixels, or a JSON file with fx, fy, cx, cy (w, h, k1, k2, p1,
            p2, k3); the scene's cameras unless given.
        init: JSON with a start pose: what this verb wrote, or a 3 x 4 or 4 x 4 matrix.
        search: number of poses, spread over where cameras may be, that a global search weighs;
            200 where neither this nor ``init`` is given.
        track: each frame's search starts from the last frame's pose.
        scene: what the field was fitted to, when it has moved, or for its intrinsics.
        mask: a picture, white where the photograph counts.
        out: folder for the answer; ``runs/pose-PHOTO`` unless given.
        by: "lm" (Levenberg-Marquardt, voxel fields), "adam" (the paper's search), or "auto".
        steps, pixels, sampling: of Adam; pixels per step, and how they are chosen.
        near, far: of a NeRF, scene units; 2 and 6 unless it says otherwise.
        film: also write a film of the search.
        seed: of every random draw.

    Returns:
        estimates with covariance and verdict, and the folder with ``pose.json`` (``poses.json``
        of several frames), ``pose.png``, the film and ``report.html``.

    Raises:
        SceneError: unusable photograph, intrinsics or start pose; nothing says where to search.
        CheckpointError: not a field. ConfigError: options out of range.
    """
    from maskfield.methods.inerf.config import PixelConfig, PoseConfig
    from maskfield.verbs.pose import PoseQuestion, locate_photo

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
    )
    return locate_photo(
        Path(field), Path(photo), question, scene=scene, near=near, far=far, out=out
    )
