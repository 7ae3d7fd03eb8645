"""What every demo keeps on the way, its folder, and the report at its end."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from maskfield.core.errors import ConfigError
from maskfield.core.files import write_json, write_text
from maskfield.verbs.demo_plan import Stages

if TYPE_CHECKING:
    from maskfield.figures.report import Section

_MARK = ".maskfield-demo"


@dataclass
class Record:
    """What the stages leave for the report: seconds, sections in order, numbers by stage."""

    stages: Stages = field(default_factory=Stages)
    shown: list[Section] = field(default_factory=list)
    numbers: dict[str, dict[str, float]] = field(default_factory=dict)


def write_demo(record: Record, folder: Path, *, title: str, way: str, config: str) -> Path:
    """``report.html`` with its sections numbered; ``numbers.json``: the same for programs.

    Args:
        way: the stages in words, for the subtitle. config: YAML shown at the end.
    """
    from maskfield.figures.report import Report, duration, write_report

    write_json(folder / "numbers.json", {**record.numbers, "seconds": record.stages.seconds})
    report = Report(
        title=title,
        subtitle=f"{way}, in {duration(sum(record.stages.seconds.values()))}",
        sections=[replace(s, title=f"{i}. {s.title}") for i, s in enumerate(record.shown, 1)],
        stages=record.stages.seconds,
        environment=_environment(),
        config=config,
    )
    return write_report(report, folder / "report.html")


def _environment() -> dict[str, str]:
    from maskfield.core.log import memory_gb
    from maskfield.verbs.doctor import environment

    return {**environment(), "memory in use at the end": f"{memory_gb():.2f} GiB"}


def refuse_what_would_be_cleared(
    folder: Path, cleared: Sequence[str], given: dict[str, str | None]
) -> None:
    """A demo clears what it wrote before: its input must not be among that.

    Raises:
        ConfigError: names the option that lies there.
    """
    for name, value in given.items():
        for part in cleared:
            place = (folder / part).resolve()
            if value is not None and Path(value).resolve().is_relative_to(place):
                raise ConfigError(
                    "this lies where the demo is about to write",
                    field=name,
                    value=value,
                    remedy="give another folder with --out",
                )


def clear(folder: Path, parts: Sequence[str]) -> None:
    """Make room for another demo in a folder that a demo wrote to before; leave anything else."""
    if (folder / _MARK).is_file():
        for name in parts:
            shutil.rmtree(folder / name, ignore_errors=True)
    write_text(folder / _MARK, "A demo of maskfield writes here and clears what it wrote before.\n")
