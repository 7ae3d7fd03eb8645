"""LabelGrid: one class id per voxel, with the frame header of the radiance grid it belongs to."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from maskfield.core.errors import GridError
from maskfield.core.files import StrPath, atomic_path
from maskfield.data.radiance_grid import RadianceGrid

FORMAT_VERSION = 1
_KIND = "LabelGrid"


@dataclass(frozen=True, kw_only=True)
class LabelGrid:
    """Class ids on a grid; voxel (i, j, k) has its centre at (index + 0.5) / n of the box.

    Attributes:
        labels: [x, y, z] class ids, int16.
        class_names: index = id.
        box: [2, 3] world-frame min and max.
        void: the id that means "unknown or empty"; ignored by losses and metrics.
        unit_length_m: metres per scene unit, or None.
        ngp_scale, ngp_offset: instant-ngp normalisation, p_ngp = p * scale + offset, when known.
        from_mitsuba: instant-ngp axis flag of official grids.
    """

    labels: Int[Tensor, "x y z"]
    class_names: tuple[str, ...]
    box: Float[Tensor, "2 3"]
    void: int = 0
    unit_length_m: float | None = None
    ngp_scale: float | None = None
    ngp_offset: tuple[float, float, float] | None = None
    from_mitsuba: bool = False

    @property
    def resolution(self) -> tuple[int, int, int]:
        x, y, z = self.labels.shape
        return x, y, z

    def labelled(self) -> Bool[Tensor, "x y z"]:
        """Where a class is known."""
        return self.labels != self.void

    def counts(self) -> Int[Tensor, " class"]:
        """Voxels per class."""
        return torch.bincount(self.labels.reshape(-1).long(), minlength=len(self.class_names))

    def validated(self, file: str | None = None) -> LabelGrid:
        """This grid, after refusing wrong shapes, unknown ids and a bad box.

        Raises:
            GridError: names the field and value that is wrong.
        """
        _check(self, file)
        return self

    def matches(self, grid: RadianceGrid) -> LabelGrid:
        """This, after making sure that it lies on the voxels of ``grid``.

        Raises:
            GridError: another resolution or box.
        """
        same_box = torch.allclose(self.box, grid.box, atol=1e-4 * float(grid.box.abs().max()))
        if self.resolution != grid.resolution or not same_box:
            raise GridError(
                "labels and radiance lie on different voxels",
                field="resolution, box",
                value=(self.resolution, grid.resolution, self.box.tolist(), grid.box.tolist()),
                remedy="make both with the same box and resolution",
            )
        return self


def save_labels(grid: LabelGrid, path: StrPath) -> Path:
    """Write ``.safetensors`` atomically: ids as uint8 where they fit, else int16."""
    path = Path(path)
    grid.validated(str(path))
    dtype = torch.uint8 if int(grid.labels.max()) < 256 else torch.int16
    tensors = {"labels": grid.labels.to(dtype).contiguous(), "box": grid.box.double().contiguous()}
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(tensors, {"maskfield": json.dumps(_header(grid))}))
    return path


def load_labels(path: StrPath) -> LabelGrid:
    """Read a grid written by :func:`save_labels`; ids come back as int16.

    Raises:
        GridError: missing, damaged, another kind of file or format version.
    """
    try:
        with safe_open(path, framework="pt") as stream:
            header = json.loads((stream.metadata() or {}).get("maskfield", "{}"))
            tensors = {k: stream.get_tensor(k) for k in stream.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, ValueError) as error:
        raise GridError(
            f"cannot open the label grid: {error}", file=path, remedy="check the path"
        ) from error
    found = header.get("kind"), header.get("format_version")
    if found != (_KIND, FORMAT_VERSION):
        raise GridError(
            "not a LabelGrid of this format version",
            file=path,
            field="kind, format_version",
            value=found,
            remedy="make the labels again with this release",
        )
    try:
        grid = _from_header(header, tensors)
    except (KeyError, TypeError, AttributeError) as error:
        raise GridError(
            f"the header of the label grid is damaged: {error!r}",
            file=path,
            remedy="make the labels again",
        ) from error
    return grid.validated(str(path))


def _from_header(header: dict[str, Any], tensors: dict[str, Tensor]) -> LabelGrid:
    offset = header["ngp_offset"]
    return LabelGrid(
        labels=tensors["labels"].to(torch.int16),
        class_names=tuple(header["class_names"]),
        box=tensors["box"].float(),
        void=header["void"],
        unit_length_m=header["unit_length_m"],
        ngp_scale=header["ngp_scale"],
        ngp_offset=None if offset is None else tuple(offset),
        from_mitsuba=header["from_mitsuba"],
    )


def _header(grid: LabelGrid) -> dict[str, object]:
    return {
        "format_version": FORMAT_VERSION,
        "kind": _KIND,
        "class_names": list(grid.class_names),
        "void": grid.void,
        "unit_length_m": grid.unit_length_m,
        "ngp_scale": grid.ngp_scale,
        "ngp_offset": grid.ngp_offset,
        "from_mitsuba": grid.from_mitsuba,
    }


def _check(grid: LabelGrid, file: str | None) -> None:
    labels, classes = grid.labels, len(grid.class_names)
    if labels.ndim != 3 or labels.numel() == 0 or labels.dtype.is_floating_point:
        raise GridError(
            "labels must be integers [x, y, z], not empty",
            file=file,
            field="labels",
            value=(tuple(labels.shape), str(labels.dtype)),
            remedy="give one class id per voxel",
        )
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise GridError(
            "a class id has no name",
            file=file,
            field="labels, class_names",
            value=f"ids {low} to {high}, {classes} names",
            remedy="give a name for every id (index = id)",
        )
    if not (torch.isfinite(grid.box).all() and (grid.box[1] > grid.box[0]).all()):
        raise GridError(
            "the box is empty or not finite",
            file=file,
            field="box",
            value=grid.box.tolist(),
            remedy="give min < max on every axis",
        )
