"""``report.html`` of one run: its numbers, curves, pictures, environment and configuration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from maskfield.core.runs import RunFolder
    from maskfield.figures.report import Section


def write_run_report(folder: Path) -> Path:
    """Write ``figures/curves.png`` and ``report.html`` from what a run folder holds.

    Raises:
        DataError: not a run folder. StorageError: it cannot be written.
    """
    from maskfield.core.runs import RunFolder
    from maskfield.figures.report import Report, write_report

    run = RunFolder.open(folder)
    report = Report(
        title=f"maskfield run: {run.path.resolve().name}",
        sections=[_numbers(run), *_evaluation(run), *_curves(run), *_pictures(run)],
        environment=_environment(run),
        config=run.config_path.read_text(encoding="utf-8"),
    )
    return write_report(report, run.report_path)


def shown(value: Any) -> str:
    """A metric as people read it."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _numbers(run: RunFolder) -> Section:
    from maskfield.figures.report import Section

    metrics = run.read_metrics() if run.metrics_path.is_file() else {}
    return Section(title="Numbers", table=_table(metrics))


def _evaluation(run: RunFolder) -> list[Section]:
    from maskfield.figures.report import Section

    if not run.evaluation_path.is_file():
        return []
    return [Section(title="Measured afterwards", table=_table(run.read_evaluation()))]


def _table(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [("metric", "value"), *((name, shown(value)) for name, value in metrics.items())]


def _curves(run: RunFolder) -> list[Section]:
    from maskfield.figures.curves import panels_from_log, save_curves
    from maskfield.figures.report import Figure, Section

    panels = panels_from_log(run.read_log())
    if not panels:
        return []
    path = run.figures / "curves.png"
    save_curves(panels, path)
    return [Section(title="Curves", figures=[Figure(picture=path, caption="over steps")])]


def _pictures(run: RunFolder) -> list[Section]:
    from maskfield.figures.report import Figure, Section

    found = sorted(p for p in run.figures.glob("*.png") if p.name != "curves.png")
    figures = [Figure(picture=p, caption=p.stem.replace("_", " ")) for p in found]
    return [Section(title="Pictures", figures=figures)] if figures else []


def _environment(run: RunFolder) -> dict[str, str]:
    if not run.environment_path.is_file():
        return {}
    lines = run.environment_path.read_text(encoding="utf-8").splitlines()
    return {k.strip(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
