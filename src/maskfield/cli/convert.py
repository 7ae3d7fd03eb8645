"""``maskfield convert``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import tyro


def convert(
    source: tyro.conf.Positional[Path],
    out: tyro.conf.Positional[Path],
    density: Literal["auto", "exp", "relu", "alpha"] = "auto",
    recipe: str | None = None,
) -> None:
    """Official files to ours and back; what is written follows from the two suffixes.

    NeRF-RPN grid .npz <-> .safetensors; official checkpoint .pt of NeRF-MAE or NeRF-RPN (masked
    autoencoder, detector, semantic labelling, super-resolution) -> weights .safetensors; weights or
    a run folder -> official .pt. Strict: every tensor must find its place.

    Args:
        source: the file (or run folder) to convert.
        out: the file to write.
        density: .npz: what its fourth channel is; `auto` looks at the values.
        recipe: checkpoints: the method and size, when they cannot be told from the weights.
    """
    from maskfield import api

    summary = api.convert(source, out, density=density, recipe=recipe)
    print(f"{summary}\nwrote: {out}")
