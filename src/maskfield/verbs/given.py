"""The radiance grid that a verb was given, in any of its forms, and what is known beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from maskfield.core.errors import DataError, MaskfieldError, SceneError

if TYPE_CHECKING:
    from maskfield.core.files import StrPath
    from maskfield.data.radiance_grid import RadianceGrid
    from maskfield.data.scene import Scene
    from maskfield.geometry.boxes import Boxes3D

_KINDS = (
    "a .safetensors grid, an official .npz, a grid store with :NAME, or a run folder of "
    "`maskfield fit`"
)


@dataclass(frozen=True, kw_only=True)
class Given:
    """A grid and its surroundings.

    Attributes:
        name: for output folders and titles. file: for messages.
        scene: photographs of the same place, if known. scene_source: where they came from.
        truth: boxes that are known to be there.
    """

    grid: RadianceGrid
    name: str
    file: str
    scene: Scene | None = None
    scene_source: str | None = None
    truth: Boxes3D | None = None


def open_given(
    source: StrPath, *, scene: StrPath | None = None, longest: int = 160, photos: bool = False
) -> Given:
    """Open what was given.

    Args:
        source: see ``_KINDS``; a store with one grid needs no name.
        scene: where the scene is, when it is not known or has moved.
        longest: voxels along the longest side when a fitted field has to be extracted.
        photos: the scene is wanted, if it can be found.

    Raises:
        DataError: nothing there, or none of these kinds. GridError, SceneError, CheckpointError.
    """
    path, name = _split(str(source))
    if name is not None:
        found = _from_store(path, name)
    elif path.is_dir() and (path / "index.json").is_file():
        found = _from_store(path, None)
    elif path.is_dir() or path.name == "weights.safetensors":
        return _from_run(path, scene, longest=longest, photos=photos)
    else:
        found = _from_file(path)
    return _with_scene(found, scene)


def _split(source: str) -> tuple[Path, str | None]:
    """``STORE:NAME`` in its parts; any other source as it is.

    Raises:
        DataError: nothing there.
    """
    if Path(source).exists():
        return Path(source), None
    folder, colon, name = source.rpartition(":")
    if colon and (Path(folder) / "index.json").is_file():
        return Path(folder), name
    raise DataError("nothing there", file=source, remedy=f"give {_KINDS}")


def _from_store(folder: Path, name: str | None) -> Given:
    from maskfield.data.store import open_store

    store = open_store(folder)
    if name is None:
        if len(store) > 1:
            raise DataError(
                "a grid store holds many grids",
                file=folder,
                field="name",
                value=f"{len(store)} grids, the first: {', '.join(store.names[:3])}",
                remedy=f"name one: {folder}:{store.names[0]}",
            )
        name = store.names[0]
    grid = store[store.index(name)].validated(f"{folder}:{name}")
    return Given(grid=grid, name=name, file=f"{folder}:{name}", truth=_boxes_of(folder, name))


def _from_file(path: Path) -> Given:
    from maskfield.data.radiance_grid import load_grid
    from maskfield.data.readers.nerf_rpn import read_grid

    if path.suffix not in (".npz", ".safetensors"):
        raise DataError("not a grid", file=path, field="suffix", remedy=f"give {_KINDS}")
    grid = read_grid(path) if path.suffix == ".npz" else load_grid(path)
    return Given(grid=grid, name=path.stem, file=str(path), truth=_boxes_of(path.parent, path.stem))


def _from_run(path: Path, scene: StrPath | None, *, longest: int, photos: bool) -> Given:
    """The grid that was extracted from this fit, else one extracted now."""
    from maskfield.data.radiance_grid import load_grid
    from maskfield.engine.checkpoint import weights_path
    from maskfield.fields.extract import extract_grid
    from maskfield.fields.fit import load_field
    from maskfield.verbs.runs import run_folder_of

    folder = run_folder_of(path)
    field, kept = load_field(path), folder / "grid.safetensors"
    fresh = kept.is_file() and kept.stat().st_mtime >= weights_path(path).stat().st_mtime
    known = _run_scene(folder, scene, needed=not fresh, wanted=photos or scene is not None)
    grid = load_grid(kept) if fresh else extract_grid(field, _there(known), longest=longest)
    return Given(
        grid=grid,
        name=folder.resolve().name,
        file=str(kept if fresh else path),
        scene=known,
        scene_source=_scene_source(folder, scene) if known is not None else None,
        truth=known.boxes if known is not None else None,
    )


def _run_scene(folder: Path, scene: StrPath | None, *, needed: bool, wanted: bool) -> Scene | None:
    """The scene of a fit; one that is only wanted, and was not named, may be gone."""
    from maskfield.verbs.runs import scene_of_run

    if not needed and not wanted:
        return None
    try:
        return scene_of_run(folder, scene)
    except MaskfieldError:
        if needed or scene is not None:
            raise
        return None


def _there(scene: Scene | None) -> Scene:
    if scene is None:
        raise SceneError("the scene of this fit is unknown", remedy="give it with --scene")
    return scene


def _scene_source(folder: Path, scene: StrPath | None) -> str:
    from maskfield.core.config import load_config

    return str(scene) if scene is not None else str(load_config(folder).data.path)


def _with_scene(given: Given, scene: StrPath | None) -> Given:
    """Add the scene that was named.

    Raises:
        SceneError: it is another place: its box does not meet the grid's.
    """
    from dataclasses import replace

    from maskfield.data.config import SceneDataConfig

    if scene is None:
        return given
    loaded = SceneDataConfig(path=str(scene)).build()
    low, high = given.grid.box.float()
    if (loaded.box[0] >= high).any() or (loaded.box[1] <= low).any():
        raise SceneError(
            "the scene and the grid are different places: their boxes do not meet",
            file=str(scene),
            field="box",
            value=f"scene {loaded.box.tolist()}, grid {given.grid.box.tolist()}",
            remedy="give the scene from which the grid was made",
        )
    truth = loaded.boxes if given.truth is None else given.truth
    return replace(given, scene=loaded, scene_source=str(scene), truth=truth)


def _boxes_of(folder: Path, name: str) -> Boxes3D | None:
    """``boxes/NAME.json`` beside a grid (world frame), where there is one."""
    from maskfield.core.files import read_json
    from maskfield.geometry.boxes import Boxes3D

    path = folder / "boxes" / f"{name}.json"
    return Boxes3D.from_json(read_json(path)) if path.is_file() else None
