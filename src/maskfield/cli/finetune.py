"""``maskfield finetune``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from maskfield.cli.options import Data, Figures, Overrides, Resume, finish_run

FinetuneInit = Annotated[
    str,
    tyro.conf.arg(
        metavar="pretrained|scratch|PATH|zoo:NAME",
        help="Start from the package's pre-trained weights, from nothing, or from a run, a "
        "checkpoint, or official weights.",
    ),
]
Labels = Annotated[
    str | None,
    tyro.conf.arg(
        metavar="PERCENT",
        help="Share of the labelled training scenes, e.g. 10%, 25%, 50%, 100% (nested).",
    ),
]


def finetune(
    recipe: tyro.conf.Positional[str],
    out: Path | None = None,
    init: FinetuneInit = "pretrained",
    labels: Labels = None,
    data: Data = None,
    overrides: Overrides = (),
    resume: Resume = None,
    figures: Figures = False,
) -> int:
    """Train on labels (boxes, voxel classes or finer grids), or a pixelNeRF on other objects.

    Args:
        recipe: METHOD:SIZE, e.g. nerf-mae-detect:tiny-cpu, nerf-mae-segment:tiny-cpu,
            nerf-mae-superres:tiny-cpu, nerf-rpn:paper, pixelnerf:tiny-cpu; or a config.yaml, or an
            earlier run.
        out: run folder; runs/METHOD-SIZE unless given.
    """
    from maskfield import api

    return finish_run(
        api.finetune(
            recipe,
            out=out,
            init=init,
            labels=labels,
            data=data,
            overrides=overrides,
            resume=resume,
            figures=figures,
        )
    )
