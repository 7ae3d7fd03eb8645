"""Is the pose found? Final losses, covariance, and an honest word about both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from maskfield.core.errors import SceneError
from maskfield.data.pose_estimate import PoseEstimate, Verdict
from maskfield.methods.inerf.config import VerdictConfig
from maskfield.methods.inerf.covariance import pose_covariance
from maskfield.methods.inerf.observation import Observation
from maskfield.methods.inerf.tracks import Track
from maskfield.methods.inerf.view import FieldView, View
from maskfield.metrics.pose import rotation_error, translation_error


@dataclass(frozen=True, kw_only=True)
class _Evidence:
    """What the verdict rests on.

    Attributes:
        explained: share of the photograph's variance. distance: to what is seen, scene units.
        rivals: tracks elsewhere that explain the photograph as well.
    """

    estimate: PoseEstimate
    explained: float
    texture: float
    distance: float
    rivals: int


def assess(
    view: View,
    observation: Observation,
    tracks: Sequence[Track],
    config: VerdictConfig,
    generator: torch.Generator,
) -> PoseEstimate:
    """The best of the tracks with its covariance and verdict.

    Args:
        generator: draws the pixels on which the tracks are compared.

    Raises:
        SceneError: no track.
    """
    if len(tracks) == 0:
        raise SceneError(
            "there is no track to judge", field="tracks", remedy="search from one start at least"
        )
    running = [t for t in tracks if t.finished] or list(tracks)
    sound = [t for t in running if math.isfinite(t.loss)]
    if not sound:
        return PoseEstimate(
            camera_to_world=running[0].pose,
            verdict="failed",
            loss=math.inf,
            reason="the search met numbers that are not finite",
            trace=running[0].trace,
        )
    allowed = observation.allowed()
    chosen = torch.randperm(len(allowed), generator=generator)[: config.pixels]
    errors = _errors(view, observation, sound, allowed[chosen])
    best = int(errors.mean(1).argmin())
    evidence = _evidence(view, observation, sound, best, errors, allowed[chosen], config)
    verdict, reason = _judge(evidence, config)
    found = evidence.estimate
    return PoseEstimate(
        camera_to_world=found.camera_to_world,
        verdict=verdict,
        reason=reason,
        loss=found.loss,
        covariance=found.covariance,
        trace=found.trace,
    )


@torch.no_grad()
def _errors(
    view: View, observation: Observation, tracks: Sequence[Track], pixels: Tensor
) -> Float[Tensor, "track pixel"]:
    """Squared colour differences of every track on the same pixels."""
    directions, colours = observation.directions(pixels), observation.colours(pixels)
    rows = [view.colours(view.rays(t.pose[None], directions[None])) - colours for t in tracks]
    return torch.stack(rows).square().mean(-1)


def _evidence(
    view: View,
    observation: Observation,
    tracks: Sequence[Track],
    best: int,
    errors: Float[Tensor, "track pixel"],
    pixels: Tensor,
    config: VerdictConfig,
) -> _Evidence:
    track, loss = tracks[best], float(errors[best].mean())
    distance = _distance(view, observation, track.pose, pixels)
    colours = observation.colours(pixels)
    variance = float((colours - colours.mean(0)).square().mean())
    estimate = PoseEstimate(
        camera_to_world=track.pose,
        verdict="failed",
        loss=loss,
        covariance=pose_covariance(
            view, observation, track.pose, pixels, distance=distance, noise=config.noise
        ),
        trace=track.trace,
    )
    return _Evidence(
        estimate=estimate,
        explained=1 - loss / max(variance, 1e-12),
        texture=observation.texture(),
        distance=distance,
        rivals=_rivals(tracks, best, errors, distance, config),
    )


@torch.no_grad()
def _distance(view: View, observation: Observation, pose: Tensor, pixels: Tensor) -> float:
    """Mean distance to what is seen; 1 where the view does not tell or sees nothing."""
    if not isinstance(view, FieldView):
        return 1.0
    rays = view.rays(pose[None], observation.directions(pixels)[None])
    seen = view.render(rays)
    length = seen.depth * rays.directions.norm(dim=-1)
    total = float(seen.opacity.sum())
    return float((length * seen.opacity).sum()) / total if total > 1e-3 else 1.0


def _rivals(
    tracks: Sequence[Track],
    best: int,
    errors: Float[Tensor, "track pixel"],
    distance: float,
    config: VerdictConfig,
) -> int:
    """Tracks elsewhere whose error is not clearly larger: two standard errors of the difference."""
    poses = torch.stack([t.pose for t in tracks])
    away = rotation_error(poses, poses[best]) > config.rival_degrees
    away |= translation_error(poses, poses[best]) > config.rival_share * distance
    difference = errors - errors[best]
    doubt = 2 * difference.std(1, unbiased=False) / math.sqrt(errors.shape[1])
    least = max(0.05 * float(errors[best].mean()), config.noise**2)
    near = difference.mean(1) <= doubt.clamp_min(least)
    return int((away & near).sum())


def _judge(evidence: _Evidence, config: VerdictConfig) -> tuple[Verdict, str]:
    found = evidence.estimate
    angle, centre = found.angle_deviation or 0.0, found.centre_deviation or 0.0
    if evidence.texture < config.texture:
        return "ambiguous", "the photograph has hardly any texture: many poses would look like it"
    if evidence.explained < config.explained:
        share = max(evidence.explained, 0.0)
        return "failed", f"the pose explains {share:.0%} of the photograph's variance only"
    if angle > config.degrees or centre > config.share * evidence.distance:
        why = f"a standard deviation of {angle:.2g} degrees and {centre:.2g} scene units"
        return "ambiguous", f"the photograph hardly changes about this pose: {why}"
    if evidence.rivals > 0:
        return "ambiguous", f"{evidence.rivals} other poses explain the photograph as well"
    return "converged", f"it explains {evidence.explained:.1%} of the photograph's variance"
