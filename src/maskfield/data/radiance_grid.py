"""RadianceGrid: colour and density of a scene on a voxel grid, in one ``.safetensors`` file.

Density is stored as ``raw`` (network output before its activation), ``sigma`` (1 / scene unit) or
``alpha`` (opacity of one step ``delta``); the header says which, so nothing is guessed later.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float, Num
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from maskfield.core.errors import GridError
from maskfield.core.files import StrPath, atomic_path

FORMAT_VERSION = 1
DensityKind = Literal["raw", "sigma", "alpha"]
Activation = Literal["none", "exp", "relu", "softplus"]
NERF_MAE_STEP = 0.01  # spec nerf_mae 2.2: delta in instant-ngp units
_EXP_LIMIT = 88.0  # exp of more overflows float32
_COLOUR_LIMIT = 10.0  # beyond rounding and overshoot: 8-bit colours stored as floats

_ACTIVATIONS = {
    "none": lambda d: d,
    "exp": torch.exp,
    "relu": torch.relu,
    "softplus": torch.nn.functional.softplus,
}


@dataclass(frozen=True, kw_only=True)
class RadianceGrid:
    """Colour and density on a grid; voxel (i, j, k) has its centre at (index + 0.5) / n of the box.

    Attributes:
        rgb: [3, x, y, z] in [0, 1] (float) or uint8 in 0..255.
        density: [1, x, y, z]; see ``density_kind``. uint8 only for alpha.
        box: [2, 3] world-frame min and max.
        density_kind: "raw", "sigma" (1 / scene unit) or "alpha".
        activation: what turns raw into sigma ("none" unless raw).
        delta: step length alpha stands for, in instant-ngp units (0.01 for the official rule).
        unit_length_m: metres per scene unit, or None.
        ngp_scale, ngp_offset: instant-ngp normalisation, p_ngp = p * scale + offset, when known.
        from_mitsuba: instant-ngp axis flag of official grids.
    """

    rgb: Num[Tensor, "3 x y z"]
    density: Num[Tensor, "1 x y z"]
    box: Float[Tensor, "2 3"]
    density_kind: DensityKind
    activation: Activation = "none"
    delta: float = NERF_MAE_STEP
    unit_length_m: float | None = None
    ngp_scale: float | None = None
    ngp_offset: tuple[float, float, float] | None = None
    from_mitsuba: bool = False

    @property
    def resolution(self) -> tuple[int, int, int]:
        _, x, y, z = self.rgb.shape
        return x, y, z

    def colour(self) -> Float[Tensor, "3 x y z"]:
        """float32 colour in [0, 1]."""
        return self.rgb.float() / 255 if self.rgb.dtype == torch.uint8 else self.rgb.float()

    def sigma(self) -> Float[Tensor, "1 x y z"]:
        """Density after its activation, float32; per scene unit, raw grids per instant-ngp unit.

        Raises:
            GridError: an alpha grid, which holds no density.
        """
        if self.density_kind == "alpha":
            raise GridError(
                "an alpha grid holds no density",
                field="density_kind",
                value="alpha",
                remedy="extract the grid again with density_kind='sigma'",
            )
        return _ACTIVATIONS[self.activation](self.density.float())

    def to_alpha(self, rule: Literal["nerf_mae"] = "nerf_mae") -> Float[Tensor, "1 x y z"]:
        """Opacity of one step, the official rule: alpha = clip(1 - exp(-sigma_ngp * 0.01), 0, 1).

        "raw" grids are in instant-ngp units already. "sigma" grids are per scene unit and are
        converted with ``ngp_scale`` (sigma_ngp = sigma / ngp_scale).

        Raises:
            GridError: a sigma grid without ``ngp_scale``.
        """
        if rule != "nerf_mae":
            raise GridError("unknown rule", field="rule", value=rule, remedy="use rule='nerf_mae'")
        if self.density_kind == "alpha":
            d = self.density
            return d.float() / 255 if d.dtype == torch.uint8 else d.float()
        sigma = self.sigma()
        if self.density_kind == "sigma":
            sigma = sigma / self._required_scale()
        return (1 - torch.exp(-sigma * NERF_MAE_STEP)).clamp(0, 1)

    def rgba(self) -> Float[Tensor, "4 x y z"]:
        """Network input: colour and alpha, float32."""
        return torch.cat([self.colour(), self.to_alpha()], dim=0)

    def validated(self, file: str | None = None) -> RadianceGrid:
        """This grid, after refusing wrong shapes, NaN, empty and constant content, values that
        the stated kind of density or a colour cannot have.

        Raises:
            GridError: names the field and value that is wrong.
        """
        _check_grid(self, file)
        return self

    def _required_scale(self) -> float:
        if self.ngp_scale is None:
            raise GridError(
                "the official alpha rule needs instant-ngp units; the grid gives no scale",
                field="ngp_scale",
                value=None,
                remedy="set ngp_scale (ngp units per scene unit; 1.5 / longest room side in HM3D)",
            )
        return self.ngp_scale


def save_grid(grid: RadianceGrid, path: StrPath) -> Path:
    """Write ``.safetensors`` atomically: colour fp16 or uint8; density fp16 (alpha: uint8)."""
    path = Path(path)
    grid.validated(str(path))
    tensors = {"rgb": _stored(grid.rgb), "density": _stored(grid.density), "box": grid.box.double()}
    packed = save({k: v.contiguous() for k, v in tensors.items()}, _metadata(grid))
    with atomic_path(path) as temporary:
        temporary.write_bytes(packed)  # save_file has its own error for a full disk
    return path


def load_grid(path: StrPath) -> RadianceGrid:
    """Read a grid written by :func:`save_grid`; tensors keep their stored dtype.

    Raises:
        GridError: missing, damaged, another kind of file or format version.
    """
    path = Path(path)
    try:
        with safe_open(path, framework="pt") as stream:
            metadata = stream.metadata() or {}
            tensors = {k: stream.get_tensor(k) for k in stream.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise GridError(
            f"cannot open the grid: {error}", file=path, remedy="check the path; extract it again"
        ) from error
    try:
        grid = _grid_from(tensors, metadata, path)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise GridError(
            f"the header of the grid is damaged: {error!r}", file=path, remedy="extract it again"
        ) from error
    return grid.validated(str(path))


def _metadata(grid: RadianceGrid) -> dict[str, str]:
    header = {
        "format_version": FORMAT_VERSION,
        "kind": "RadianceGrid",
        "density_kind": grid.density_kind,
        "activation": grid.activation,
        "delta": grid.delta,
        "unit_length_m": grid.unit_length_m,
        "ngp_scale": grid.ngp_scale,
        "ngp_offset": grid.ngp_offset,
        "from_mitsuba": grid.from_mitsuba,
    }
    return {"maskfield": json.dumps(header)}


def _grid_from(tensors: dict[str, Tensor], metadata: dict[str, str], path: Path) -> RadianceGrid:
    header: dict[str, Any] = json.loads(metadata.get("maskfield", "{}"))
    if header.get("kind") != "RadianceGrid" or header.get("format_version") != FORMAT_VERSION:
        raise GridError(
            "not a RadianceGrid of this format version",
            file=path,
            field="kind, format_version",
            value=(header.get("kind"), header.get("format_version")),
            remedy="read NeRF-RPN .npz with `maskfield convert`; extract old grids again",
        )
    offset = header["ngp_offset"]
    return RadianceGrid(
        rgb=tensors["rgb"],
        density=tensors["density"],
        box=tensors["box"].float(),
        density_kind=header["density_kind"],
        activation=header["activation"],
        delta=header["delta"],
        unit_length_m=header["unit_length_m"],
        ngp_scale=header["ngp_scale"],
        ngp_offset=None if offset is None else tuple(offset),
        from_mitsuba=header["from_mitsuba"],
    )


def _stored(tensor: Tensor) -> Tensor:
    return tensor if tensor.dtype == torch.uint8 else tensor.half()


def _check_grid(grid: RadianceGrid, file: str | None) -> None:
    if grid.rgb.shape[1:] != grid.density.shape[1:] or min(grid.resolution) < 1:
        raise GridError(
            "colour and density must share one non-empty shape",
            file=file,
            field="rgb, density",
            value=(tuple(grid.rgb.shape), tuple(grid.density.shape)),
            remedy="give rgb [3, x, y, z] and density [1, x, y, z]",
        )
    if grid.density.dtype == torch.uint8 and grid.density_kind != "alpha":
        raise GridError(
            "8-bit density cannot hold raw density or sigma",
            file=file,
            field="density",
            value=grid.density_kind,
            remedy="store density as fp16, or convert to alpha before going to 8 bits",
        )
    density = grid.density.float()
    if not (torch.isfinite(density).all() and torch.isfinite(grid.rgb.float()).all()):
        raise GridError(
            "the grid holds NaN or infinity",
            file=file,
            field="rgb, density",
            remedy="extract the grid again; fp16 overflows above 65504",
        )
    if float(density.amin()) == float(density.amax()):
        raise GridError(
            "the density is constant: the grid shows nothing",
            file=file,
            field="density",
            value=float(density.amin()),
            remedy="fit the scene longer, or check the box and the activation",
        )
    _check_ranges(grid, density, file)


def _check_ranges(grid: RadianceGrid, density: Tensor, file: str | None) -> None:
    if grid.activation not in _ACTIVATIONS or grid.density_kind not in ("raw", "sigma", "alpha"):
        raise GridError(
            "unknown kind of density or activation",
            file=file,
            field="density_kind, activation",
            value=(grid.density_kind, grid.activation),
            remedy=f"use raw, sigma or alpha; activations are {sorted(_ACTIVATIONS)}",
        )
    low, high = float(density.amin()), float(density.amax())
    exp = grid.density_kind == "raw" and grid.activation == "exp"
    alpha = grid.density_kind == "alpha" and grid.density.dtype != torch.uint8
    if (alpha and (low < 0 or high > 1)) or (exp and high > _EXP_LIMIT):
        raise GridError(
            "the density does not suit its activation: "
            + ("exp of it overflows" if exp else "alpha lies in [0, 1]"),
            file=file,
            field=f"density ({grid.density_kind}, activation {grid.activation})",
            value=f"{low:.4g} to {high:.4g}",
            remedy="say what the values are: raw with exp or relu, sigma, or alpha",
        )
    colour = grid.rgb.float()
    if grid.rgb.dtype != torch.uint8 and float(colour.abs().amax()) > _COLOUR_LIMIT:
        raise GridError(
            "colours lie in [0, 1]",
            file=file,
            field="rgb",
            value=f"{float(colour.amin()):.4g} to {float(colour.amax()):.4g}",
            remedy="divide 8-bit colours by 255, or store them as uint8",
        )
