"""``maskfield evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import tyro

from maskfield.cli.options import Figures, Overrides


def evaluate(
    run: tyro.conf.Positional[Path],
    checkpoint: Literal["best", "last"] = "last",
    overrides: Overrides = (),
    figures: Figures = False,
) -> None:
    """Measure a run's checkpoint on its held-out data; writes evaluation.json.

    Args:
        run: a run folder of `fit` or `pretrain`.
        checkpoint: which of its checkpoints.
    """
    from maskfield import api

    metrics = api.evaluate(run, checkpoint=checkpoint, overrides=overrides, figures=figures)
    for name, value in metrics.items():
        print(f"{name}: {value:.6g}")
