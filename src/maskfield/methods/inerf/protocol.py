"""The evaluation protocol of the iNeRF paper: start poses drawn about the true one.

Rotations are about an axis drawn uniformly, by an angle drawn uniformly; translations are uniform
per axis. Both are multiplied from the left, so that a turn moves the camera about the world origin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from maskfield.core.errors import DataError
from maskfield.core.files import StrPath, read_json, write_json
from maskfield.geometry.se3 import compose, inverse, rotation_exp

FORMAT_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class StartRange:
    """How far starts are from the truth.

    Attributes:
        degrees: the angle is uniform in [-degrees, degrees]. units: per axis, uniform in
            [-units, units], scene units. about: "origin" of the world, or the "camera" centre.
    """

    degrees: float = 40.0
    units: float = 0.2
    about: Literal["origin", "camera"] = "origin"


SYNTHETIC = StartRange()
FORWARD_FACING = StartRange(units=0.1)


@dataclass(frozen=True, kw_only=True)
class StartPoses:
    """Runs of an evaluation: which photograph, where its search begins, what would be right.

    Attributes:
        image: [run] index of the photograph. start, true: [run, 3, 4].
    """

    image: Int[Tensor, " run"]
    start: Float[Tensor, "run 3 4"]
    true: Float[Tensor, "run 3 4"]

    def __len__(self) -> int:
        return len(self.image)


def perturbed(
    pose: Float[Tensor, "*n r 4"],
    axis: Float[Tensor, "*n 3"],
    angle: Float[Tensor, "*n"],
    translation: Float[Tensor, "*n 3"],
    about: Literal["origin", "camera"] = "origin",
) -> Float[Tensor, "*n 3 4"]:
    """Trans(t) Rot(axis, angle) T; about "camera" only the orientation turns, t moves the centre.

    Args:
        angle: radians. translation: scene units.
    """
    turn = rotation_exp(F.normalize(axis, dim=-1) * angle[..., None])
    motion = torch.cat([turn, translation[..., None]], dim=-1)
    moved = compose(motion, pose[..., :3, :])
    if about == "origin":
        return moved
    centre = pose[..., :3, 3] + translation
    return torch.cat([moved[..., :3], centre[..., None]], dim=-1)


def euler_perturbed(
    pose: Float[Tensor, "*n r 4"],
    phi: Float[Tensor, "*n"],
    theta: Float[Tensor, "*n"],
    psi: Float[Tensor, "*n"],
    shift: Float[Tensor, "*n"],
    layout: Literal["blender", "llff"] = "blender",
) -> Float[Tensor, "*n 3 4"]:
    """The community's offsets: phi about z, theta about -y, psi about x (radians), ``shift`` in z.

    "blender": Tz Rphi Rtheta Rpsi T. "llff": Rphi Rtheta Rpsi Tz T.
    """
    zero = torch.zeros_like(phi)
    turns = [[zero, zero, phi], [zero, -theta, zero], [psi, zero, zero]]
    rotation = torch.eye(3, dtype=pose.dtype, device=pose.device)
    for turn in turns:
        rotation = rotation @ rotation_exp(torch.stack(turn, dim=-1))
    along = torch.stack([zero, zero, shift], dim=-1)[..., None]
    along = along if layout == "blender" else rotation @ along
    return compose(torch.cat([rotation, along], dim=-1), pose[..., :3, :])


def draw_starts(
    true: Float[Tensor, "image 3 4"],
    each: int,
    spread: StartRange,
    generator: torch.Generator,
) -> StartPoses:
    """``each`` start poses for every true pose."""
    image = torch.arange(len(true)).repeat_interleave(each)
    runs = len(image)
    axis = torch.randn(runs, 3, generator=generator)
    angle = _uniform(runs, 1, generator)[:, 0] * torch.pi / 180 * spread.degrees
    shift = _uniform(runs, 3, generator) * spread.units
    poses = true[image]
    parts = (axis.to(poses), angle.to(poses), shift.to(poses))
    return StartPoses(image=image, start=perturbed(poses, *parts, spread.about), true=poses)


def save_starts(starts: StartPoses, path: StrPath) -> None:
    """Write start poses as JSON, so that other methods search from the same ones."""
    value = {"format_version": FORMAT_VERSION, "image": starts.image.tolist()}
    value |= {k: getattr(starts, k).double().tolist() for k in ("start", "true")}
    write_json(path, value)


def load_starts(path: StrPath) -> StartPoses:
    """Inverse of :func:`save_starts`.

    Raises:
        DataError: missing or damaged file, another format version.
    """
    value: Any = read_json(path)
    if not isinstance(value, dict) or value.get("format_version") != FORMAT_VERSION:
        raise _damaged(path, "another format version")
    try:
        image = torch.tensor(value["image"], dtype=torch.long)
        start, true = (
            torch.tensor(value[k], dtype=torch.float32).reshape(len(image), 3, 4)
            for k in ("start", "true")
        )
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise _damaged(path, repr(error)) from error
    return StartPoses(image=image, start=start, true=true)


def in_data_set_world(
    estimated: Float[Tensor, "*n r 4"],
    source_in_field: Float[Tensor, "r 4"],
    source_in_data: Float[Tensor, "r 4"],
) -> Float[Tensor, "*n 3 4"]:
    """A pose found in a field's own world, in the world of the data set.

    Image-conditioned fields are often searched with a made-up source pose ("the camera stands at
    distance r before the object"): the estimate is then relative to that pose, not to the data.

    Args:
        source_in_field: the source pose the field was prepared with.
        source_in_data: the same source's pose in the data set.
    """
    relative = compose(inverse(source_in_field[..., :3, :]), estimated[..., :3, :])
    return compose(source_in_data[..., :3, :], relative)


def scaled_range(spread: StartRange, unit: float) -> StartRange:
    """The same range where one unit of the protocol is ``unit`` scene units."""
    return StartRange(degrees=spread.degrees, units=spread.units * unit, about=spread.about)


def _uniform(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    """Uniform in [-1, 1)."""
    return 2 * torch.rand(rows, columns, generator=generator) - 1


def _damaged(path: StrPath, problem: str) -> DataError:
    return DataError(
        f"the start poses cannot be read: {problem}",
        file=path,
        remedy="draw them again with this release",
    )
