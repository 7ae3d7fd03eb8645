"""What a field says at single points: density, and colour seen in a direction."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from maskfield.core.errors import ConfigError
from maskfield.rendering.field import Field, FieldOutput, RaySamples

AT_ONCE = 1 << 18  # points per call of a light field


def point_samples(points: Float[Tensor, "n 3"], directions: Float[Tensor, "n 3"]) -> RaySamples:
    """Every point as a ray of one sample of unit length."""
    ones = points.new_ones(len(points), 1)
    return RaySamples(
        points=points[:, None], directions=directions[:, None], t=ones, delta=ones, mask=ones > 0
    )


def ask(
    field: Field, points: Float[Tensor, "n 3"], directions: Float[Tensor, "n 3"]
) -> FieldOutput:
    """The field's answer [n, 1] at points seen along unit directions."""
    return field(point_samples(points, directions))


def point_density(
    field: Field, points: Float[Tensor, "n 3"], directions: Float[Tensor, "n 3"] | None = None
) -> Float[Tensor, " n"]:
    """sigma; an alpha field's opacity is taken to be that of a unit step.

    Args:
        directions: unit viewing directions, for fields whose density depends on them; +z unless
            given.

    Raises:
        ConfigError: the field attends along rays and has neither.
    """
    if directions is None:
        directions = points.new_tensor([0.0, 0.0, 1.0]).expand(len(points), 3)
    output = ask(field, points, directions)
    if output.density is not None:
        return output.density[:, 0]
    if output.alpha is None:
        raise ConfigError(
            "this field has neither density nor opacity at a point",
            field="field",
            value=type(field).__name__,
            remedy="extract from a field that does not attend along rays",
        )
    return -torch.log1p(-output.alpha[:, 0].clamp(max=1 - 1e-6))
