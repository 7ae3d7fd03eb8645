"""``maskfield segment``."""

from __future__ import annotations

from typing import Annotated

import tyro

from maskfield.cli.options import Device


def segment(
    grid: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="GRID|RUN")],
    model: str = "zoo:semantic-tiny",
    out: str | None = None,
    scene: str | None = None,
    figures: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    device: Device = "auto",
) -> None:
    """Say of every voxel that holds matter which class it belongs to.

    Args:
        grid: a .safetensors grid, an official .npz, STORE:NAME, or a run folder of `fit`.
        model: a run of `finetune`, weights, or zoo:NAME.
        out: folder for labels.safetensors and legend.json; runs/segment-NAME unless given.
        scene: the scene of a run, when it has moved since.
        figures: also draw the classes; report.html.
    """
    from maskfield import api

    found = api.segment(grid, model=model, out=out, scene=scene, figures=figures, device=device)
    print(found.text())
    for path in found.files:
        print(f"wrote: {path}")
