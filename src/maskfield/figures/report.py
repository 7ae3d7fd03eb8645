"""One self-contained ``report.html``: pictures inside it, no network, nothing to serve."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from maskfield.core.errors import DataError
from maskfield.core.files import StrPath, write_text

_JPEG_ABOVE = 200_000  # PNG bytes from which a photograph-like picture is embedded as JPEG


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A picture (array or image file) with what it shows."""

    picture: UInt8[np.ndarray, "height width 3"] | Path
    caption: str


@dataclass(frozen=True, kw_only=True)
class Section:
    """A heading with text, numbers, a table and pictures, in this order; only the title is needed.

    Attributes:
        text: paragraphs of plain text.
        numbers: shown large: name -> value, e.g. ``{"held-out PSNR": "27.1 dB"}``.
        table: rows of cells; the first row is the head.
    """

    title: str
    text: Sequence[str] = ()
    numbers: Mapping[str, str] = field(default_factory=dict)
    table: Sequence[Sequence[str]] = ()
    figures: Sequence[Figure] = ()


@dataclass(frozen=True, kw_only=True)
class Report:
    """A report: what was done, sections, seconds per stage, environment, configuration."""

    title: str
    subtitle: str = ""
    sections: Sequence[Section] = ()
    stages: Mapping[str, float] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    config: str = ""


def write_report(report: Report, path: StrPath) -> Path:
    """Write the report atomically and return its path.

    Raises:
        DataError: a picture cannot be read. StorageError: the folder cannot be written.
    """
    write_text(path, render_report(report))
    return Path(path)


def render_report(report: Report) -> str:
    """The report as HTML text."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("maskfield.figures", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    sections = [
        {**_fields(section), "figures": [_embedded(f) for f in section.figures]}
        for section in report.sections
    ]
    total = sum(report.stages.values())
    stages = [
        {"name": name, "seconds": seconds, "share": 100 * seconds / total if total else 0}
        for name, seconds in report.stages.items()
    ]
    template = environment.get_template("report.html.j2")
    return template.render(report=report, sections=sections, stages=stages, total=total)


def duration(seconds: float) -> str:
    """``7.3 s`` or ``2 min 05 s``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60):02d} s"


def _fields(section: Section) -> dict[str, Any]:
    return {name: getattr(section, name) for name in ("title", "text", "numbers", "table")}


def _embedded(figure: Figure) -> dict[str, Any]:
    picture = figure.picture if isinstance(figure.picture, np.ndarray) else _opened(figure.picture)
    kind, data = _encoded(picture)
    uri = f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
    return {"uri": uri, "caption": figure.caption, "width": picture.shape[1]}


def _opened(path: Path) -> UInt8[np.ndarray, "height width 3"]:
    try:
        return np.asarray(Image.open(path).convert("RGB"))
    except OSError as error:
        raise DataError(
            f"cannot read a picture of the report: {error}", file=path, remedy="draw it again"
        ) from error


def _encoded(picture: UInt8[np.ndarray, "height width 3"]) -> tuple[str, bytes]:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, format="PNG", optimize=True)
    if stream.tell() <= _JPEG_ABOVE:
        return "png", stream.getvalue()
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, format="JPEG", quality=90)
    return "jpeg", stream.getvalue()
