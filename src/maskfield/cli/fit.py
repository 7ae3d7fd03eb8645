"""``maskfield fit``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import tyro

from maskfield.cli.options import Figures, Overrides, Resume, finish_run


def fit(
    scene: tyro.conf.Positional[str],
    out: Path | None = None,
    field: Literal["voxel"] = "voxel",
    overrides: Overrides = (),
    resume: Resume = None,
    figures: Figures = False,
) -> int:
    """Fit a radiance field to one scene; shows the held-out PSNR and the time left.

    Args:
        scene: a scene folder, any source that `data import` reads, or synthetic:rooms-v1:SEED.
        out: run folder; runs/fit-SCENE unless given.
        field: kind of field.
    """
    from maskfield import api

    return finish_run(
        api.fit(scene, out=out, field=field, overrides=overrides, resume=resume, figures=figures)
    )
