"""What the answering verbs share: where an answer goes, and its report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maskfield.core.files import StrPath
    from maskfield.figures.report import Section
    from maskfield.verbs.given import Given


def answer_folder(verb: str, source: StrPath, out: StrPath | None) -> Path:
    """``out``, else ``runs/VERB-NAME``."""
    if out is not None:
        return Path(out)
    head, _, name = str(source).rpartition(":")
    last = name if head and not Path(source).exists() else Path(source).resolve().name
    return Path("runs") / f"{verb}-{Path(last).stem if Path(last).suffix else last}"


def write_answer(
    what: str, given: Given, model: str, sections: Sequence[Section], folder: Path
) -> Path:
    """``report.html`` beside an answer."""
    from maskfield.figures.report import Report, write_report

    size = " x ".join(map(str, given.grid.resolution))
    environment = {
        "grid": given.file,
        "voxels": size,
        "density": f"{given.grid.density_kind} ({given.grid.activation})",
        "model": model,
    }
    report = Report(
        title=f"maskfield: {what} in {given.name}", sections=sections, environment=environment
    )
    return write_report(report, folder / "report.html")
