"""``maskfield render``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro


def render(
    field: tyro.conf.Positional[Path],
    out: Path | None = None,
    path: Literal["test", "train", "tour", "orbit", "spiral"] = "orbit",
    frames: int = 60,
    video: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    fps: int = 24,
    scale: float = 1.0,
    scene: Path | None = None,
) -> None:
    """Pictures of a fitted field along a camera path, and a film.

    Args:
        field: the run folder of `fit`.
        out: folder for the pictures; renders/PATH in the run folder unless given.
        path: the held-out cameras, the training cameras, a smooth tour through the
            training cameras, an orbit, or a forward-facing spiral.
        frames: pictures along a tour, orbit or spiral.
        video: also write a film (.mp4 with the extra `video`, else .gif).
        fps: pictures per second of the film.
        scale: size of the pictures relative to the photographs.
        scene: the scene the field was fitted to, when it has moved since.
    """
    from maskfield import api

    written = api.render(
        field, out=out, path=path, frames=frames, video=video, fps=fps, scale=scale, scene=scene
    )
    print(f"wrote: {len(written)} files in {written[0].parent}")
    if video:
        print(f"film:  {written[-1]}")
