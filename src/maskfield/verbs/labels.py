"""Depth + segmentation + poses -> the label grid that belongs to a radiance grid."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from maskfield.core.errors import ConfigError, DataError

if TYPE_CHECKING:
    from maskfield.data.label_grid import LabelGrid
    from maskfield.data.preparation.labelled_views import LabelledView
    from maskfield.data.radiance_grid import RadianceGrid


@dataclass(frozen=True, kw_only=True)
class LabelReport:
    """What was labelled.

    Attributes:
        files: written, the label grid first.
        voxels: labelled voxels of each class that occurs. share: of all voxels.
    """

    files: tuple[Path, ...]
    voxels: dict[str, int]
    share: float

    def text(self) -> str:
        """For people."""
        width = max((len(n) for n in self.voxels), default=0) + 2
        lines = [f"labelled: {sum(self.voxels.values())} voxels, {self.share:.1%} of the grid"]
        lines += [f"  {name:<{width}} {count}" for name, count in self.voxels.items()]
        return "\n".join([*lines, *(f"wrote: {path}" for path in self.files)])


def label_scene(
    scene: Path,
    grid: Path,
    *,
    out: Path | None,
    max_depth: float,
    points: int,
    classes: str | None,
    npy: bool,
    seed: int,
    compat: Literal["maskfield", "official"],
) -> LabelReport:
    """See :func:`maskfield.api.data_labels`."""
    import torch

    from maskfield.data.label_grid import save_labels
    from maskfield.data.preparation.point_labels import label_voxels

    _require("max_depth", max_depth, max_depth > 0)
    _require("points", points, points >= 1)
    radiance, path = open_grid(grid)
    views, names = _views(scene, max_depth=max_depth, classes=classes, compat=compat)
    generator = torch.Generator().manual_seed(seed)
    made = label_voxels(views, radiance, names, generator=generator, limit=points, compat=compat)
    place = path.parent.parent if path.parent.name == "features" else path.parent
    files = [save_labels(made, out or place / "labels" / f"{path.stem}.safetensors")]
    if npy:
        place = place if out is None else out.parent
        files.append(_write_npy(made, place / "voxel" / f"{path.stem}.npy"))
    return _report(made, files)


def open_grid(path: Path) -> tuple[RadianceGrid, Path]:
    """A grid file (ours or an official ``.npz``), or the one in a run folder; and its path."""
    from maskfield.data.radiance_grid import load_grid
    from maskfield.data.readers.nerf_rpn import read_grid

    path = path / "grid.safetensors" if path.is_dir() else path
    return (read_grid(path) if path.suffix == ".npz" else load_grid(path)), path


def _views(
    scene: Path, *, max_depth: float, classes: str | None, compat: Literal["maskfield", "official"]
) -> tuple[Iterator[LabelledView], tuple[str, ...]]:
    """Labelled views of a scene of ours or of official frames, and the names of the classes."""
    from maskfield.data.config import SceneDataConfig
    from maskfield.data.preparation.class_maps import class_map
    from maskfield.data.preparation.hdf5_frames import DATA, has_frames, keys_of, list_frames
    from maskfield.data.preparation.labelled_views import official_views, scene_views

    if not (scene / "scene.json").is_file() and has_frames(scene):
        first = next(iter(list_frames(scene).values()))
        usual = "nyu40" if DATA in keys_of(first.depth[0]) else "front3d"
        chosen = class_map(classes or usual)
        return official_views(scene, chosen, max_depth=max_depth, compat=compat), chosen.names
    if classes is not None:
        raise ConfigError(
            "a scene of ours brings its own class names",
            field="classes",
            value=classes,
            remedy="leave the option out; it is for official HDF5 frames",
        )
    loaded = SceneDataConfig(path=str(scene)).build()
    return scene_views(loaded, max_depth=max_depth), loaded.class_names


def _write_npy(labels: LabelGrid, path: Path) -> Path:
    import numpy as np

    from maskfield.core.files import atomic_path

    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.save(stream, labels.labels.numpy().astype(np.int64), allow_pickle=False)
    return path


def _report(labels: LabelGrid, files: list[Path]) -> LabelReport:
    counts = labels.counts().tolist()
    named = dict(zip(labels.class_names, counts, strict=True))
    found = {n: c for i, (n, c) in enumerate(named.items()) if c and i != labels.void}
    share = sum(found.values()) / max(sum(counts), 1)
    if not found:
        raise DataError(
            "every voxel is void", file=files[0], field="labels", remedy="check the class map"
        )
    return LabelReport(files=tuple(files), voxels=found, share=share)


def _require(name: str, value: float, good: bool) -> None:
    if not good:
        raise ConfigError("out of range", field=name, value=value, remedy="give more than 0")
