"""Fitting a field to a scene that is named by a path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from maskfield.core.errors import ConfigError

if TYPE_CHECKING:
    from maskfield.data.scene import Scene
    from maskfield.engine.loop import RunResult
    from maskfield.figures.pictures import Picture

FIELDS = ("voxel",)
_LEAST_HEIGHT = 140  # of a picture in a report, pixels


def fit_from_path(
    source: str,
    folder: Path,
    *,
    field: str,
    overrides: Sequence[str],
    resume: str | None,
    figures: bool,
) -> RunResult:
    """See :func:`maskfield.api.fit`."""
    from maskfield.core.config import override
    from maskfield.data.config import SceneDataConfig
    from maskfield.fields.fit import fit_config, fit_scene
    from maskfield.verbs.pretrain import absolute
    from maskfield.verbs.report import write_run_report

    if field not in FIELDS:
        raise ConfigError(
            "unknown kind of field", field="field", value=field, remedy=f"choose one of {FIELDS}"
        )
    base = fit_config("default", SceneDataConfig(path=absolute(source)))
    config = override(replace(base, name=f"fit {Path(source).name}"), overrides)
    scene = config.data.build()
    result = fit_scene(scene, folder, config, resume=resume)
    if figures and not result.interrupted:
        draw_fit(result.folder, scene)
        write_run_report(result.folder)
    return result


def draw_fit(folder: Path, scene: Scene) -> list[Path]:
    """Pictures of a finished fit: cameras, and held-out photographs beside what the field shows."""
    from maskfield.core.runs import RunFolder
    from maskfield.fields.fit import load_field
    from maskfield.figures.frusta import draw_frusta
    from maskfield.figures.pictures import save_picture

    figures = RunFolder.open(folder).figures
    written = {
        figures / "cameras.png": draw_frusta(scene),
        figures / "held_out_photographs.png": comparison(load_field(folder), scene),
    }
    for path, picture in written.items():
        save_picture(picture, path)
    return list(written)


def comparison(field, scene: Scene, *, count: int = 4) -> Picture:
    """Photograph, what the field shows, and its depth, for some held-out views (a row each)."""
    from maskfield.fields.evaluate import field_image, photograph
    from maskfield.figures.pictures import depth_picture, resized, table_of, to_picture

    split = "test" if scene.split.get("test") else "train"
    indices = scene.indices(split)
    chosen = [indices[i * len(indices) // count] for i in range(min(count, len(indices)))]
    columns = []
    for index in chosen:
        image = field_image(field, scene.cameras, index)
        pictures = (
            to_picture(photograph(scene, index, field.background)),
            to_picture(image.colour),
            depth_picture(image.depth.numpy()),
        )
        columns.append([resized(p, height=max(_LEAST_HEIGHT, p.shape[0])) for p in pictures])
    rows = [list(row) for row in zip(*columns, strict=True)]
    return table_of(rows, labels=["photograph", "fitted field", "its depth"])
