"""One question, several searches: where was this photograph taken?

Voxel fields are searched by Levenberg-Marquardt, which takes their kernel's derivatives; any other
field by Adam. A bake of another field (``rough``) may be searched first: Adam then only polishes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from maskfield.data.pose_estimate import PoseEstimate, PoseTrace
from maskfield.fields.voxel import VoxelField
from maskfield.geometry.cameras import check_poses
from maskfield.geometry.se3 import compose, inverse
from maskfield.methods.inerf.config import PoseConfig
from maskfield.methods.inerf.gauss_newton import Found, locate, search
from maskfield.methods.inerf.gauss_newton_config import GaussNewtonConfig
from maskfield.methods.inerf.motion import motion_view
from maskfield.methods.inerf.observation import Observation
from maskfield.methods.inerf.optimise import optimise, require_overlap
from maskfield.methods.inerf.search import particle_search
from maskfield.methods.inerf.search_config import SearchConfig
from maskfield.methods.inerf.stages import build_stage
from maskfield.methods.inerf.tracks import Track
from maskfield.methods.inerf.verdict import assess
from maskfield.methods.inerf.view import FieldView

Search = Literal["auto", "lm", "adam"]
_POLISH = 40  # steps of Adam from a pose that a bake was searched for


def find_pose(
    view: FieldView,
    observation: Observation,
    starts: Float[Tensor, "start 3 4"],
    generator: torch.Generator,
    *,
    by: Search = "auto",
    adam: PoseConfig | None = None,
    lm: GaussNewtonConfig | None = None,
    rough: FieldView | None = None,
) -> PoseEstimate:
    """The pose that explains the photograph best, with its verdict.

    Args:
        starts: searched as one batch, the hopeless ones given up on the way.
        generator: every random draw.
        by: "lm" needs a voxel field, in ``view`` or in ``rough``; "auto" takes it where it can.
        rough: a voxel field that shows about the same, searched first.

    Raises:
        SceneError: starts that are no poses, or that see nothing of the scene.
    """
    check_poses(starts)
    require_overlap(view, observation, starts)
    return _found(view, observation, starts, generator, by, adam or PoseConfig(), lm, rough)


def _found(
    view: FieldView,
    observation: Observation,
    starts: Float[Tensor, "start 3 4"],
    generator: torch.Generator,
    by: Search,
    adam: PoseConfig,
    lm: GaussNewtonConfig | None,
    rough: FieldView | None,
) -> PoseEstimate:
    quick = _searchable(view, rough, by)
    if quick is None:
        tracks = optimise(view, observation, starts, adam, generator)
        return assess(view, observation, tracks, adam.verdict, generator)
    lm = lm or GaussNewtonConfig()
    if observation.texture() < adam.verdict.texture:
        lm = replace(lm, retries=0)  # other starts would not help: there is nothing to find
    found = _by_lm(quick, observation, starts, lm, generator)
    tracks = [track_of(found)]
    if quick is not view:
        last = optimise(view, observation, found.pose[None], polishing(adam), generator)
        tracks = [joined(tracks[0], track) for track in last]
    return assess(view, observation, tracks, adam.verdict, generator)


def polishing(config: PoseConfig) -> PoseConfig:
    """Short, small steps at full size: for a start that is nearly right."""
    steps = min(config.steps, _POLISH)
    return replace(
        config, steps=steps, lr=config.lr / 5, pyramid=(1,), shares=(1.0,), drop_at=(), patience=0
    )


def track_of(found: Found) -> Track:
    """What Levenberg-Marquardt found, as a track."""
    return Track(start=0, pose=found.pose, loss=found.cost, ended="still", trace=found.trace)


def joined(first: Track, second: Track) -> Track:
    """A search and its continuation by another one."""
    a, b = first.trace, second.trace
    offset = float(a.seconds[-1]) if len(a) else 0.0
    trace = PoseTrace(
        losses=torch.cat([a.losses, b.losses]),
        poses=torch.cat([a.poses, b.poses]),
        seconds=torch.cat([a.seconds, b.seconds + offset]),
    )
    return replace(second, trace=trace)


def _searchable(view: FieldView, rough: FieldView | None, by: Search) -> FieldView | None:
    """The view that Levenberg-Marquardt can search; None: Adam it is."""
    if by == "adam":
        return None
    voxels = [v for v in (view, rough) if v is not None and isinstance(v.field, VoxelField)]
    return voxels[0] if voxels else (view if by == "lm" else None)


def _by_lm(
    view: FieldView,
    observation: Observation,
    starts: Float[Tensor, "start 3 4"],
    config: GaussNewtonConfig,
    generator: torch.Generator,
) -> Found:
    moving = motion_view(view)
    if len(starts) == 1:
        return locate(moving, observation, starts[0], config, generator)
    begun = time.perf_counter()
    stages = [build_stage(observation, stage, generator) for stage in config.stages]
    return search(moving, stages, starts, config, begun)


def find_anywhere(
    view: FieldView,
    observation: Observation,
    anywhere: Callable[[], Float[Tensor, "start 3 4"]],
    generator: torch.Generator,
    *,
    config: SearchConfig | None = None,
    by: Search = "auto",
    adam: PoseConfig | None = None,
    lm: GaussNewtonConfig | None = None,
    rough: FieldView | None = None,
) -> PoseEstimate:
    """The same where no start is known: particles first, again while none of them explains it.

    Args:
        anywhere: poses spread over all that is possible, other ones at each call.
        config: of the particles, and how often a search is begun.
    """
    config = config or SearchConfig()
    found: list[PoseEstimate] = []
    while len(found) < config.attempts:
        looked = rough or view
        starts = particle_search(looked, observation, anywhere(), config, generator).poses
        estimate = find_pose(
            view, observation, starts, generator, by=by, adam=adam, lm=lm, rough=rough
        )
        found.append(estimate)
        if estimate.verdict == "converged":
            break
    return min(found, key=lambda e: e.loss)


def follow(
    view: FieldView,
    observations: Sequence[Observation],
    first: PoseEstimate,
    generator: torch.Generator,
    *,
    by: Search = "auto",
    adam: PoseConfig | None = None,
    lm: GaussNewtonConfig | None = None,
    rough: FieldView | None = None,
) -> list[PoseEstimate]:
    """Poses of the frames of a video, each starting from the last (spec inerf 9.3 f).

    Where the last frame is, and where it would be if the camera went on as before, are both tried.

    Args:
        first: the pose of the first frame, which is found already.
    """
    found = [first]
    for observation in observations[1:]:
        starts = _next_starts([e.camera_to_world for e in found[-2:]])
        # unchecked: where the last frame went astray, this one fails too, and the rest is kept
        config = adam or PoseConfig()
        found.append(_found(view, observation, starts, generator, by, config, lm, rough))
    return found


def _next_starts(last: Sequence[Float[Tensor, "3 4"]]) -> Float[Tensor, "start 3 4"]:
    """The last pose, and the one that the motion before it leads to."""
    if len(last) == 1:
        return last[0][None]
    step = compose(last[1], inverse(last[0]))
    return torch.stack([last[1], compose(step, last[1])])
