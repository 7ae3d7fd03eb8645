"""``maskfield data import``."""

from __future__ import annotations

from pathlib import Path

import tyro

from maskfield.cli.options import Format


def data_import(
    source: tyro.conf.Positional[Path],
    out: Path,
    format: Format = "auto",  # noqa: A002
    holdout: int = 8,
) -> None:
    """Turn posed photographs of any supported kind into a scene folder.

    Args:
        source: a folder, a transforms.json, a COLMAP model, an LLFF or NeRF-synthetic folder.
        out: the scene folder to write.
        format: what the source is, when it cannot be told from the files.
        holdout: every n-th photograph is kept for testing where the source names no test
            split; 0 keeps all for training.
    """
    from maskfield import api

    scene = api.data_import(source, out=out, format=format, holdout=holdout)
    print(f"scene: {out}  ({len(scene)} photographs, {scene.cameras.width}x{scene.cameras.height})")
    print(f"next:  maskfield data check {out}")
