"""What the NeRF-MAE demo is asked to do, how much of everything, and the time each stage takes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class DemoSize:
    """How much of everything.

    Attributes:
        views, width, height: photographs of the procedural room.
        fit_steps, fit_resolutions: of the room's radiance field.
        fit_preset: how a field is fitted to one's own photographs.
        resolution: voxels along the longest side of the grids that a network trained here sees.
        block: tokens (of 4 voxels) along the side of a hidden block.
        train_grids, validation_grids: rasterised rooms.
        batch, steps: of pre-training. validate_every: steps between measurements.
        shown: pictures of reconstructions beside the first.
        detect_rooms, detect_steps: rooms with boxes, and steps, that a detector learns from.
    """

    views: int
    width: int
    height: int
    fit_steps: int
    fit_resolutions: tuple[int, int]
    fit_preset: str
    resolution: int
    block: int
    train_grids: int
    validation_grids: int
    batch: int
    steps: int
    validate_every: int
    shown: int
    detect_rooms: int
    detect_steps: int


FULL = DemoSize(
    views=100,
    width=160,
    height=120,
    fit_steps=1500,
    fit_resolutions=(64, 128),
    fit_preset="default",
    resolution=64,
    block=4,
    train_grids=256,
    validation_grids=8,
    batch=4,
    steps=180,
    validate_every=60,
    shown=3,
    detect_rooms=64,
    detect_steps=150,
)
QUICK = DemoSize(
    views=60,
    width=96,
    height=72,
    fit_steps=450,
    fit_resolutions=(48, 80),
    fit_preset="quick",
    resolution=32,
    block=2,
    train_grids=64,
    validation_grids=4,
    batch=4,
    steps=80,
    validate_every=20,
    shown=2,
    detect_rooms=16,
    detect_steps=20,
)


@dataclass(frozen=True, kw_only=True)
class DemoJob:
    """What is asked for.

    Attributes:
        folder: everything is written there.
        data: one's own photographs, anything `data import` reads; None: a procedural room.
        init: a trained network; None: one is trained here, on procedural rooms.
    """

    folder: Path
    size: DemoSize
    seed: int
    data: str | None
    init: str | None


@dataclass
class Stages:
    """Seconds per stage, in order."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
