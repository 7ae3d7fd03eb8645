"""Options that several verbs share, each written once, and what the verbs say when they end."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

if TYPE_CHECKING:
    from maskfield.engine.loop import RunResult

Overrides = Annotated[
    tuple[str, ...],
    tyro.conf.arg(
        name="set",
        metavar="KEY=VALUE",
        help="Change one entry of the configuration, e.g. engine.steps=500; may be repeated.",
    ),
    tyro.conf.UseAppendAction,
]
Resume = Annotated[
    str | None,
    tyro.conf.arg(
        metavar="auto|PATH",
        help="Go on with an interrupted run: `auto` takes the newest checkpoint of the run folder.",
    ),
]
Init = Annotated[
    str | None,
    tyro.conf.arg(
        metavar="PATH|zoo:NAME",
        help="Start from these weights: ours, an official .pt, or the package's own.",
    ),
]
Data = Annotated[
    str | None,
    tyro.conf.arg(
        metavar="PATH",
        help="Train on these data instead of the recipe's: a folder, or synthetic:rooms-v1.",
    ),
]
Figures = Annotated[
    bool,
    tyro.conf.FlagCreatePairsOff,
    tyro.conf.arg(help="Also draw pictures and curves, and write report.html into the run folder."),
]
Device = Annotated[str, tyro.conf.arg(help="auto, cpu, cuda, cuda:1 ...")]
Format = Literal["auto", "scene", "transforms_json", "nerf_synthetic", "llff", "colmap", "rgbd"]


def finish_run(result: RunResult) -> int:
    """Say where the run is; 130 when it was interrupted (its state is saved), else 0."""
    from maskfield.cli.main import EXIT_INTERRUPTED

    if result.interrupted:
        print(
            f"interrupted at step {result.step}; the state is saved in "
            f"{result.folder / 'checkpoints'}\ngo on with the same command and --resume auto",
            file=sys.stderr,
        )
        return EXIT_INTERRUPTED
    print(f"run: {result.folder}")
    for name, value in result.metrics.items():
        print(f"  {name}: {value:.4g}")
    if (result.folder / "report.html").is_file():
        print(f"report: {result.folder / 'report.html'}")
    return 0
