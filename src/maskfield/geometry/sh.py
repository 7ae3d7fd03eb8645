"""Real spherical harmonics up to degree 3, in the order and signs of published radiance fields.

Column l * l + l + m holds Y_l^m with the Condon-Shortley phase: degree 1 is (-y, z, -x) times its
constant. Orthonormal over the sphere.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from maskfield.core.errors import ConfigError

MAX_DEGREE = 3
C0 = 0.28209479177387814  # 1 / (2 sqrt(pi))
C1 = 0.4886025119029199  # sqrt(3 / (4 pi))
C2 = (
    1.0925484305920792,  # sqrt(15 / pi) / 2
    0.31539156525252005,  # sqrt(5 / pi) / 4
    0.5462742152960396,  # sqrt(15 / pi) / 4
)
C3 = (
    0.5900435899266435,  # sqrt(35 / (2 pi)) / 4
    2.890611442640554,  # sqrt(105 / pi) / 2
    0.4570457994644658,  # sqrt(21 / (2 pi)) / 4
    0.3731763325901154,  # sqrt(7 / pi) / 4
    1.445305721320277,  # sqrt(105 / pi) / 4
)


def sh_size(degree: int) -> int:
    """Number of basis functions up to ``degree``: (degree + 1)²."""
    if not 0 <= degree <= MAX_DEGREE:
        raise ConfigError(
            "spherical harmonics are built for degrees 0 to 3",
            field="degree",
            value=degree,
            remedy="choose 0, 1, 2 or 3",
        )
    return (degree + 1) ** 2


def sh_basis(directions: Float[Tensor, "*n 3"], degree: int) -> Float[Tensor, "*n basis"]:
    """Basis functions at unit ``directions``; differentiable.

    Raises:
        ConfigError: degree outside 0..3.
    """
    size = sh_size(degree)
    x, y, z = directions.unbind(-1)
    columns = [torch.full_like(x, C0)]
    if degree >= 1:
        columns += [-C1 * y, C1 * z, -C1 * x]
    if degree >= 2:
        columns += _degree_2(x, y, z)
    if degree >= 3:
        columns += _degree_3(x, y, z)
    assert len(columns) == size
    return torch.stack(columns, dim=-1)


def sh_slopes(directions: Float[Tensor, "*n 3"], degree: int) -> Float[Tensor, "*n basis 3"]:
    """Derivatives of :func:`sh_basis` by the direction's components."""
    with torch.enable_grad():
        given = directions.detach().requires_grad_()
        columns = sh_basis(given, degree).unbind(-1)[1:]  # the first one is constant
        rows = [torch.autograd.grad(c.sum(), given, retain_graph=True)[0] for c in columns]
    return torch.stack([torch.zeros_like(directions), *rows], dim=-2)


def sh_value(
    coefficients: Float[Tensor, "*n channel basis"], directions: Float[Tensor, "*n 3"]
) -> Float[Tensor, "*n channel"]:
    """sum_b coefficient_b Y_b(direction); the degree follows from the number of coefficients."""
    degree = round(coefficients.shape[-1] ** 0.5) - 1
    return (coefficients * sh_basis(directions, degree)[..., None, :]).sum(-1)


def _degree_2(x: Tensor, y: Tensor, z: Tensor) -> list[Tensor]:
    return [
        C2[0] * x * y,
        -C2[0] * y * z,
        C2[1] * (2 * z * z - x * x - y * y),
        -C2[0] * x * z,
        C2[2] * (x * x - y * y),
    ]


def _degree_3(x: Tensor, y: Tensor, z: Tensor) -> list[Tensor]:
    xx, yy, zz = x * x, y * y, z * z
    return [
        -C3[0] * y * (3 * xx - yy),
        C3[1] * x * y * z,
        -C3[2] * y * (4 * zz - xx - yy),
        C3[3] * z * (2 * zz - 3 * xx - 3 * yy),
        -C3[2] * x * (4 * zz - xx - yy),
        C3[4] * z * (xx - yy),
        -C3[0] * x * (xx - 3 * yy),
    ]
