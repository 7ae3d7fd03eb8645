"""``maskfield data check``."""

from __future__ import annotations

from pathlib import Path

import tyro

from maskfield.cli.options import Format


def data_check(
    scene: tyro.conf.Positional[str],
    out: Path | None = None,
    format: Format = "auto",  # noqa: A002
) -> int:
    """Test a scene before time is spent on it, and draw its cameras and box.

    Exit status 1 when a likely mistake was found.

    Args:
        scene: a scene folder, or any source that `data import` reads.
        out: where the picture goes; beside the scene (cameras.png) unless given.
        format: what the source is, when it cannot be told from the files.
    """
    from maskfield import api

    report = api.data_check(scene, out=out, format=format)
    print("\n".join(report.lines()))
    return 0 if report.good else 1
