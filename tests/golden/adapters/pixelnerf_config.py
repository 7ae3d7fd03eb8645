"""pixelnerf: configuration trees of the experiments."""

from __future__ import annotations

from typing import Any

from golden.case import Case
from golden.registry import golden
from maskfield.methods.pixelnerf.official_conf import EXPERIMENTS, config_of_tree


@golden("pixelnerf/config_resolved")
def config_resolved(case: Case) -> dict[str, Any]:
    """Every experiment; each must be understood. ``n``, how many a case lists: see ALIGN."""
    for tree in EXPERIMENTS.values():
        config_of_tree(tree)
    return {"resolved.json": EXPERIMENTS, "n": len(EXPERIMENTS)}
