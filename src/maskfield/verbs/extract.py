"""A fitted field on voxels: the grid, and its other forms."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from maskfield.core.errors import ConfigError

if TYPE_CHECKING:
    from maskfield.core.files import StrPath
    from maskfield.data.radiance_grid import RadianceGrid


def extract_from_run(
    field: Path,
    *,
    out: StrPath | None,
    longest: int,
    scene: StrPath | None,
    ply: bool,
    npz: bool,
    mesh: Literal["obj", "ply"] | None,
    mesh_level: float | None,
    figures: bool,
) -> list[Path]:
    """See :func:`maskfield.api.extract`."""
    from maskfield.data.radiance_grid import save_grid
    from maskfield.fields.extract import extract_grid, write_ply
    from maskfield.fields.fit import load_field
    from maskfield.fields.mesh import require_skimage
    from maskfield.verbs.runs import run_folder_of, scene_of_run

    if not 8 <= longest <= 1024:
        raise ConfigError(
            "out of range", field="longest", value=longest, remedy="give 8 to 1024 voxels"
        )
    if mesh is not None:
        require_skimage()
    loaded = load_field(field)
    grid = extract_grid(loaded, scene_of_run(field, scene), longest=longest)
    target = Path(out) if out is not None else run_folder_of(field) / "grid.safetensors"
    written = [save_grid(grid, target)]
    if ply:
        written.append(Path(write_ply(grid, target.with_suffix(".ply"))))
    if npz:
        written.append(_as_npz(grid, target.with_suffix(".npz")))
    if mesh is not None:
        written.append(_as_mesh(grid, target.with_name(f"{target.stem}-mesh.{mesh}"), mesh_level))
    if figures:
        written += draw_grid(grid, target.with_suffix(""))
    return written


def draw_grid(grid: RadianceGrid, stem: Path) -> list[Path]:
    """``STEM-views.png`` (from a corner, above and a side) and ``STEM-slices.png``."""
    from maskfield.figures.grids import grid_picture, grid_slices
    from maskfield.figures.pictures import beside, save_picture

    views = [grid_picture(grid, view=v) for v in ("corner", "top", "side")]
    written = {
        stem.with_name(f"{stem.name}-views.png"): beside(views, ("corner", "above", "side")),
        stem.with_name(f"{stem.name}-slices.png"): grid_slices(grid),
    }
    for path, picture in written.items():
        save_picture(picture, path)
    return list(written)


def _as_npz(grid: RadianceGrid, path: Path) -> Path:
    from maskfield.data.writers import write_nerf_rpn_npz

    return write_nerf_rpn_npz(grid, path)


def _as_mesh(grid: RadianceGrid, path: Path, level: float | None) -> Path:
    """The grid's surface, in the colours that the photographs' cameras see."""
    from maskfield.fields.mesh import field_mesh
    from maskfield.fields.mesh_files import write_mesh
    from maskfield.rendering.grid_field import GridField

    field = GridField(grid.colour(), grid.sigma(), grid.box)
    mesh = field_mesh(field, grid.box, longest=max(grid.resolution), level=level)
    return write_mesh(mesh, path)
