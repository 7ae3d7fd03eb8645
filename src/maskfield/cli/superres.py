"""``maskfield superres``."""

from __future__ import annotations

from typing import Annotated

import tyro

from maskfield.cli.options import Device


def superres(
    grid: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="GRID|RUN")],
    model: str | None = None,
    out: str | None = None,
    scene: str | None = None,
    figures: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    device: Device = "auto",
) -> None:
    """Bring a grid to finer voxels of the same box.

    Args:
        grid: a .safetensors grid, an official .npz, STORE:NAME, or a run folder of `fit`.
        model: a run of `finetune nerf-mae-superres:...`, or its weights.
        out: folder for grid.safetensors; runs/superres-NAME unless given.
        scene: the scene of a run, when it has moved since.
        figures: also draw the grid before and after; report.html.
    """
    from maskfield import api

    found = api.superres(grid, model=model, out=out, scene=scene, figures=figures, device=device)
    print(found.text())
    for path in found.files:
        print(f"wrote: {path}")
