"""``maskfield evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro

from maskfield.cli.options import Figures, Overrides


def evaluate(
    run: tyro.conf.Positional[Path],
    checkpoint: Literal["best", "last"] = "last",
    overrides: Overrides = (),
    figures: Figures = False,
    answers: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
) -> None:
    """Measure a run's checkpoint on its held-out data; writes evaluation.json.

    Args:
        run: a run folder of `fit`, `pretrain` or `finetune`.
        checkpoint: which of its checkpoints.
        answers: also write every held-out answer in the official files (answers/: eval.json,
            scenes.json and proposals of a detector, voxel_outputs of a semantic network).
    """
    from maskfield import api

    metrics = api.evaluate(
        run, checkpoint=checkpoint, overrides=overrides, figures=figures, answers=answers
    )
    for name, value in metrics.items():
        print(f"{name}: {value:.6g}")
