"""How sure a pose is, from the colour differences that are left.

Legend: r colour differences, J their derivatives by a left twist (v, w) of the camera.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from maskfield.geometry.se3 import hat
from maskfield.methods.inerf.motion import TorchMotionView, motion_view
from maskfield.methods.inerf.observation import Observation
from maskfield.methods.inerf.view import FieldView, View

_PRIOR = math.pi  # standard deviation of a pose about which nothing is known: radians, distances
_BLOCKS = 8  # along the photograph's longer side


def pose_covariance(
    view: View,
    observation: Observation,
    pose: Float[Tensor, "3 4"],
    pixels: Int[Tensor, " n"],
    *,
    distance: float,
    noise: float,
) -> Float[Tensor, "6 6"]:
    """Of a left twist (v, w) about the world origin; scene units, radians.

    Colour differences may depend on each other within blocks of the photograph, as they do where
    the field is wrong, but not across: (J^T J)^-1 M (J^T J)^-1 with M = sum over blocks of
    (J^T r)(J^T r)^T, the cluster-robust covariance (Liang and Zeger, 1986). Added are a prior, and
    the step that is left to go.

    Args:
        pixels: at which the colours are compared. distance: to what is seen, scene units.
        noise: colour error that a perfect pose would leave as well.
    """
    moving = motion_view(view) if isinstance(view, FieldView) else TorchMotionView(view)
    answers = moving.moved(view.rays(pose[None], observation.directions(pixels)[None]))
    seen, jacobian = (t.detach().cpu().double() for t in answers)
    difference = seen - observation.colours(pixels).cpu()
    # a twist about the camera centre c: v = v' - w x c, so that J' = J [I, [c]x; 0, I];
    # the prior would mean little about another point
    shift = torch.eye(6, dtype=torch.float64)
    shift[:3, 3:] = hat(pose[:, 3].cpu().double())
    unit = torch.tensor([distance] * 3 + [1.0] * 3, dtype=torch.float64)
    spread = _sandwich(
        jacobian @ shift * unit, difference, _blocks(pixels.cpu(), observation.size), noise
    )
    spread = spread * unit[:, None] * unit
    return (shift @ spread @ shift.T).float()


def _sandwich(
    jacobian: Float[Tensor, "n 3 6"],
    difference: Float[Tensor, "n 3"],
    block: Int[Tensor, " n"],
    noise: float,
) -> Float[Tensor, "6 6"]:
    """Covariance of a twist in units of the prior's standard deviation over ``_PRIOR``."""
    rows = jacobian.flatten(0, 1)
    free = max(len(rows) - 6, 1)
    variance = max(float(difference.square().sum()) / free, noise**2)
    information = rows.T @ rows
    prior = variance * torch.eye(6, dtype=rows.dtype) / _PRIOR**2
    inverse = torch.linalg.inv(information + prior)
    scores = (jacobian * difference[..., None]).sum(1)
    sums = scores.new_zeros(int(block.max()) + 1, 6).index_add_(0, block, scores)
    count = max(int(block.unique().numel()), 2)
    middle = count / (count - 1) * sums.T @ sums + noise**2 * information + variance * prior
    left = inverse @ scores.sum(0)  # the step that Gauss-Newton would still make
    return inverse @ middle @ inverse + torch.outer(left, left)


def _blocks(pixels: Int[Tensor, " n"], size: tuple[int, int]) -> Int[Tensor, " n"]:
    """The square block that each pixel lies in."""
    height, width = size
    side = max(math.ceil(max(height, width) / _BLOCKS), 1)
    across = math.ceil(width / side)
    return pixels // width // side * across + pixels % width // side
