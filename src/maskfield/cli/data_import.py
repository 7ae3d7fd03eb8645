"""``maskfield data import``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import tyro

from maskfield.cli.options import Format


def data_import(
    source: tyro.conf.Positional[str],
    out: Path,
    format: Format = "auto",  # noqa: A002
    holdout: int = 8,
    downscale: int = 1,
    mixed_sizes: Literal["error", "crop"] = "error",
    images: str | None = None,
) -> None:
    """Turn posed photographs of any supported kind into a scene folder.

    Args:
        source: a folder, a transforms.json, a COLMAP model, an LLFF or NeRF-synthetic folder.
        out: the scene folder to write.
        format: what the source is, when it cannot be told from the files.
        holdout: every n-th photograph is kept for testing where the source names no test
            split; 0 keeps all for training.
        downscale: integer factor by which the photographs are reduced.
        mixed_sizes: refuse photographs of several sizes, or crop them to the common size.
        images: name of the image folder, when there are several (COLMAP, LLFF).
    """
    from maskfield import api

    scene = api.data_import(
        source,
        out=out,
        format=format,
        holdout=holdout,
        downscale=downscale,
        mixed_sizes=mixed_sizes,
        images=images,
    )
    print(f"scene: {out}  ({len(scene)} photographs, {scene.cameras.width}x{scene.cameras.height})")
    print(f"next:  maskfield data check {out}")
