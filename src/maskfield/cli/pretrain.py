"""``maskfield pretrain``."""

from __future__ import annotations

from pathlib import Path

import tyro

from maskfield.cli.options import Data, Figures, Init, Overrides, Resume, finish_run


def pretrain(
    recipe: tyro.conf.Positional[str],
    out: Path | None = None,
    data: Data = None,
    init: Init = None,
    overrides: Overrides = (),
    resume: Resume = None,
    figures: Figures = False,
) -> int:
    """Masked pre-training: hide blocks of many grids, learn to bring them back.

    Args:
        recipe: METHOD:SIZE, e.g. nerf-mae:tiny-cpu, nerf-mae:small, nerf-mae:paper; or a
            config.yaml, or the folder of an earlier run.
        out: run folder; runs/METHOD-SIZE unless given.
    """
    from maskfield import api

    return finish_run(
        api.pretrain(
            recipe,
            out=out,
            data=data,
            init=init,
            overrides=overrides,
            resume=resume,
            figures=figures,
        )
    )
