"""The same place on finer voxels: a grid, pictures before and after."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maskfield.core.files import StrPath
    from maskfield.data.radiance_grid import RadianceGrid
    from maskfield.verbs.given import Given


@dataclass(frozen=True, kw_only=True)
class FinerGrid:
    """A grid and its finer answer.

    Attributes:
        grid: the same box on finer voxels. before: voxels of what was given.
        files: written, ``grid.safetensors`` first.
    """

    grid: RadianceGrid
    before: tuple[int, int, int]
    files: tuple[Path, ...]

    def text(self) -> str:
        """For people."""
        old, new = (" x ".join(map(str, s)) for s in (self.before, self.grid.resolution))
        return f"voxels: {old} -> {new}"


def superresolve_grid(
    source: StrPath,
    folder: Path,
    *,
    model: StrPath | None,
    scene: StrPath | None,
    figures: bool,
    device: str,
) -> FinerGrid:
    """See :func:`maskfield.api.superres`."""
    from maskfield.core.runs import probe
    from maskfield.data.radiance_grid import save_grid
    from maskfield.methods.nerf_mae.predict import super_resolve
    from maskfield.verbs.given import open_given
    from maskfield.verbs.models import load_superres

    loaded = load_superres(model, device)
    side = loaded.method.base.resolution
    given = open_given(source, scene=scene, longest=side)
    probe(folder)
    fine = super_resolve(
        loaded.model,
        given.grid,
        resolution=side,
        learned_alpha=loaded.method.alpha_weight > 0,
        file=given.file,
    )
    files = [save_grid(fine, folder / "grid.safetensors")]
    if figures:
        files += _draw(given, fine, folder, loaded.name)
    return FinerGrid(grid=fine, before=given.grid.resolution, files=tuple(files))


def _draw(given: Given, fine: RadianceGrid, folder: Path, model: str) -> list[Path]:
    from maskfield.figures.grids import grid_picture, grid_slices
    from maskfield.figures.pictures import save_picture, table_of
    from maskfield.figures.report import Figure, Section
    from maskfield.verbs.answers import write_answer

    both = (given.grid, fine)
    views = [
        [grid_picture(g, view=v, width=480, height=400) for v in ("top", "corner")] for g in both
    ]
    slices = [[grid_slices(g)] for g in both]
    pictures = {
        "before-after-views.png": table_of(views, labels=("given", "finer")),
        "before-after-slices.png": table_of(slices, labels=("given", "finer")),
    }
    for name, picture in pictures.items():
        save_picture(picture, folder / name)
    old, new = (" x ".join(map(str, g.resolution)) for g in both)
    captions = ("from above and in perspective", "cuts through the middle, normal to x, y and z")
    section = Section(
        title="Finer voxels",
        numbers={"given": old, "finer": new},
        figures=[
            Figure(picture=folder / n, caption=c) for n, c in zip(pictures, captions, strict=True)
        ],
    )
    return [
        *(folder / n for n in pictures),
        write_answer("a finer grid", given, model, [section], folder),
    ]
