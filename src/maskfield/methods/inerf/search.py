"""Where to begin when nothing is known: particles over the poses a camera may have (spec 14.7).

Only forward passes: each round every particle's loss on a few random pixels weighs it, particles
are drawn anew by weight and moved a little, less the nearer together they are (Loc-NeRF's rule).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from maskfield.geometry import se3
from maskfield.geometry.camera_paths import look_at
from maskfield.geometry.cameras import Cameras
from maskfield.methods.inerf.observation import Observation
from maskfield.methods.inerf.search_config import SearchConfig
from maskfield.methods.inerf.view import View

_TINY = 1e-12


@dataclass(frozen=True, kw_only=True)
class Particles:
    """Poses, the best first, with their losses.

    Attributes:
        poses: [particle, 3, 4]. losses: [particle] mean squared colour error of their last round.
    """

    poses: Float[Tensor, "particle 3 4"]
    losses: Float[Tensor, " particle"]


def starts_around(
    cameras: Cameras, count: int, spread: float, generator: torch.Generator
) -> Float[Tensor, "start 3 4"]:
    """Poses a camera may have where these cameras were: each one of them, moved and turned.

    Args:
        spread: standard deviation of the centres in units of the cameras' own spread; turns are
            ``spread`` radians. 0 gives the cameras themselves, in random order.
    """
    poses = cameras.camera_to_world
    chosen = torch.randperm(len(poses), generator=generator)
    chosen = chosen.repeat(math.ceil(count / len(poses)))[:count]
    extent = float((cameras.centres - cameras.centres.mean(0)).norm(dim=1).square().mean().sqrt())
    return _moved(poses[chosen], spread * extent, spread, generator)


def starts_on_sphere(
    centre: Float[Tensor, " 3"], radius: float, count: int, generator: torch.Generator
) -> Float[Tensor, "start 3 4"]:
    """Cameras evenly on the upper half of a sphere (and a little below), looking at its centre."""
    step = torch.arange(count) + torch.rand(1, generator=generator)
    height = 1 - 1.25 * (torch.arange(count) + 0.5) / count  # from the zenith to 14 degrees below
    turn = step * math.pi * (3 - math.sqrt(5))  # the golden angle
    flat = (1 - height.square()).clamp_min(0.01).sqrt()
    away = torch.stack([flat * turn.cos(), flat * turn.sin(), height], dim=1)
    eye = centre + radius * away / away.norm(dim=1, keepdim=True)
    return look_at(eye, centre.expand_as(eye))


@torch.no_grad()
def particle_search(
    view: View,
    observation: Observation,
    starts: Float[Tensor, "start 3 4"],
    config: SearchConfig,
    generator: torch.Generator,
) -> Particles:
    """Poses that may explain the photograph, from starts spread over all that is possible.

    The first round weighs every start; the following ones draw ``config.particles`` by weight. What
    comes back are the best poses of all rounds that are clearly apart, at most ``config.refined``:
    objects look alike from behind, and the best region at this size need not be the right one.
    """
    target = _reduced(observation, config.side)
    extent = _spread(starts)
    best = everything = _weighed(view, target, starts, config, generator)
    for _ in range(config.rounds):
        poses = _drawn(best, config, extent, generator)
        found = _weighed(view, target, poses, config, generator)
        best = _merged(best, found, config.particles)
        everything = _merged(everything, found, len(everything.losses) + len(found.losses))
    return distinct(everything, config, extent)


def distinct(found: Particles, config: SearchConfig, extent: float) -> Particles:
    """The best particles, each clearly turned or moved from all better ones."""
    chosen: list[int] = []
    for index in range(len(found.losses)):
        if len(chosen) == config.refined:
            break
        others = found.poses[chosen]
        turned = se3.rotation_angle(others, found.poses[index]) > config.apart_turn
        moved = (others[:, :, 3] - found.poses[index, :, 3]).norm(dim=1)
        if bool((turned | (moved > config.apart_shift * extent)).all()):
            chosen.append(index)
    return Particles(poses=found.poses[chosen], losses=found.losses[chosen])


def _reduced(observation: Observation, side: int) -> Observation:
    """The photograph at about ``side`` pixels: blurred, every pixel tells of its surroundings."""
    factor = max(1, min(observation.size) // side)
    return observation if factor == 1 else observation.level(factor)


def _weighed(
    view: View,
    target: Observation,
    poses: Float[Tensor, "particle 3 4"],
    config: SearchConfig,
    generator: torch.Generator,
) -> Particles:
    """Each particle's error on the same few pixels, best first."""
    allowed = target.allowed()
    chosen = torch.randperm(len(allowed), generator=generator)[: config.pixels]
    pixels = allowed[chosen]
    directions = target.directions(pixels).expand(len(poses), -1, 3)
    seen = view.colours(view.rays(poses, directions)).view(len(poses), -1, 3)
    losses = (seen - target.colours(pixels)).square().mean(dim=(1, 2))
    order = losses.argsort()
    return Particles(poses=poses[order], losses=losses[order])


def _drawn(
    found: Particles, config: SearchConfig, extent: float, generator: torch.Generator
) -> Float[Tensor, "particle 3 4"]:
    """Particles drawn by weight (1 / loss) ** power, moved by noise that shrinks with them."""
    weights = (found.losses[0].clamp_min(_TINY) / found.losses.clamp_min(_TINY)) ** config.power
    chosen = torch.multinomial(weights, config.particles, replacement=True, generator=generator)
    poses = found.poses[chosen]
    share = _spread(poses) / max(extent, _TINY)
    scale = 0.25 if share < config.near else 0.5 if share < config.middle else 1.0
    moved = _moved(poses, scale * config.shift * extent, scale * config.turn, generator)
    restless = max(1, round(config.restless * len(moved)))
    far = _moved(poses[:restless], 4 * config.shift * extent, 4 * config.turn, generator)
    return torch.cat([far, moved[restless:]])


def _moved(
    poses: Float[Tensor, "pose 3 4"], shift: float, turn: float, generator: torch.Generator
) -> Float[Tensor, "pose 3 4"]:
    """Centres shifted and cameras turned about them by normal noise of these deviations."""
    noise = torch.randn(len(poses), 6, generator=generator).to(poses)
    rotation = se3.rotation_exp(turn * noise[:, 3:]) @ poses[:, :, :3]
    centre = poses[:, :, 3] + shift * noise[:, :3]
    return torch.cat([rotation, centre[:, :, None]], dim=-1)


def _spread(poses: Float[Tensor, "pose 3 4"]) -> float:
    """Root mean square distance of the centres from their mean."""
    centres = poses[:, :, 3]
    return float((centres - centres.mean(0)).norm(dim=1).square().mean().sqrt())


def _merged(best: Particles, found: Particles, count: int) -> Particles:
    """The better ones of two sets: a good particle is not lost to a draw."""
    losses = torch.cat([best.losses, found.losses])
    order = losses.argsort()[:count]
    return replace(best, poses=torch.cat([best.poses, found.poses])[order], losses=losses[order])
