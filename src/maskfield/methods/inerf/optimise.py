"""The search for a camera pose by gradients, from many starts as one batch of rays.

All starts look at the same pixels in a step, so their losses can be compared: the worse half is
given up from time to time. Weights are frozen, only the rays of the drawn pixels exist.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from maskfield.core.errors import SceneError
from maskfield.geometry.cameras import check_poses
from maskfield.methods.inerf.config import PoseConfig
from maskfield.methods.inerf.descent import Descent, DescentStep, photometric
from maskfield.methods.inerf.observation import Observation
from maskfield.methods.inerf.pixels import PixelSampler, pixel_sampler
from maskfield.methods.inerf.poses import MOTIONS, rigid
from maskfield.methods.inerf.tracks import Ending, Track, TrackRecorder
from maskfield.methods.inerf.view import FieldView, View, frozen_weights

_SMOOTH = 0.9  # decay of the running mean of losses: each step sees other pixels


def optimise(
    view: View,
    observation: Observation,
    starts: Float[Tensor, "start 3 4"],
    config: PoseConfig,
    generator: torch.Generator,
) -> list[Track]:
    """Follow every start downhill.

    Args:
        generator: draws pixels, initial noise, and a sampler's jitter if it has any.

    Returns:
        one track per start, in their order.

    Raises:
        SceneError: starts that are no poses, or none that sees the scene's box.
    """
    check_poses(starts)
    require_overlap(view, observation, starts)
    levels = [_Level.of(observation.level(f), config) for f in config.pyramid]
    run = _Run(starts, config, generator)
    with frozen_weights(getattr(view, "field", None)):
        for step in range(config.steps):
            index = config.level(step)
            pixels = levels[index].sampler.draw(1, generator)[0]
            seen = levels[index].directions[pixels], levels[index].colours[pixels]
            compare = photometric(view, *seen, config.loss, config.loss_scale, generator)
            found = run.descent.step(compare, config.learning_rate(step))
            if not run.after(found, step, last_level=index == len(levels) - 1):
                break
    return run.tracks()


@dataclass(frozen=True, kw_only=True)
class _Level:
    """A reduced photograph: its pixels' directions and colours, and how they are drawn."""

    sampler: PixelSampler
    directions: Float[Tensor, "pixel 3"]
    colours: Float[Tensor, "pixel 3"]

    @staticmethod
    def of(observation: Observation, config: PoseConfig) -> _Level:
        everything = torch.arange(observation.size[0] * observation.size[1])
        return _Level(
            sampler=pixel_sampler(observation, config.pixels),
            directions=observation.directions(everything),
            colours=observation.colours(everything),
        )


class _Run:
    """The starts still running, what became of the others, and everything they went through."""

    def __init__(
        self, starts: Float[Tensor, "start 3 4"], config: PoseConfig, generator: torch.Generator
    ) -> None:
        motion = MOTIONS[config.parameterisation]
        self.config = config
        self.descent = Descent(motion, starts, motion.initial(starts, config.noise, generator))
        self.alive: Int[Tensor, " pose"] = torch.arange(len(starts))
        self.recorder = TrackRecorder(len(starts))
        self.pose, self.loss = starts.clone(), torch.full((len(starts),), torch.inf)
        self.ended: list[Ending] = ["steps"] * len(starts)
        self._plateau = _Plateau(len(starts))
        self._smooth = torch.zeros(len(starts))
        self._began = time.perf_counter()
        self._drops = {round(share * config.steps) for share in config.drop_at}

    def after(self, found: DescentStep, step: int, *, last_level: bool) -> bool:
        """Keep the books of a step; False when nothing is left to run."""
        losses = found.losses.cpu()
        self.recorder.add(self.alive, losses, found.poses, time.perf_counter() - self._began)
        weight = _SMOOTH if step > 0 else 0.0
        self._smooth[self.alive] = weight * self._smooth[self.alive] + (1 - weight) * losses
        self.loss[self.alive] = self._smooth[self.alive]
        poses = self.descent.poses().to(self.pose)
        sound = torch.isfinite(losses) & torch.isfinite(poses).flatten(1).all(1)
        self.pose[self.alive[sound]] = poses[sound]
        self._leave(~sound, "broken")
        if step + 1 in self._drops:
            self._leave(self._worse_half(), "dropped")
        if last_level and self.config.patience > 0:
            idle = self._plateau.update(self.alive, self._smooth, self.config.tolerance)
            self._leave(idle > self.config.patience, "still")
        return len(self.alive) > 0

    def tracks(self) -> list[Track]:
        """What became of every start."""
        poses, traces = rigid(self.pose.double()).to(self.pose), self.recorder.traces()
        return [
            Track(
                start=i,
                pose=poses[i],
                loss=float("inf") if self.ended[i] == "broken" else float(self.loss[i]),
                ended=self.ended[i],
                trace=traces[i],
            )
            for i in range(len(traces))
        ]

    def _leave(self, gone: Tensor, ending: Ending) -> None:
        """Some of those running stop here."""
        if not bool(gone.any()):
            return
        for start in self.alive[gone].tolist():
            self.ended[start] = ending
        self.alive = self.alive[~gone]
        self.descent.keep((~gone).to(self.descent.free.device))

    def _worse_half(self) -> Tensor:
        """The best is always kept."""
        order = self._smooth[self.alive].argsort().argsort()
        return order >= max(1, (len(self.alive) + 1) // 2)


class _Plateau:
    """For how many steps each start has not improved."""

    def __init__(self, count: int) -> None:
        self._best = torch.full((count,), torch.inf)
        self._since = torch.zeros(count, dtype=torch.long)

    def update(self, alive: Tensor, smooth: Tensor, tolerance: float) -> Int[Tensor, " pose"]:
        """Steps without improvement of those still running."""
        better = smooth[alive] < self._best[alive] * (1 - tolerance)
        self._best[alive] = torch.minimum(self._best[alive], smooth[alive])
        self._since[alive] = torch.where(better, 0, self._since[alive] + 1)
        return self._since[alive]


def require_overlap(
    view: View, observation: Observation, starts: Float[Tensor, "start 3 4"]
) -> None:
    """Refuse starts none of which sees the scene's box.

    Raises:
        SceneError: says so.
    """
    if isinstance(view, FieldView) and not bool((view.meets(observation, starts) > 0).any()):
        raise SceneError(
            "no start pose sees anything of the scene: its rays miss the field's box",
            field="starts",
            value=starts[0].tolist(),
            remedy="give a start pose that looks at the scene, in the field's own world "
            "(OpenCV axes), or search for one (`--search N`)",
        )
