"""The ``general`` data set of NeRF-RPN: a table of scenes (spec nerf_rpn 2.1).

A CSV with the header ``,scene,rgbsigma_path,boxes_path`` (the leading index column may be absent).
An empty cell or the word ``None`` in ``boxes_path`` means that the scene has no ground truth.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from maskfield.core.errors import DataError
from maskfield.core.files import StrPath

SCENE, FEATURES, BOXES = "scene", "rgbsigma_path", "boxes_path"
_NONE = ("", "none", "nan")


@dataclass(frozen=True, kw_only=True)
class GeneralRow:
    """One scene: its name, feature grid, and box table (None: no ground truth)."""

    name: str
    features: Path
    boxes: Path | None


def read_general_csv(path: StrPath) -> tuple[GeneralRow, ...]:
    """Read the table; relative paths count from its folder, else from the working folder.

    Raises:
        DataError: no such file, a missing column, no rows, a scene without a name or named twice,
            or a file that is not there; names the row (2 = the first after the header) and column.
    """
    path = Path(path)
    columns, rows = _table(path)
    missing = [c for c in (SCENE, FEATURES) if c not in columns]
    if missing or not rows:
        raise DataError(
            "the table of scenes has a column missing" if missing else "the table has no rows",
            file=path,
            field="header",
            value=columns,
            remedy=f"write the header ,{SCENE},{FEATURES},{BOXES} and one scene a line",
        )
    scenes = tuple(_row(path, number, cells) for number, cells in rows)
    _refuse_twins(path, scenes, [number for number, _ in rows])
    return scenes


def _table(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Column names, and (line number, cells) of every line that is not blank."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            columns = [c.strip() for c in reader.fieldnames or ()]
            reader.fieldnames = columns
            return columns, [(reader.line_num, _cells(row)) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"cannot read the table of scenes: {error}", file=path, remedy="check the path"
        ) from error


def _cells(row: dict[str | None, str | list[str] | None]) -> dict[str, str]:
    return {k: v.strip() for k, v in row.items() if k is not None and isinstance(v, str)}


def _row(path: Path, number: int, cells: dict[str, str]) -> GeneralRow:
    name, boxes = cells.get(SCENE, ""), cells.get(BOXES, "")
    if not name:
        raise DataError(
            "a scene has no name",
            file=path,
            field=f"row {number}, column {SCENE}",
            value=cells,
            remedy="give every scene a name",
        )
    return GeneralRow(
        name=name,
        features=_existing(path, number, FEATURES, cells.get(FEATURES, "")),
        boxes=None if boxes.lower() in _NONE else _existing(path, number, BOXES, boxes),
    )


def _existing(path: Path, number: int, column: str, cell: str) -> Path:
    for candidate in (path.parent / cell, Path(cell)):
        if cell and candidate.is_file():
            return candidate
    raise DataError(
        "a file of the table is not there" if cell else "a scene names no feature grid",
        file=path,
        field=f"row {number}, column {column}",
        value=cell,
        remedy="give a path that exists, absolute or relative to the table"
        + (" (None: no ground truth)" if column == BOXES else ""),
    )


def _refuse_twins(path: Path, scenes: tuple[GeneralRow, ...], numbers: list[int]) -> None:
    seen: set[str] = set()
    for scene, number in zip(scenes, numbers, strict=True):
        if scene.name in seen:
            raise DataError(
                "two rows have the same scene name",
                file=path,
                field=f"row {number}, column {SCENE}",
                value=scene.name,
                remedy="names become file names; make each one different",
            )
        seen.add(scene.name)
