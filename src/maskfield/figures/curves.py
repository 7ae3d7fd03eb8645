"""Curves over steps: losses, PSNR, learning rate. Drawn with matplotlib's Agg backend."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from maskfield.core.files import StrPath, atomic_path

COLOURS = ("#2563eb", "#dc2626", "#059669", "#d97706", "#7c3aed", "#0891b2")
_GREY = "#6b7280"


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One pair of axes.

    Attributes:
        lines: name -> (x, y); x are steps (or seconds), values that are not finite are left out.
        levels: name -> a horizontal dashed line, e.g. a baseline to be beaten.
    """

    title: str
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]]
    levels: Mapping[str, float] = field(default_factory=dict)
    x_label: str = "step"
    y_label: str = ""
    log_y: bool = False


def draw_curves(
    panels: Sequence[Panel], *, width: float = 4.4, height: float = 3.0
) -> UInt8[np.ndarray, "height width 3"]:
    """Panels side by side as one picture; sizes in inches per panel at 110 dots per inch."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * len(panels), height), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        _draw(axes, panel)
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return np.asarray(Image.open(stream).convert("RGB")).copy()


def save_curves(panels: Sequence[Panel], path: StrPath) -> None:
    """:func:`draw_curves` into a PNG file, atomically."""
    picture = draw_curves(panels)
    with atomic_path(path) as temporary:
        Image.fromarray(picture).save(temporary, format="PNG")


def panels_from_log(records: Sequence[Mapping[str, object]]) -> list[Panel]:
    """One panel per family of logged numbers: the losses together, every PSNR together.

    Baselines are drawn as levels. Validation records are named "held-out".

    Args:
        records: lines of a run's ``log.jsonl``, each with ``kind``, ``step`` and numbers.
    """
    panels = []
    for title, word, unit in (("Loss", "loss", ""), ("PSNR", "psnr", "dB")):
        lines, levels = _family(records, word)
        if lines:
            log_y = word == "loss" and _all_positive(lines)
            panels.append(Panel(title=title, lines=lines, levels=levels, y_label=unit, log_y=log_y))
    return panels


def _family(
    records: Sequence[Mapping[str, object]], word: str
) -> tuple[dict[str, tuple[list[float], list[float]]], dict[str, float]]:
    """Lines and baselines of all numbers whose name contains ``word``."""
    lines: dict[str, tuple[list[float], list[float]]] = {}
    levels: dict[str, float] = {}
    for record in records:
        step, prefix = record.get("step"), "held-out " if record.get("kind") == "validate" else ""
        for key, value in record.items():
            if word not in key or not isinstance(value, int | float) or not isinstance(step, int):
                continue
            name = prefix + key.replace("_", " ")
            if "baseline" in key:
                levels[name] = float(value)
            else:
                x, y = lines.setdefault(name, ([], []))
                x.append(float(step))
                y.append(float(value))
    return lines, levels


def _all_positive(lines: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> bool:
    return all(v > 0 for _, y in lines.values() for v in y if np.isfinite(v))


def _draw(axes, panel: Panel) -> None:
    for colour, (name, (x, y)) in zip(_cycle(len(panel.lines)), panel.lines.items(), strict=True):
        x_values, y_values = np.asarray(x, float), np.asarray(y, float)
        ok = np.isfinite(x_values) & np.isfinite(y_values)
        marker = "o" if ok.sum() < 12 else None
        axes.plot(x_values[ok], y_values[ok], color=colour, lw=1.6, marker=marker, ms=3, label=name)
    for dash, (name, level) in zip(_dashes(len(panel.levels)), panel.levels.items(), strict=True):
        axes.axhline(level, color=_GREY, lw=1.1, ls=dash, label=f"{name} ({level:.2f})")
    axes.set_title(panel.title, fontsize=10, loc="left")
    axes.set_xlabel(panel.x_label, fontsize=8.5)
    axes.set_ylabel(panel.y_label, fontsize=8.5)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if panel.log_y:
        axes.set_yscale("log")
    if len(panel.lines) + len(panel.levels) > 1:
        axes.legend(fontsize=7.5, frameon=False)


def _cycle(count: int) -> list[str]:
    return [COLOURS[i % len(COLOURS)] for i in range(count)]


def _dashes(count: int) -> list[tuple[int, tuple[int, ...]]]:
    shapes = [(0, (4, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2))]
    return [shapes[i % len(shapes)] for i in range(count)]
