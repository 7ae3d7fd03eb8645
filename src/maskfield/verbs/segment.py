"""A class for every voxel of one grid: label grid, legend, pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maskfield.core.files import StrPath
    from maskfield.data.label_grid import LabelGrid
    from maskfield.verbs.given import Given


@dataclass(frozen=True, kw_only=True)
class Segmentation:
    """What every voxel is.

    Attributes:
        labels: on the grid's own voxels. files: written, ``labels.safetensors`` first.
    """

    labels: LabelGrid
    files: tuple[Path, ...]

    def text(self) -> str:
        """For people."""
        found = voxels_of(self.labels)
        total = sum(found.values())
        rows = [f"  {name:<14} {n:>9}  {n / total:6.1%}" for name, n in found.items()]
        return "\n".join([f"labelled: {total} voxels, {len(found)} classes", *rows])


def segment_grid(
    source: StrPath,
    folder: Path,
    *,
    model: StrPath,
    scene: StrPath | None,
    figures: bool,
    device: str,
) -> Segmentation:
    """See :func:`maskfield.api.segment`."""
    from maskfield.core.files import write_json
    from maskfield.core.runs import probe
    from maskfield.data.label_grid import save_labels
    from maskfield.methods.nerf_mae.predict import segment
    from maskfield.verbs.given import open_given
    from maskfield.verbs.models import load_semantic

    loaded = load_semantic(model, device)
    side = loaded.method.base.resolution
    given = open_given(source, scene=scene, longest=side)
    probe(folder)
    names = loaded.method.class_names
    labels = segment(loaded.model, names, given.grid, resolution=side, file=given.file)
    files = [save_labels(labels, folder / "labels.safetensors"), folder / "legend.json"]
    write_json(files[1], legend(labels))
    if figures:
        files += _draw(given, labels, folder, loaded.name)
    return Segmentation(labels=labels, files=tuple(files))


def voxels_of(labels: LabelGrid) -> dict[str, int]:
    """Voxels of each class that occurs, most first; void is left out."""
    counts = enumerate(labels.counts().tolist())
    found = [(n, labels.class_names[i]) for i, n in counts if n and i != labels.void]
    return {name: n for n, name in sorted(found, key=lambda row: -row[0])}


def legend(labels: LabelGrid) -> dict[str, object]:
    """What the ids mean: name, colour in the pictures, voxels."""
    from maskfield.figures.labels import class_colours

    rows = zip(labels.class_names, class_colours(labels), labels.counts().tolist(), strict=True)
    return {
        "void": labels.void,
        "classes": [
            {"id": i, "name": name, "colour": colour, "voxels": n}
            for i, (name, colour, n) in enumerate(rows)
        ],
    }


def _draw(given: Given, labels: LabelGrid, folder: Path, model: str) -> list[Path]:
    from maskfield.figures.grids import grid_picture
    from maskfield.figures.labels import label_views
    from maskfield.figures.pictures import beside, save_picture
    from maskfield.figures.report import Figure, Section
    from maskfield.verbs.answers import write_answer

    pictures = {
        "labels-views.png": (label_views(labels), "the classes, opened towards the camera"),
        "grid-views.png": (
            beside(
                [grid_picture(given.grid, view=v, width=480, height=400) for v in ("top", "corner")]
            ),
            "the grid itself",
        ),
    }
    for name, (picture, _) in pictures.items():
        save_picture(picture, folder / name)
    found = voxels_of(labels)
    section = Section(
        title="Classes",
        numbers={"labelled voxels": str(sum(found.values())), "classes": str(len(found))},
        table=[("class", "voxels"), *((name, str(n)) for name, n in found.items())],
        figures=[Figure(picture=folder / n, caption=c) for n, (_, c) in pictures.items()],
    )
    report = write_answer("classes", given, model, [section], folder)
    return [*(folder / n for n in pictures), report]
