"""``maskfield demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro


def demo(
    name: tyro.conf.Positional[Literal["nerf-mae", "pixelnerf", "inerf"]] = "nerf-mae",
    data: Annotated[str | None, tyro.conf.arg(metavar="SCENE")] = None,
    init: Annotated[str | None, tyro.conf.arg(metavar="RUN")] = None,
    quick: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    out: Path | None = None,
    seed: int = 0,
) -> None:
    """A job end to end, with a report at the end; no download.

    Args:
        name: which job.
        data: your own photographs, anything `data import` reads, in place of procedural ones;
            for pixelnerf one photograph, cut out by `data normalize-photo`.
        init: a trained network: run, weights (ours or official) or zoo:NAME; unless given,
            nerf-mae trains one for a while, and pixelnerf takes the package's.
        quick: the same path, smaller: about a minute on a procedural room.
        out: folder for everything it writes; runs/demo-NAME-DATA-quick, of which only what applies,
            unless given.
        seed: another room or object, other training rooms.
    """
    from maskfield import api

    report = api.demo(name, data=data, init=init, quick=quick, out=out, seed=seed)
    print(f"report: {report.resolve()}")
