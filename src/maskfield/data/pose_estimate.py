"""PoseEstimate: where a photograph was taken, how sure that is, how it was found; JSON on disk."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from maskfield.core.errors import DataError
from maskfield.core.files import StrPath, read_json, write_json
from maskfield.geometry.cameras import check_poses
from maskfield.geometry.se3 import hat

FORMAT_VERSION = 1
CONVENTION = "OpenCV camera-to-world; covariance of a left twist (v, w) about the world origin"
Verdict = Literal["converged", "ambiguous", "failed"]


@dataclass(frozen=True, kw_only=True)
class PoseTrace:
    """How a pose was found, step by step.

    Attributes:
        losses: [step]. poses: [step, 3, 4], the pose that had that loss. seconds: [step] since the
            search began.
    """

    losses: Float[Tensor, " step"]
    poses: Float[Tensor, "step 3 4"]
    seconds: Float[Tensor, " step"]

    def __len__(self) -> int:
        return self.losses.shape[0]


@dataclass(frozen=True, kw_only=True)
class PoseEstimate:
    """An estimated camera pose.

    Attributes:
        camera_to_world: [3, 4] OpenCV axes.
        verdict: "converged": one clear minimum that explains the photograph; "ambiguous": the
            photograph does not tell this pose from others; "failed": it does not explain it.
        reason: one sentence saying why the verdict is what it is.
        loss: of the verdict's pixels at the pose.
        covariance: [6, 6] of the left twist (v, w) of the pose (scene units, radians), or None.
        trace: how it was found, or None.
    """

    camera_to_world: Float[Tensor, "3 4"]
    verdict: Verdict
    loss: float
    reason: str = ""
    covariance: Float[Tensor, "6 6"] | None = None
    trace: PoseTrace | None = None

    @property
    def centre_deviation(self) -> float | None:
        """Standard deviation of the camera centre (root of the summed variances), scene units."""
        if self.covariance is None:
            return None
        centre = self.camera_to_world[:, 3].double()
        # a left twist moves the centre by v + w x c
        jacobian = torch.cat([torch.eye(3, dtype=torch.float64), -hat(centre)], dim=1)
        spread = jacobian @ self.covariance.double() @ jacobian.T
        return math.sqrt(max(float(spread.trace()), 0.0))

    @property
    def angle_deviation(self) -> float | None:
        """Standard deviation of the orientation (root of the summed variances), degrees."""
        if self.covariance is None:
            return None
        return math.degrees(math.sqrt(max(float(self.covariance[3:, 3:].double().trace()), 0.0)))

    def to_json(self) -> dict[str, Any]:
        """Plain lists, with ``format_version``; a loss that is not finite becomes null."""
        trace = self.trace
        return {
            "format_version": FORMAT_VERSION,
            "convention": CONVENTION,
            "camera_to_world": self.camera_to_world.double().tolist(),
            "verdict": self.verdict,
            "reason": self.reason,
            "loss": self.loss if math.isfinite(self.loss) else None,
            "covariance": None if self.covariance is None else self.covariance.double().tolist(),
            "trace": None if trace is None else _trace_json(trace),
        }

    @staticmethod
    def from_json(value: Any, file: StrPath | None = None) -> PoseEstimate:
        """Inverse of :meth:`to_json`.

        Raises:
            DataError: another format version, missing keys, or values of the wrong shape.
            SceneError: the pose is not a finite rigid motion.
        """
        _check_version(value, file)
        try:
            estimate = _from_json(value)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise _damaged(file, repr(error)) from error
        if estimate.verdict not in get_args(Verdict):
            raise _damaged(file, f"unknown verdict {estimate.verdict!r}")
        check_poses(estimate.camera_to_world[None], file=None if file is None else str(file))
        return estimate


def save_pose(estimate: PoseEstimate, path: StrPath) -> None:
    """Write one estimate as JSON, atomically.

    Raises:
        StorageError: the file cannot be written.
    """
    write_json(path, estimate.to_json())


def load_pose(path: StrPath) -> PoseEstimate:
    """Read what :func:`save_pose` wrote.

    Raises:
        DataError: missing or damaged file. SceneError: the pose is not a rigid motion.
    """
    return PoseEstimate.from_json(read_json(path), path)


def _trace_json(trace: PoseTrace) -> dict[str, Any]:
    losses = [v if math.isfinite(v) else None for v in trace.losses.double().tolist()]
    return {
        "losses": losses,
        "poses": trace.poses.double().tolist(),
        "seconds": trace.seconds.double().tolist(),
    }


def _from_json(value: dict[str, Any]) -> PoseEstimate:
    covariance, trace, loss = value["covariance"], value["trace"], value["loss"]
    return PoseEstimate(
        camera_to_world=_tensor(value["camera_to_world"], 3, 4),
        verdict=value["verdict"],
        reason=str(value["reason"]),
        loss=math.inf if loss is None else float(loss),
        covariance=None if covariance is None else _tensor(covariance, 6, 6),
        trace=None if trace is None else _trace(trace),
    )


def _trace(value: dict[str, Any]) -> PoseTrace:
    losses = [math.inf if v is None else v for v in value["losses"]]
    steps = len(losses)
    return PoseTrace(
        losses=_tensor(losses, steps),
        poses=_tensor(value["poses"], steps, 3, 4),
        seconds=_tensor(value["seconds"], steps),
    )


def _tensor(value: Any, *shape: int) -> Tensor:
    return torch.tensor(value, dtype=torch.float32).reshape(shape)


def _check_version(value: Any, file: StrPath | None) -> None:
    version = value.get("format_version") if isinstance(value, dict) else value
    if version != FORMAT_VERSION:
        raise DataError(
            "the pose has another format version",
            file=file,
            field="format_version",
            value=version,
            remedy=f"write it with this release (version {FORMAT_VERSION})",
        )


def _damaged(file: StrPath | None, problem: str) -> DataError:
    return DataError(
        f"the pose file is damaged: {problem}",
        file=file,
        remedy="run `maskfield pose` again, or repair the file",
    )
