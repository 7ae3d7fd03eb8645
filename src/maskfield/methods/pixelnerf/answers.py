"""Every view of every held-out object: the evaluation protocol behind ``evaluate --answers``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from maskfield.core.files import write_json
from maskfield.data.object_sets import ObjectSet
from maskfield.methods.pixelnerf.evaluation import evaluate_objects
from maskfield.methods.pixelnerf.evaluation_config import ProtocolConfig
from maskfield.methods.pixelnerf.evaluation_views import pixelnerf_views, weights_identity
from maskfield.methods.pixelnerf.model.network import PixelNeRF

OFFICIAL = (64, 104)  # source views of the SRN objects, which have 251 (spec pixelnerf 8.1)


def write_answers(
    model: PixelNeRF, objects: ObjectSet, numbers: Sequence[int], directory: Path
) -> list[Path]:
    """``views-N/OBJECT/VIEW.png`` from N source views each, and ``scores.json``.

    Goes on where it was interrupted, by the same weights only.

    Args:
        numbers: of source views, one run of the protocol for each.

    Raises:
        DataError: objects with fewer views. ConfigError: the folder holds another network's.
    """
    prepare, identity = pixelnerf_views(model), weights_identity(model)
    scores: dict[str, dict[str, float]] = {}
    for number in numbers:
        config = ProtocolConfig(sources=source_views_of(len(objects[0]), number))
        out = directory / f"views-{number}"
        found = evaluate_objects(prepare, objects, config, out, identity=identity)
        scores[str(number)] = found.summary()
    write_json(directory / "scores.json", scores)
    return [directory / "scores.json"]


def source_views_of(views: int, number: int) -> tuple[int, ...]:
    """The official source views where there are enough views for them, else evenly spread ones."""
    if number <= len(OFFICIAL) and views > OFFICIAL[-1]:
        return OFFICIAL[:number]
    return tuple(i * views // number for i in range(number))
