"""A search for a camera as pictures: photograph, what the field shows, their difference, a film."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from maskfield.data.pose_estimate import PoseTrace
from maskfield.figures.curves import Panel
from maskfield.figures.pictures import Picture, resized, to_picture
from maskfield.methods.inerf.observation import Observation
from maskfield.methods.inerf.view import FieldView

TITLES = ("photograph", "seen from the start", "seen from the answer", "difference (x 3)")
_SIDE = 240  # longest side of the pictures, pixels
_HEIGHT = 240
_SHARE = 0.6  # of what the field shows, over the photograph


def pose_row(
    view: FieldView, observation: Observation, trace: PoseTrace | None, pose: Float[Tensor, "3 4"]
) -> list[Picture]:
    """Photograph, the field from the start and from the answer, and how they differ there."""
    small = reduced(observation)
    found = view.image(small, pose).clamp(0, 1)
    row = [small.image, found, (3 * (found - small.image).abs()).clamp(0, 1)]
    if trace is not None and len(trace) > 0:
        row.insert(1, view.image(small, trace.poses[0]).clamp(0, 1))
    return [resized(to_picture(image), height=_HEIGHT) for image in row]


def search_frames(
    view: FieldView, observation: Observation, trace: PoseTrace, count: int
) -> Iterator[Picture]:
    """What the field shows from poses on the way, over the photograph; the last one is held."""
    small = reduced(observation)
    chosen = frames_of(trace, count)
    for index in [*chosen, *[chosen[-1]] * max(1, count // 8)]:
        shown = view.image(small, trace.poses[index]).clamp(0, 1)
        yield resized(to_picture(_SHARE * shown + (1 - _SHARE) * small.image), height=_HEIGHT)


def frames_of(trace: PoseTrace, count: int) -> list[int]:
    """Steps worth a frame: as evenly as can be along the way that the camera went."""
    if len(trace) <= count:
        return list(range(len(trace)))
    moved = (trace.poses[1:] - trace.poses[:-1]).flatten(1).norm(dim=1)
    way = torch.cat([torch.zeros(1), moved.cumsum(0)])
    wanted = torch.linspace(0, float(way[-1]), count)
    index = torch.searchsorted(way, wanted.clamp_max(float(way[-1])))
    return sorted({0, *index.clamp_max(len(trace) - 1).tolist(), len(trace) - 1})


def loss_panel(trace: PoseTrace) -> Panel:
    """The loss over the seconds of the search."""
    line = (trace.seconds.tolist(), trace.losses.tolist())
    return Panel(title="squared colour difference", lines={"loss": line}, x_label="seconds")


def reduced(observation: Observation) -> Observation:
    """The photograph at a size that is quick to render."""
    factor = max(1, round(max(observation.size) / _SIDE))
    return observation if factor == 1 else observation.level(factor)
