"""Official files to ours and back. Which conversion is meant follows from the two suffixes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from maskfield.core.errors import ConfigError
from maskfield.verbs.weights import has_official_name, weights_in, weights_out

if TYPE_CHECKING:
    from maskfield.data.config import DensityRule

OURS = ".safetensors"
_KNOWN = (
    "grid.npz grid.safetensors | grid.safetensors grid.npz | official.pt weights.safetensors | "
    "RUN official.pt | weights.safetensors official.pt | pixel_nerf_latest weights.safetensors | "
    "RUN pixel_nerf_latest"
)


def convert_file(source: Path, out: Path, *, density: DensityRule, recipe: str | None) -> str:
    """See :func:`maskfield.api.convert`."""
    target = out.suffix.lower()
    if source.suffix.lower() == ".npz" and target == OURS:
        return _grid_in(source, out, density)
    if source.suffix.lower() == OURS and target == ".npz":
        return _grid_out(source, out)
    if has_official_name(source) and target == OURS:
        return weights_in(source, out, recipe)
    if has_official_name(out) and (source.is_dir() or source.suffix.lower() in ("", OURS)):
        return weights_out(source, out)
    raise ConfigError(
        "no such conversion",
        file=source,
        field="source, out",
        value=(source.name, out.name),
        remedy=f"known: {_KNOWN}",
    )


def _grid_in(source: Path, out: Path, density: DensityRule) -> str:
    from maskfield.data.radiance_grid import save_grid
    from maskfield.data.readers.nerf_rpn import read_grid

    grid = read_grid(source, density=density)
    save_grid(grid, out)
    return f"grid {'x'.join(map(str, grid.resolution))}, density {grid.density_kind}"


def _grid_out(source: Path, out: Path) -> str:
    from maskfield.data.radiance_grid import load_grid
    from maskfield.data.writers import write_nerf_rpn_npz

    grid = load_grid(source)
    write_nerf_rpn_npz(grid, out)
    return f"grid {'x'.join(map(str, grid.resolution))}, density {grid.density_kind}"
