"""How far estimated camera poses are from the true ones, and how often they are near enough."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from maskfield.core.errors import DataError

DEGREES, UNITS = 5.0, 0.05  # the thresholds of the iNeRF paper


def rotation_error(
    estimated: Float[Tensor, "*n r1 4"], true: Float[Tensor, "*m r2 4"]
) -> Float[Tensor, "*k"]:
    """Geodesic angle in degrees, [0, 180], of R_est R_true^T; accurate near 0 as well.

    A rotation part that is not quite a rotation (a matrix optimised freely) is measured as it is.
    """
    turn = estimated[..., :3, :3] @ true[..., :3, :3].transpose(-1, -2)
    skew = turn - turn.transpose(-1, -2)
    axis = torch.stack([skew[..., 2, 1], skew[..., 0, 2], skew[..., 1, 0]], dim=-1)
    cosine = (turn.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2
    return torch.rad2deg(torch.atan2(axis.norm(dim=-1) / 2, cosine))


def translation_error(
    estimated: Float[Tensor, "*n r1 4"], true: Float[Tensor, "*m r2 4"]
) -> Float[Tensor, "*k"]:
    """Distance of the camera centres, scene units."""
    return (estimated[..., :3, 3] - true[..., :3, 3]).norm(dim=-1)


def succeeded(
    degrees: Float[Tensor, "*n"],
    units: Float[Tensor, "*n"],
    *,
    within_degrees: float = DEGREES,
    within_units: float = UNITS,
) -> Bool[Tensor, "*n"]:
    """Both errors below their thresholds; NaN is no success."""
    return (degrees < within_degrees) & (units < within_units)


@dataclass(frozen=True, kw_only=True)
class PoseScore:
    """A set of runs in figures.

    Attributes:
        runs: how many. success: share below both thresholds; rotation, translation: below one.
        median_degrees, median_units, mean_degrees, mean_units: of the errors.
    """

    runs: int
    success: float
    rotation: float
    translation: float
    median_degrees: float
    median_units: float
    mean_degrees: float
    mean_units: float


def pose_score(
    estimated: Float[Tensor, "run r1 4"],
    true: Float[Tensor, "run r2 4"],
    *,
    within_degrees: float = DEGREES,
    within_units: float = UNITS,
) -> PoseScore:
    """Errors of many runs together.

    Raises:
        DataError: no run, or not one true pose per estimate.
    """
    if len(estimated) != len(true) or len(estimated) == 0:
        raise DataError(
            "poses can be scored only in pairs",
            field="estimated, true",
            value=(len(estimated), len(true)),
            remedy="give one true pose per estimate, at least one",
        )
    degrees = rotation_error(estimated.double(), true.double())
    units = translation_error(estimated.double(), true.double())
    good = succeeded(degrees, units, within_degrees=within_degrees, within_units=within_units)
    return PoseScore(
        runs=len(true),
        success=float(good.double().mean()),
        rotation=float((degrees < within_degrees).double().mean()),
        translation=float((units < within_units).double().mean()),
        median_degrees=float(degrees.quantile(0.5)),
        median_units=float(units.quantile(0.5)),
        mean_degrees=float(degrees.mean()),
        mean_units=float(units.mean()),
    )


def success_curve(
    degrees: Float[Tensor, "run step"],
    units: Float[Tensor, "run step"],
    *,
    within_degrees: float = DEGREES,
    within_units: float = UNITS,
) -> Float[Tensor, " step"]:
    """Share of the runs that are within both thresholds at each step."""
    good = succeeded(degrees, units, within_degrees=within_degrees, within_units=within_units)
    return good.to(degrees.dtype).mean(0)


def held_to(
    values: Float[Tensor, "run step"], at: Float[Tensor, "run step"], grid: Float[Tensor, " time"]
) -> Float[Tensor, "run time"]:
    """Each run's values on a common time axis: the latest at or before each time.

    Before a run's first value its first one holds, after its last one the last. With seconds as
    ``at`` this turns curves over steps into curves over time.
    """
    index = torch.searchsorted(at.contiguous(), grid.expand(len(at), -1).contiguous(), right=True)
    return values.gather(1, (index - 1).clamp_min(0))
