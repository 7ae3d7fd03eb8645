"""``maskfield detect``."""

from __future__ import annotations

from typing import Annotated

import tyro

from maskfield.cli.options import Device


def detect(
    grid: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="GRID|RUN")],
    model: str = "zoo:detector-tiny",
    out: str | None = None,
    top: int = 30,
    threshold: float = 0.3,
    scene: str | None = None,
    ngp: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    figures: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    device: Device = "auto",
) -> None:
    """Find the objects of one scene: oriented boxes in its world, with scores.

    Args:
        grid: a .safetensors grid, an official .npz, STORE:NAME, or a run folder of `fit`.
        model: a run of `finetune`, weights, an official .pt, or zoo:NAME.
        out: folder for boxes.json; runs/detect-NAME unless given.
        top: at most this many boxes.
        threshold: only boxes with a higher score.
        scene: photographs of the same place; a run knows its own.
        ngp: also write ngp/transforms.json with the boxes for instant-ngp.
        figures: also draw the boxes over the grid and the photographs; report.html.
    """
    from maskfield import api

    found = api.detect(
        grid,
        model=model,
        out=out,
        top=top,
        threshold=threshold,
        scene=scene,
        ngp=ngp,
        figures=figures,
        device=device,
    )
    print(found.text())
    for path in found.files:
        print(f"wrote: {path}")
