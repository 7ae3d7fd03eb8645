"""The camera of a photograph by Levenberg-Marquardt: six unknowns, a Jacobian row per pixel colour.

Stages go from a small blurred image on coarse voxels, where far starts find their way, to pixels of
the full photograph. Poses searched together are one batch; the worse ones are given up from stage
to stage. A search that does not explain the photograph is repeated from around its start.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from maskfield.data.pose_estimate import PoseTrace
from maskfield.geometry import se3
from maskfield.methods.inerf.gauss_newton_config import GaussNewtonConfig
from maskfield.methods.inerf.motion import MotionView
from maskfield.methods.inerf.observation import Observation
from maskfield.methods.inerf.stages import Equations, Stage, build_stage

_LEAST, _MOST = 1e-7, 1e4  # damping; a track whose damping passes the upper bound stands still
_EASIER, _HARDER = 4.0, 6.0
_FLOOR = 1e-9  # of the diagonal, relative to its largest entry


@dataclass(frozen=True, kw_only=True)
class Found:
    """Where the camera is, as far as one photograph tells.

    Attributes:
        pose: [3, 4] camera to world. cost: robust mean squared colour difference of the last stage.
        explained: share of the photograph's variance that the pose explains.
        trace: of the track that won. searches: how many tracks were begun.
    """

    pose: Float[Tensor, "3 4"]
    cost: float
    explained: float
    trace: PoseTrace
    searches: int


@dataclass(frozen=True, kw_only=True)
class _Record:
    """One step of all running tracks."""

    tracks: Int[Tensor, " track"]
    poses: Float[Tensor, "track 3 4"]
    costs: Float[Tensor, " track"]
    seconds: float


@torch.no_grad()
def locate(
    view: MotionView,
    observation: Observation,
    start: Float[Tensor, "3 4"],
    config: GaussNewtonConfig,
    generator: torch.Generator,
) -> Found:
    """Search from one start pose; again from around it while the photograph stays unexplained.

    Args:
        generator: of the pixels and of the retries' start poses.
    """
    begun = time.perf_counter()
    stages = [build_stage(observation, s, generator) for s in config.stages]
    best = search(view, stages, start[None], config, begun)
    searches = 1
    for _ in range(config.retries):
        if best.explained >= config.explained:
            break
        around = starts_around(start, view.pivot, config, generator)
        found = search(view, stages, around, config, begun)
        searches += len(around)
        best = found if found.cost < best.cost else best
    return Found(**{**vars(best), "searches": searches})


def search(
    view: MotionView,
    stages: list[Stage],
    starts: Float[Tensor, "track 3 4"],
    config: GaussNewtonConfig,
    begun: float,
) -> Found:
    """The best of some tracks, through all stages.

    Args:
        begun: ``time.perf_counter()`` of the search's beginning, for the trace.
    """
    tracks, poses = torch.arange(len(starts)), starts.double()
    records: list[_Record] = []
    equations = None
    for stage in stages:
        if equations is not None:
            kept = equations.cost.argsort()[: stage.config.keep]
            tracks, poses = tracks[kept], poses[kept]
        poses, equations = _descended(view, stage, tracks, poses, config, records, begun)
    assert equations is not None  # a config has at least one stage
    winner = int(equations.cost.argmin())
    return Found(
        pose=poses[winner].float(),
        cost=float(equations.cost[winner]),
        explained=1 - float(equations.squares[winner]) / max(stages[-1].variance, 1e-9),
        trace=_trace(records, int(tracks[winner])),
        searches=len(starts),
    )


def _descended(
    view: MotionView,
    stage: Stage,
    tracks: Int[Tensor, " track"],
    poses: Float[Tensor, "track 3 4"],
    config: GaussNewtonConfig,
    records: list[_Record],
    begun: float,
) -> tuple[Float[Tensor, "track 3 4"], Equations]:
    """All tracks through one stage."""
    here = stage.equations(view, poses.float(), config.exposure)
    damping = torch.full((len(poses),), config.damping, dtype=torch.float64)
    running = torch.arange(len(poses))
    for _ in range(stage.config.iterations):
        records.append(_Record(tracks=tracks, poses=poses, costs=here.cost, seconds=_since(begun)))
        steps = _steps(here[running], damping[running], poses[running], view.pivot, config)
        trial = turned(poses[running], steps, view.pivot)
        there = stage.equations(view, trial.float(), config.exposure)
        gain = 1 - there.cost / here.cost[running].clamp_min(1e-30)
        better = gain > 0
        moved = running[better]
        poses = poses.index_copy(0, moved, trial[better])
        here = _replaced(here, moved, there[better])
        eased, raised = damping[running] / _EASIER, damping[running] * _HARDER
        damping = damping.index_copy(0, running, torch.where(better, eased, raised))
        damping = damping.clamp_min(_LEAST)
        running = running[(~better | (gain > config.tolerance)) & (damping[running] < _MOST)]
        if len(running) == 0:
            break
    records.append(_Record(tracks=tracks, poses=poses, costs=here.cost, seconds=_since(begun)))
    return poses, here


def _steps(
    equations: Equations,
    damping: Float[Tensor, " track"],
    poses: Float[Tensor, "track 3 4"],
    pivot: Float[Tensor, " 3"],
    config: GaussNewtonConfig,
) -> Float[Tensor, "track 6"]:
    """Damped Gauss-Newton steps, shortened to ``config.max_turn``."""
    diagonal = equations.normal.diagonal(dim1=1, dim2=2)
    floor = _FLOOR * diagonal.amax(1, keepdim=True).clamp_min(1e-30)
    damped = equations.normal + torch.diag_embed(damping[:, None] * diagonal + floor)
    step = -torch.linalg.solve(damped, equations.right[..., None])[..., 0]
    distance = (poses[:, :, 3] - pivot.to(poses)).norm(dim=1).clamp_min(1e-6)
    length = torch.maximum(step[:, 3:].norm(dim=1), step[:, :3].norm(dim=1) / distance)
    allowed = math.radians(config.max_turn)
    return step * (allowed / length.clamp_min(1e-12)).clamp_max(1.0)[:, None]


def turned(
    poses: Float[Tensor, "*n 3 4"], twists: Float[Tensor, "*n 6"], pivot: Float[Tensor, " 3"]
) -> Float[Tensor, "*n 3 4"]:
    """Poses moved by exp(twist) about the pivot."""
    centre = pivot.to(poses)
    motion = se3.exp(twists)
    shift = motion[..., 3] + centre - (motion[..., :3] @ centre[:, None])[..., 0]
    return se3.compose(torch.cat([motion[..., :3], shift[..., None]], dim=-1), poses)


def starts_around(
    start: Float[Tensor, "3 4"],
    pivot: Float[Tensor, " 3"],
    config: GaussNewtonConfig,
    generator: torch.Generator,
) -> Float[Tensor, "track 3 4"]:
    """Poses turned from the start: every other one about the scene, the rest about the camera."""
    axes = torch.randn(config.tracks, 3, generator=generator)
    angles = 0.5 + torch.rand(config.tracks, 1, generator=generator)
    angles = angles * math.radians(config.spread)
    twists = torch.zeros(config.tracks, 6)
    twists[:, 3:] = axes / axes.norm(dim=1, keepdim=True) * angles
    poses = start.float().expand(config.tracks, 3, 4)
    about_scene = turned(poses, twists, pivot)
    about_camera = turned(poses, twists, start[:, 3])
    return torch.where(
        (torch.arange(config.tracks) % 2 == 0)[:, None, None], about_scene, about_camera
    )


def _trace(records: list[_Record], track: int) -> PoseTrace:
    rows = [(r, (r.tracks == track).nonzero()[:, 0]) for r in records]
    rows = [(r, int(k[0])) for r, k in rows if len(k)]
    return PoseTrace(
        losses=torch.tensor([float(r.costs[k]) for r, k in rows]),
        poses=torch.stack([r.poses[k].float() for r, k in rows]),
        seconds=torch.tensor([r.seconds for r, _ in rows]),
    )


def _replaced(here: Equations, at: Tensor, there: Equations) -> Equations:
    return Equations(
        **{k: getattr(here, k).index_copy(0, at, getattr(there, k)) for k in vars(here)}
    )


def _since(begun: float) -> float:
    return time.perf_counter() - begun
