"""``compat="official"``: the loop of yenchenlin/iNeRF-public as it is (spec inerf 6).

All sixteen entries of the pose matrix are free, Adam's rate never falls, the source image is
encoded anew in each step, rays of all pixels are built before some are chosen, and gradients of all
weights are formed and thrown away. For parity, and for measuring what the search beside it saves.
Batch norms run as the owner of the network wants it: officially in train mode, whose running
statistics then drift.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from maskfield.data.pose_estimate import PoseEstimate
from maskfield.methods.inerf.config import OfficialConfig, VerdictConfig
from maskfield.methods.inerf.descent import Descent
from maskfield.methods.inerf.observation import Observation
from maskfield.methods.inerf.pixels import PixelSampler, pixel_sampler
from maskfield.methods.inerf.poses import MOTIONS, homogeneous, rigid
from maskfield.methods.inerf.tracks import Track, TrackRecorder
from maskfield.methods.inerf.verdict import assess
from maskfield.methods.inerf.view import FieldView, View, weights_of
from maskfield.rendering.field import Field

MakeView = Callable[[Field], View]


@dataclass(frozen=True, kw_only=True)
class OfficialStep:
    """What a step saw, and the pose after it (OpenCV axes).

    Attributes:
        gradient: [4, 4] of the loss by the matrix. colours: [ray, 3] rendered. pose: [4, 4].
    """

    loss: float
    gradient: Float[Tensor, "4 4"]
    colours: Float[Tensor, "ray 3"]
    pose: Float[Tensor, "4 4"]


class OfficialSearch:
    """The state of the loop.

    Args:
        host: a field that encodes reference views in ``prepare``. source: those views.
        make_view: how a prepared field is rendered.
        start: [3, 4] pose, OpenCV axes.
    """

    def __init__(
        self,
        host: Field,
        source: object,
        make_view: MakeView,
        observation: Observation,
        start: Float[Tensor, "3 4"],
        lr: float,
    ) -> None:
        self.host, self.source, self.make_view, self.lr = host, source, make_view, lr
        pixels = torch.arange(observation.size[0] * observation.size[1])
        self._directions = observation.directions(pixels)
        self._colours = observation.colours(pixels)
        motion, first = MOTIONS["matrix"], start[None].clone()
        self.descent = Descent(motion, first, motion.initial(first, 0.0, None))

    def step(self, pixels: Int[Tensor, " ray"]) -> OfficialStep:
        """One step on given pixels (row-major indices)."""
        free = self.descent.free.requires_grad_()
        pose = self.descent.motion.move(free, self.descent.starts)
        weights = weights_of(self.host)
        with torch.enable_grad():
            view = self.make_view(self.host.prepare(self.source))
            seen = view.colours(view.rays(pose, self._directions[None])[pixels])
            loss = (seen - self._colours[pixels]).square().mean()
            kept = [w.grad for w in weights]
            loss.backward()
        for weight, before in zip(weights, kept, strict=True):
            weight.grad = before
        assert free.grad is not None
        self.descent.free = free.detach()
        self.descent.update(free.grad, self.lr)
        return OfficialStep(
            loss=float(loss.detach()),
            gradient=free.grad.view(4, 4),
            colours=seen.detach(),
            pose=self.descent.free.view(4, 4).clone(),
        )


def official_search(
    host: Field,
    source: object,
    make_view: MakeView,
    observation: Observation,
    start: Float[Tensor, "3 4"],
    config: OfficialConfig,
    generator: torch.Generator,
) -> Track:
    """The whole loop; the pose at the end is the free matrix, which need not be a rotation.

    Args:
        generator: draws the pixels, with replacement.
    """
    search = OfficialSearch(host, source, make_view, observation, start, config.lr)
    sampler, recorder = _sampler(observation, config), TrackRecorder(1)
    began, before = time.perf_counter(), homogeneous(start)
    only, loss = torch.zeros(1, dtype=torch.long), float("inf")
    for _ in range(config.steps):
        found = search.step(sampler.draw(1, generator)[0])
        loss = found.loss
        seconds = time.perf_counter() - began
        recorder.add(only, torch.tensor([loss]), before[None, :3], seconds)
        before = found.pose
    return Track(start=0, pose=before[:3], loss=loss, ended="steps", trace=recorder.traces()[0])


def official_pose(
    view: FieldView,
    source: object,
    observation: Observation,
    start: Float[Tensor, "3 4"],
    config: OfficialConfig,
    generator: torch.Generator,
) -> PoseEstimate:
    """The loop's answer: the rotation nearest to its matrix, with our verdict.

    Args:
        view: of a field that encodes ``source`` in ``prepare``.
    """
    track = official_search(
        view.field,
        source,
        lambda field: replace(view, field=field),
        observation,
        start,
        config,
        generator,
    )
    track = replace(track, pose=rigid(track.pose[None])[0])
    return assess(view, observation, [track], VerdictConfig(), generator)


def _sampler(observation: Observation, config: OfficialConfig) -> PixelSampler:
    """As the demo draws: always with replacement, masks are unknown to it."""
    if config.pixels.strategy != "random":
        return pixel_sampler(observation, config.pixels)
    everything, empty = (
        torch.arange(observation.size[0] * observation.size[1]),
        torch.empty(0).long(),
    )
    return PixelSampler(pool=everything, rest=empty, count=config.pixels.count, replace=True)
