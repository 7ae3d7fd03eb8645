"""Data as functions: photographs to scenes, data sets, labels, procedural worlds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from maskfield.core.files import StrPath
    from maskfield.data.check import SceneReport
    from maskfield.data.config import MixedSizes, SceneFormat
    from maskfield.data.preparation.options import DataSet, PrepareOptions
    from maskfield.data.preparation.report import PreparedReport
    from maskfield.data.scene import Scene
    from maskfield.verbs.labels import LabelReport
    from maskfield.verbs.normalize_photo import PhotoReport


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
