"""``maskfield demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro


def demo(
    name: tyro.conf.Positional[Literal["nerf-mae"]] = "nerf-mae",
    quick: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    out: Path | None = None,
    seed: int = 0,
) -> None:
    """The main job end to end on procedural rooms, with a report at the end; no download.

    Args:
        name: which job.
        quick: the same path, smaller, in about a minute.
        out: folder for everything it writes; runs/demo (or runs/demo-quick) unless given.
        seed: another room, other training rooms.
    """
    from maskfield import api

    report = api.demo(name, quick=quick, out=out, seed=seed)
    print(f"report: {report.resolve()}")
